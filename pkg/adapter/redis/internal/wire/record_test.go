package wire

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/roomcast/roomcast/pkg/adapter"
)

// session is a record of testdata/sessions.json, which testdata/make-sessions.mjs makes.
type session struct {
	Name, Value, Sid, Pid, Data string
	Rooms                       []string
}

func readSessions(t testing.TB) (all []session) {
	t.Helper()
	text, err := os.ReadFile("testdata/sessions.json")
	if err == nil {
		err = json.Unmarshal(text, &all)
	}
	if err != nil || len(all) == 0 {
		t.Fatal(err)
	}
	return all
}

func TestRecord_WhatNodeJSWritesIsRead(t *testing.T) {
	for _, s := range readSessions(t) {
		topic, got, err := DecodeRecord(nil, s.Pid, s.Value)
		if err != nil {
			t.Fatalf("%s: %v", s.Name, err)
		}
		if topic != "" || got.Node != "" || got.Since != "" || got.Incarnation != "" || got.SocketID != s.Sid || got.PrivateID != s.Pid ||
			!slices.Equal(got.Rooms, s.Rooms) || string(got.Data) != s.Data {
			t.Errorf("%s: got topic %q, %+v", s.Name, topic, got)
		}
	}
}

// foreignRecords hold values which we do not have.
var foreignRecords = []string{"with a numeric room", "with odd values"}

func TestRecord_NodeJSReadsOurs(t *testing.T) {
	for _, s := range readSessions(t) {
		if slices.Contains(foreignRecords, s.Name) {
			continue
		}
		rec := &adapter.Record{PrivateID: s.Pid, SocketID: s.Sid, Rooms: s.Rooms, Data: []byte(s.Data)}
		value, err := EncodeRecord(nil, s.Pid, "/", rec)
		if err != nil {
			t.Fatal(err)
		}
		got, err := base64.StdEncoding.DecodeString(value)
		if err != nil {
			t.Fatal(err)
		}
		want, _ := base64.StdEncoding.DecodeString(s.Value)
		const before, behind = "\x88\xabincarnation\xa0", "\xa3nsp\xa1/\xa4node\xa0\xa5since\xa0"
		if want := before + string(want[1:]) + behind; string(got) != want {
			t.Errorf("%s:\ngot  %q\nwant %q", s.Name, got, want)
		}
	}
}

func TestRecord_RoomcastNodesLoseNothing(t *testing.T) {
	for _, want := range []adapter.Record{
		{PrivateID: "p", SocketID: "s"},
		{PrivateID: "p", SocketID: "s", Node: self, Incarnation: "i", Since: "1-1", Rooms: []string{"s", "a"}, Data: []byte(`{"a":[1,"é"]}`)},
		{PrivateID: "p", SocketID: "s", Data: []byte(`{"_placeholder":true,"num":0}`)},
	} {
		for _, hmacKey := range [][]byte{nil, key} {
			value, err := EncodeRecord(hmacKey, "name", "/chat", &want)
			if err != nil {
				t.Fatal(err)
			}
			topic, got, err := DecodeRecord(hmacKey, "name", value)
			if err != nil || topic != "/chat" || !reflect.DeepEqual(*got, want) {
				t.Errorf("got %q, %+v, %v, want %+v", topic, got, err, want)
			}
		}
	}
}

func TestRecord_ValuesBeginWithTheirIncarnation(t *testing.T) {
	const longest = "0123456789abcdef"
	for i := range len(longest) + 1 {
		for _, hmacKey := range [][]byte{nil, key} {
			value, err := EncodeRecord(hmacKey, "name", "/", &adapter.Record{PrivateID: "p", SocketID: "s", Incarnation: longest[:i]})
			if err != nil {
				t.Fatal(err)
			}
			for j := range len(longest) + 1 {
				if got := strings.HasPrefix(value, RecordPrefix(longest[:j])); got != (i == j) {
					t.Errorf("%q has the prefix of %q: %v", value, longest[:j], got)
				}
			}
			if other := RecordPrefix(longest[:max(i-1, 0)] + "x"); strings.HasPrefix(value, other) {
				t.Errorf("%q has the prefix of another incarnation", value)
			}
		}
	}
}

func TestRecord_NothingOfASealedOneCanBeChanged(t *testing.T) {
	rec := &adapter.Record{PrivateID: "p", SocketID: "s", Incarnation: "i"}
	sealed, err := EncodeRecord(key, "name", "/", rec)
	if err != nil {
		t.Fatal(err)
	}
	plain, _ := EncodeRecord(nil, "name", "/", rec)
	forgeries := []string{"", plain, sealed[1:], sealed + "x", RecordPrefix("j") + sealed[len(RecordPrefix("i")):]}
	for i := range sealed {
		forgeries = append(forgeries, sealed[:i], sealed[:i]+string(sealed[i]^1)+sealed[i+1:])
	}
	for _, forged := range forgeries {
		if _, got, err := DecodeRecord(key, "name", forged); !errors.Is(err, ErrUnsigned) {
			t.Errorf("%q: got %+v, %v, want ErrUnsigned", forged, got, err)
		}
	}
	if _, _, err := DecodeRecord(key, "another", sealed); !errors.Is(err, ErrUnsigned) {
		t.Errorf("under another name: %v", err)
	}
}

func TestRecord_DataThatIsNoJSONIsNotWritten(t *testing.T) {
	got, err := EncodeRecord(nil, "name", "/", &adapter.Record{PrivateID: "p", SocketID: "s", Data: []byte(`{`)})
	if !errors.Is(err, adapter.ErrMalformed) || got != "" {
		t.Errorf("got %q, %v, want ErrMalformed", got, err)
	}
}

func TestRecord_WhatIsNoneIsMalformed(t *testing.T) {
	for _, text := range []string{
		`{}`, `{"sid":"s"}`, `{"pid":"p"}`, `{"sid":"s","pid":7}`, `{"sid":"s","pid":"p","rooms":7}`, `{"sid":"s","pid":"p","rooms":[[]]}`,
		`{"sid":"s","pid":"p","nsp":[]}`, `{"sid":"s","pid":"p","node":{}}`, `[]`, `"s"`,
	} {
		value := base64.StdEncoding.EncodeToString(repacked(t, text))
		if topic, got, err := DecodeRecord(nil, "name", value); !errors.Is(err, adapter.ErrMalformed) || got != nil || topic != "" {
			t.Errorf("%s: got %+v, %v, want ErrMalformed", text, got, err)
		}
	}
	twice := append(repacked(t, `{"sid":"s","pid":"p"}`), 0xc0)
	for _, payload := range append(hostile(), string(twice)) {
		for _, value := range []string{payload, base64.StdEncoding.EncodeToString([]byte(payload))} {
			if _, got, err := DecodeRecord(nil, "name", value); !errors.Is(err, adapter.ErrMalformed) {
				t.Errorf("%.60q: got %+v, %v, want ErrMalformed", value, got, err)
			}
		}
	}
}
