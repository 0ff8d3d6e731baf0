package wire

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"os"
	"reflect"
	"slices"
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
		topic, got, err := ReadRecord([]byte(s.Value))
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
		value, err := AppendRecord(nil, "/", rec)
		if err != nil {
			t.Fatal(err)
		}
		got, err := base64.StdEncoding.DecodeString(string(value))
		if err != nil {
			t.Fatal(err)
		}
		want, _ := base64.StdEncoding.DecodeString(s.Value)
		const own = "\xa3nsp\xa1/\xa4node\xa0\xabincarnation\xa0\xa5since\xa0"
		if want[0] += 4; string(got) != string(want)+own {
			t.Errorf("%s:\ngot  %q\nwant %q", s.Name, got, string(want)+own)
		}
	}
}

func TestRecord_RoomcastNodesLoseNothing(t *testing.T) {
	for _, want := range []adapter.Record{
		{PrivateID: "p", SocketID: "s"},
		{PrivateID: "p", SocketID: "s", Node: self, Incarnation: "i", Since: "1-1", Rooms: []string{"s", "a"}, Data: []byte(`{"a":[1,"é"]}`)},
		{PrivateID: "p", SocketID: "s", Data: []byte(`{"_placeholder":true,"num":0}`)},
	} {
		value, err := AppendRecord([]byte("x"), "/chat", &want)
		if err != nil || value[0] != 'x' {
			t.Fatalf("got %q, %v", value, err)
		}
		topic, got, err := ReadRecord(value[1:])
		if err != nil || topic != "/chat" || !reflect.DeepEqual(*got, want) {
			t.Errorf("got %q, %+v, %v, want %+v", topic, got, err, want)
		}
	}
}

func TestRecord_DataThatIsNoJSONIsNotWritten(t *testing.T) {
	got, err := AppendRecord([]byte("x"), "/", &adapter.Record{PrivateID: "p", SocketID: "s", Data: []byte(`{`)})
	if !errors.Is(err, adapter.ErrMalformed) || string(got) != "x" {
		t.Errorf("got %q, %v, want ErrMalformed", got, err)
	}
}

func TestRecord_WhatIsNoneIsMalformed(t *testing.T) {
	for _, text := range []string{
		`{}`, `{"sid":"s"}`, `{"pid":"p"}`, `{"sid":"s","pid":7}`, `{"sid":"s","pid":"p","rooms":7}`, `{"sid":"s","pid":"p","rooms":[[]]}`,
		`{"sid":"s","pid":"p","nsp":[]}`, `{"sid":"s","pid":"p","node":{}}`, `[]`, `"s"`,
	} {
		value := base64.StdEncoding.EncodeToString(repacked(t, text))
		if topic, got, err := ReadRecord([]byte(value)); !errors.Is(err, adapter.ErrMalformed) || got != nil || topic != "" {
			t.Errorf("%s: got %+v, %v, want ErrMalformed", text, got, err)
		}
	}
	for _, payload := range hostile() {
		for _, value := range []string{payload, base64.StdEncoding.EncodeToString([]byte(payload))} {
			if _, got, err := ReadRecord([]byte(value)); !errors.Is(err, adapter.ErrMalformed) {
				t.Errorf("%.60q: got %+v, %v, want ErrMalformed", value, got, err)
			}
		}
	}
}
