package engine

import (
	"errors"
	"testing"
)

func TestParsePacket(t *testing.T) {
	tests := map[string]struct {
		packet  string
		kind    byte
		payload string
		err     error
	}{
		"message":              {"4hello", packetMessage, "hello", nil},
		"empty message":        {"4", packetMessage, "", nil},
		"pong":                 {"3", packetPong, "", nil},
		"close":                {"1", packetClose, "", nil},
		"empty packet":         {"", 0, "", errPacket},
		"ping":                 {"2", 0, "", errClientPing},
		"probe":                {"2probe", 0, "", errClientPing},
		"pong with a payload":  {"3x", 0, "", errPacket},
		"close with a payload": {"1x", 0, "", errPacket},
		"open":                 {"0{}", 0, "", errPacket},
		"upgrade":              {"5", 0, "", errPacket},
		"noop":                 {"6", 0, "", errPacket},
		"unknown type":         {"7", 0, "", errPacket},
		"letter":               {"abc", 0, "", errPacket},
		"control byte":         {"\x00", 0, "", errPacket},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			kind, payload, err := parsePacket([]byte(tt.packet))
			if kind != tt.kind || string(payload) != tt.payload || !errors.Is(err, tt.err) {
				t.Errorf("got %q %q %v, want %q %q %v", kind, payload, err, tt.kind, tt.payload, tt.err)
			}
		})
	}
}

func FuzzParsePacket(f *testing.F) {
	for _, seed := range []string{"", "0", "1", "2probe", "3", "4hello", "5", "6", "4\x1e", "\x00"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, packet []byte) {
		kind, payload, err := parsePacket(packet)
		if err != nil {
			return
		}
		if kind != packet[0] || string(payload) != string(packet[1:]) {
			t.Errorf("%q was split into %q and %q", packet, kind, payload)
		}
	})
}
