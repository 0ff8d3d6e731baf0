package engine

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

// payloadReceiver keeps what a payload brings.
type payloadReceiver struct{ got []string }

func (r *payloadReceiver) Text(data []byte) error {
	r.got = append(r.got, "text:"+string(data))
	return nil
}

func (r *payloadReceiver) Binary(data []byte) error {
	r.got = append(r.got, "binary:"+string(data))
	return nil
}

func (r *payloadReceiver) Closed(Reason, error) {}

// receive passes a payload to a session of its own.
func receive(payload []byte) ([]string, error) {
	r := &payloadReceiver{}
	s := &Session{engine: &Engine{options: Options{MaxSendQueueBytes: 1}}, receiver: r}
	err := s.receivePayload(payload)
	return r.got, err
}

func TestPayload_PacketsArriveInOrderUpToTheFirstInvalidOne(t *testing.T) {
	tests := map[string]struct {
		payload string
		want    string
		err     error
	}{
		"one":                    {"4a", "text:a", nil},
		"several":                {"4a\x1e4\x1ebAQID\x1e4c", "text:a text: binary:\x01\x02\x03 text:c", nil},
		"empty binary":           {"b", "binary:", nil},
		"invalid in the middle":  {"4a\x1e9\x1e4b", "text:a", errPacket},
		"empty body":             {"", "", errPacket},
		"separator at the end":   {"4a\x1e", "text:a", errPacket},
		"separators only":        {strings.Repeat("\x1e", 1_000_000), "", errPacket},
		"not base64":             {"b!", "", errPacket},
		"base64 without padding": {"bAQI", "", errPacket},
		"base64, bits left over": {"bAQJ=", "", errPacket},
		"base64, line break":     {"bAQ\nID", "", errPacket},
		"not UTF-8":              {"4\xff", "", errPacket},
		"ping":                   {"4a\x1e2", "text:a", errClientPing},
		"close":                  {"4a\x1e1\x1e4b", "text:a", errClientClose},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := receive([]byte(tt.payload))
			if strings.Join(got, " ") != tt.want || !errors.Is(err, tt.err) {
				t.Errorf("got %q %v, want %q %v", got, err, tt.want, tt.err)
			}
		})
	}
}

func TestEncodePayload_TextsAndAttachmentsMix(t *testing.T) {
	tests := map[string]struct {
		messages []*Message
		want     string
	}{
		"one":         {[]*Message{NewMessage([]byte("a"))}, "4a"},
		"attachments": {[]*Message{NewMessage([]byte("a"), []byte{1, 2, 3}, nil)}, "4a\x1ebAQID\x1eb"},
		"several":     {[]*Message{pingMessage, NewMessage([]byte("a")), NewMessage(nil), closeMessage}, "2\x1e4a\x1e4\x1e1"},
		"joined":      {[]*Message{Join([]*Message{NewMessage([]byte("a"), []byte("b")), NewMessage([]byte("c"))})}, "4a\x1ebYg==\x1e4c"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := string(encodePayload(tt.messages)); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func FuzzPayload(f *testing.F) {
	for _, seed := range []string{"4a", "4a\x1ebAQID\x1e4", "\x1e\x1e", "b", "bAQJ=", "2", "1", "4\xff", ""} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		got, err := receive(bytes.Clone(payload))
		if err != nil {
			return
		}
		// A valid payload is what we would have made of its packets ourselves,
		// but for pongs, which bring nothing.
		var messages []*Message
		for _, m := range got {
			if text, ok := strings.CutPrefix(m, "text:"); ok {
				messages = append(messages, NewMessage([]byte(text)))
				continue
			}
			data := strings.TrimPrefix(m, "binary:")
			messages = append(messages, &Message{frames: append(appendFrameHeader(nil, frameBinary, len(data)), data...)})
		}
		var packets [][]byte
		for _, p := range bytes.Split(payload, []byte{separator}) {
			if string(p) != "3" {
				packets = append(packets, p)
			}
		}
		if want := bytes.Join(packets, []byte{separator}); !bytes.Equal(encodePayload(messages), want) {
			t.Errorf("%q came back as %q", payload, encodePayload(messages))
		}
	})
}
