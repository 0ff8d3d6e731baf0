package packet

import (
	"bytes"
	"errors"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
)

// hostile are texts that have hurt parsers.
var hostile = []string{
	``, `9`, `0{`, `0[]`, `0null`, `1{}`, `2`, `2{}`, `2[]`, `2["connect"]`, `2["error"]`, `2["__proto__",{"__proto__":1}]`, `2["a",1e999]`, `2["a","\ud800"]`,
	"2[\"\xff\"]", "2[\"a\x00\"]", `218446744073709551616["a"]`, `212345678901234567890123["a"]`, `2007["a"]`, `5["a"]`, `5-1-["a"]`, `50-["a"]`, `51.5-["a"]`, `511-["a"]`,
	`5` + strings.Repeat("9", 400) + `-["a"]`, `51-["a",{"_placeholder":true,"num":-1}]`, `51-["a",{"_placeholder":true,"num":1e9}]`, `51-["a",{"_placeholder":true,"num":"0"}]`,
	`51-["a",{"_placeholder":true,"num":null}]`, `51-["a",{"\u005fplaceholder":true,"num":0,"num":7}]`, `2` + strings.Repeat("[", 20_000), `2["a",` + strings.Repeat(`{"a":`, 2_000),
	`2["a"` + strings.Repeat(",1", 5_000) + `]`, `3[]`, `312{}`, `4"x"`, `0/../,`, `0/%2e,{}`, "0/\u202e,", `2/a,b,["x"]`, `6310-/a,1[]`,
}

// allocated runs f and returns how many bytes the process allocated meanwhile.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// checkMemory runs f and fails t if it allocates more than a small multiple of the
// size of its input.
func checkMemory(t *testing.T, input int, f func()) {
	t.Helper()
	// The constant is for what else runs in a fuzzing process.
	if used := allocated(f); used > uint64(16*input+1<<20) {
		t.Errorf("%d bytes of input led to %d bytes of memory", input, used)
	}
}

// checkSame fails t unless p, encoded, is decoded to p.
func checkSame(t *testing.T, p Packet) {
	t.Helper()
	got, err := decode(NewDecoder(Limits{}), string(p.AppendText(nil)), p.Attachments...)
	if err != nil || !reflect.DeepEqual(got, p) {
		t.Errorf("got %+v, %v; want %+v", got, err, p)
	}
	if _, err := p.Args(); err != nil && (p.Type == Event || p.Type == Ack) {
		t.Errorf("arguments of %+v: %v", p, err)
	}
}

func FuzzDecoder_Text(f *testing.F) {
	for _, v := range vectors {
		f.Add([]byte(v.text))
	}
	for _, text := range hostile {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		d := NewDecoder(Limits{})
		var p Packet
		var complete bool
		var err error
		checkMemory(t, len(text), func() { p, complete, err = d.Text(text) })
		if err != nil {
			if !errors.Is(err, ErrInvalid) && !errors.Is(err, ErrLimit) || complete || d.Pending() {
				t.Errorf("got %+v, %v, %v", p, complete, err)
			}
			return
		}
		for !complete {
			if p, complete, err = d.Binary([]byte{1}); err != nil {
				t.Fatal(err)
			}
		}
		checkSame(t, p)
	})
}

// FuzzDecoder_Binary feeds a decoder a sequence of messages, separated by newlines:
// those that begin with b are binary.
func FuzzDecoder_Binary(f *testing.F) {
	f.Add([]byte("51-[\"a\",{\"_placeholder\":true,\"num\":0}]\nbdata\n2[\"b\"]"))
	f.Add([]byte("52-[\"a\"]\nb\nb\nb"))
	f.Add([]byte("52-[\"a\"]\nb\n2[\"a\"]\nb"))
	f.Add([]byte("b\n62-1[]\nb" + strings.Repeat("x", 200) + "\nb"))
	for _, text := range hostile {
		if len(text) < 100 { // long seeds would be minimized for minutes
			f.Add([]byte("51-[\"a\"]\nb\n" + text + "\nb"))
		}
	}
	f.Fuzz(func(t *testing.T, sequence []byte) {
		d := NewDecoder(Limits{MaxAttachments: 3, MaxAttachmentBytes: 100})
		checkMemory(t, len(sequence), func() {
			for message := range bytes.SplitSeq(sequence, []byte("\n")) {
				due := d.Pending()
				data, binary := bytes.CutPrefix(message, []byte("b"))
				take := d.Text
				if binary {
					take = d.Binary
				}
				p, complete, err := take(data)
				switch {
				case binary != due && err == nil:
					t.Errorf("%q out of turn: got %+v", message, p)
				case err != nil && (complete || d.Pending()):
					t.Errorf("%q: got %v and a packet, or one pending", message, err)
				case complete && d.Pending():
					t.Errorf("%q: complete and pending", message)
				}
			}
		})
	})
}

func FuzzUnmarshal(f *testing.F) {
	for _, value := range []string{
		`{"a":[{"_placeholder":true,"num":0}],"b":"YQ==","c":{"x":null}}`, `{"_placeholder":true,"num":1}`, `{"_placeholder":true,"num":2}`, `{"a":1,"a":"x"}`, `"\ud800"`, `1e999`,
		`{"__proto__":{"constructor":1}}`, strings.Repeat("[", 20_000), `{"b":{"_placeholder":true,"num":1,"x":{"_placeholder":true,"num":0}}}`, `[[[[1]]]]`, "\"\xff\"",
	} {
		f.Add([]byte(value), 2)
		f.Add([]byte(value), 0)
	}
	f.Fuzz(func(t *testing.T, value []byte, count int) {
		attachments := [][]byte{{1}, {2, 3}}[:min(max(count, 0), 2)]
		for _, into := range []any{new(any), new(Raw), new([]byte), new(string), new([]any), new(map[string]any), new(struct {
			A []any  `json:"a"`
			B []byte `json:"b"`
			C Raw    `json:"c"`
		})} {
			err := Unmarshal(jsontext.Value(value), attachments, into)
			if err != nil && !errors.Is(err, ErrDecode) {
				t.Errorf("%q into %T: %v", value, into, err)
			}
			if err != nil {
				continue
			}
			if data, found, err := MarshalArgs(into); err == nil {
				checkSame(t, Packet{Type: Ack, Namespace: "/", HasID: true, Data: data, Attachments: found})
			}
		}
	})
}
