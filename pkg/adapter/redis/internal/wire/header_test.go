package wire

import (
	"bytes"
	"encoding/base64"
	"errors"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/roomcast/roomcast/pkg/adapter"
)

const nodeUID = "00112233445566ff"

// shaped returns a message whose data is given.
func shaped(kind, data string) string {
	return `{"type":` + kind + `,"data":` + data + `,"uid":"` + nodeUID + `","nsp":"/"}`
}

const everybody = `"opts":{"rooms":[],"except":[],"flags":{}}`

// incomplete are messages in which something is missing or of the wrong kind, beside one
// in which it is not.
var incomplete = []struct {
	good string
	bad  []string
}{
	{shaped("3", `{"packet":{"type":2,"data":["e"]},`+everybody+`}`), []string{
		shaped("3", `{"packet":{"type":2,"data":["e"]}}`), shaped("3", `{`+everybody+`}`), shaped("3", `{"packet":{"type":2},`+everybody+`}`),
		shaped("3", `{"packet":{"type":2,"data":["e"]},"opts":{}}`), shaped("3", `{"packet":{"type":2,"data":["e"]},"opts":{"rooms":null}}`),
		shaped("3", `{"packet":{"type":2,"data":["e"]},"opts":{"rooms":"a"}}`), shaped("3", `{"packet":{"type":2,"data":["e"]},"opts":{"rooms":[{}]}}`),
		shaped("3", `{"packet":{"type":2,"data":["e"]},"opts":{"rooms":[],"except":7}}`), shaped("3", `{"packet":{"type":2,"data":["e"]},"opts":[]}`),
		shaped("3", `{"packet":{"type":3,"data":["e"]},`+everybody+`}`), shaped("3", `{"packet":{"type":0,"data":["e"]},`+everybody+`}`),
		shaped("3", `{"packet":{"type":9,"data":["e"]},`+everybody+`}`), shaped("3", `{"packet":{"type":2,"data":{"0":"e"}},`+everybody+`}`),
		shaped("3", `{"packet":{"type":2,"data":[]},`+everybody+`}`), shaped("3", `{"packet":{"type":2,"data":[null]},`+everybody+`}`),
		shaped("3", `{"packet":{"type":2,"data":["e"]},"requestId":7,`+everybody+`}`), shaped("3", `[]`), shaped("3", `null`), shaped("3", `"x"`),
		`{"type":3,"uid":"a","nsp":"/"}`, `{"data":{"packet":{"type":2,"data":["e"]},` + everybody + `},"uid":"a","nsp":"/"}`,
		`{"type":3,"data":{"packet":{"type":2,"data":["e"]},` + everybody + `},"nsp":"/"}`,
		`{"type":3,"data":{"packet":{"type":2,"data":["e"]},` + everybody + `},"uid":"a"}`,
		`{"type":3,"data":{"packet":{"type":2,"data":["e"]},` + everybody + `},"uid":7,"nsp":"/"}`,
		`{"type":3,"data":{"packet":{"type":2,"data":["e"]},` + everybody + `},"uid":"a","nsp":["/"]}`,
		`{"type":3,"data":{"packet":{"type":2,"data":["e"]},` + everybody + `},"uid":"` + strings.Repeat("a", 257) + `","nsp":"/"}`,
		`{"type":3,"data":{"packet":{"type":2,"data":["e"]},` + everybody + `},"uid":"a","nsp":"/","roomcast":{}}`,
		`{"type":3,"data":{"packet":{"type":2,"data":["e"]},` + everybody + `},"uid":"a","nsp":"/","roomcast":{"version":2}}`,
		`{"type":3,"data":{"packet":{"type":2,"data":["e"]},` + everybody + `},"uid":"a","nsp":"/","roomcast":{"version":1,"n":-1}}`,
		`{"type":3,"data":{"packet":{"type":2,"data":["e"]},` + everybody + `},"uid":"a","nsp":"/","roomcast":{"version":1,"message":"AQ=="}}`,
		`{"type":3,"data":{"packet":{"type":2,"data":["e"]},` + everybody + `},"uid":"a","nsp":"/","roomcast":{"version":1,"message":"?"}}`,
		`{"type":3,"data":{"packet":{"type":2,"data":["e"]},` + everybody + `},"uid":"a","nsp":"/"} x`,
		`{"data":{"packet":{"type":2,"data":["e"]},` + everybody + `,"close":7},"type":3,"uid":"a","nsp":"/"}`,
	}},
	{shaped("4", `{`+everybody+`,"rooms":["x"]}`), []string{shaped("4", `{`+everybody+`}`), shaped("4", `{"rooms":["x"]}`), shaped("4", `{`+everybody+`,"rooms":{}}`)}},
	{shaped("5", `{`+everybody+`,"rooms":["x"]}`), []string{shaped("5", `{`+everybody+`}`), shaped("5", `{"rooms":["x"]}`)}},
	{shaped("6", `{`+everybody+`,"close":true}`), []string{shaped("6", `{"close":true}`), shaped("6", `{`+everybody+`,"close":1}`)}},
	{shaped("7", `{`+everybody+`,"requestId":"r"}`), []string{shaped("7", `{"requestId":"r"}`), shaped("7", `{`+everybody+`}`), shaped("7", `{`+everybody+`,"requestId":null}`)}},
	{shaped("8", `{"requestId":"r","sockets":[{"id":"a"}]}`), []string{
		shaped("8", `{"requestId":"r"}`), shaped("8", `{"sockets":[]}`), shaped("8", `{"requestId":"r","sockets":[{}]}`),
		shaped("8", `{"requestId":"r","sockets":["a"]}`), shaped("8", `{"requestId":"r","sockets":{}}`), shaped("8", `{"requestId":"r","sockets":[{"id":"a","rooms":7}]}`),
	}},
	{shaped("9", `{"packet":["e"]}`), []string{shaped("9", `{}`), shaped("9", `{"packet":[]}`), shaped("9", `{"packet":{}}`), shaped("9", `{"packet":null}`)}},
	{shaped("10", `{"requestId":"r","packet":1}`), []string{shaped("10", `{"packet":1}`), shaped("10", `{"requestId":"","packet":1}`)}},
	{shaped("11", `{"requestId":"r","clientCount":1}`), []string{
		shaped("11", `{"requestId":"r"}`), shaped("11", `{"clientCount":1}`), shaped("11", `{"requestId":"r","clientCount":-1}`),
		shaped("11", `{"requestId":"r","clientCount":1.5}`), shaped("11", `{"requestId":"r","clientCount":1e99}`), shaped("11", `{"requestId":"r","clientCount":2147483648}`),
	}},
	{shaped("12", `{"requestId":"r"}`), []string{shaped("12", `{}`)}},
	{shaped("13", `{}`), []string{shaped("14", `{}`), shaped("0", `{}`), shaped("-1", `{}`), shaped(`"3"`, `{}`), shaped("3.0", `{}`)}},
}

// repacked is a JSON object in MessagePack.
func repacked(t testing.TB, text string) []byte {
	t.Helper()
	w := writer{packed: true}
	o := object{writer: &w}
	w.out = []byte{0x81}
	if err := o.value("x", []byte(text), nil); err != nil {
		return []byte(text) // broken as JSON, and so as MessagePack
	}
	return w.out[len("\x81\xa1x"):]
}

func TestHeader_WhatIsMissingOrOfTheWrongKindIsMalformed(t *testing.T) {
	read := func(payload []byte) error {
		h, err := ReadHeader(payload)
		if err == nil {
			_, err = h.Message()
		}
		return err
	}
	for _, c := range incomplete {
		if err := errors.Join(read([]byte(c.good)), read(repacked(t, c.good))); err != nil {
			t.Errorf("%s: %v", c.good, err)
		}
		for _, bad := range c.bad {
			if err := read([]byte(bad)); !errors.Is(err, adapter.ErrMalformed) {
				t.Errorf("%s: got %v, want ErrMalformed", bad, err)
			}
			// The shortest form of 3.0 is 3.
			if err := read(repacked(t, bad)); !errors.Is(err, adapter.ErrMalformed) && !strings.Contains(bad, "3.0") {
				t.Errorf("%s in MessagePack: got %v, want ErrMalformed", bad, err)
			}
		}
	}
}

func TestHeader_MembersComeInAnyOrder(t *testing.T) {
	const text = `{ "nsp" : "/chat", "unknown":[{}], "data":{"opts":{"flags":{"volatile":true,"broadcast":true,"timeout":"x"},"except":["c"],"rooms":["a",5]},` +
		`"packet":{"nsp":"/","id":7,"data":["e",{"uid":"x"}],"type":5}},` + "\n" + `"uid":"python","typ\u0065":3}`
	for _, payload := range [][]byte{[]byte(text), repacked(t, text)} {
		h, err := ReadHeader(payload)
		if err != nil {
			t.Fatal(err)
		}
		m, err := h.Message()
		if err != nil {
			t.Fatal(err)
		}
		want := broadcast(event(`["e",{"uid":"x"}]`), "a", "5")
		want.Broadcast.Except, want.Broadcast.Volatile = []string{"c"}, true
		if got, want := normal(t, m), normal(t, want); got != want || m.From != "python" || h.FromNodeJS() {
			t.Errorf("got  %s from %q\nwant %s", got, m.From, want)
		}
	}
}

func TestHeader_PartsOfAMessageAreNone(t *testing.T) {
	messages, _ := readGolden(t)
	for _, g := range messages {
		for n := range g.Payload {
			if _, err := ReadHeader(g.Payload[:n]); !errors.Is(err, adapter.ErrMalformed) {
				t.Errorf("%s, cut to %d bytes: got %v, want ErrMalformed", g.Name, n, err)
			}
		}
		if g.Payload == nil {
			continue
		}
		for _, more := range []string{"\x00", "}", "\xc0"} {
			if _, err := ReadHeader(append(bytes.Clone(g.Payload), more...)); !errors.Is(err, adapter.ErrMalformed) {
				t.Errorf("%s and %q: got %v, want ErrMalformed", g.Name, more, err)
			}
		}
	}
}

func TestHeader_OnlyRoomcastNodesAreToldOfChanges(t *testing.T) {
	const join = `{"type":4,"data":{"opts":{"rooms":[]},"rooms":["x"],"requestId":"r"},"uid":"` + nodeUID + `","nsp":"/"`
	for payload, want := range map[string]string{
		join + `}`: "", join + `,"roomcast":{"version":1}}`: "", join + `,"roomcast":{"version":1,"requestId":"own"}}`: "own",
	} {
		h, err := ReadHeader([]byte(payload))
		if err != nil {
			t.Fatal(err)
		}
		m, err := h.Message()
		if err != nil || m.Request.ID != want || h.FromNodeJS() == strings.Contains(payload, "roomcast") {
			t.Errorf("%s: got %+v, %v, from Node.js: %v", payload, m.Request, err, h.FromNodeJS())
		}
	}
}

func TestHeader_HeartbeatsOfOlderVersionsSayNothing(t *testing.T) {
	for _, kind := range []string{"1", "2", "13"} {
		h, err := ReadHeader([]byte(`{"uid":"` + nodeUID + `","nsp":"/","type":` + kind + `}`))
		if err != nil || !h.FromNodeJS() || h.Kind() != 0 {
			t.Fatalf("type %s: %v", kind, err)
		}
		e := Entry{UID: nodeUID, Topic: "/", Type: kind}
		if _, err := e.Header(); err != nil {
			t.Errorf("an entry of type %s: %v", kind, err)
		}
		if m, err := h.Message(); m != nil || err != nil {
			t.Errorf("type %s: got %v, %v", kind, m, err)
		}
	}
}

func TestHeader_NodeJSWaitsForAsLongAsItSays(t *testing.T) {
	for flags, want := range map[string]time.Duration{
		`{}`: 5 * time.Second, `{"timeout":700}`: 700 * time.Millisecond, `{"timeout":0.5}`: 500 * time.Microsecond, `{"timeout":-1}`: 5 * time.Second,
		`{"timeout":"7"}`: 5 * time.Second, `{"timeout":1e300}`: (1<<31 - 1) * time.Millisecond, `null`: 5 * time.Second, `[]`: 5 * time.Second,
	} {
		h, err := ReadHeader([]byte(shaped("7", `{"opts":{"rooms":[],"flags":`+flags+`},"requestId":"r"}`)))
		if err != nil {
			t.Fatal(err)
		}
		if m, err := h.Message(); err != nil || m.Request.Timeout != want || !m.Request.Whole {
			t.Errorf("%s: got %v, %v, want %v", flags, m.Request, err, want)
		}
	}
}

func TestHeader_EmittersAreNotAnswered(t *testing.T) {
	h, err := ReadHeader([]byte(`{"type":9,"data":{"packet":["e"]},"uid":"emitter","nsp":"/"}`))
	if err != nil || h.From() != Emitter || h.FromNodeJS() {
		t.Errorf("got %q, %v", h.From(), err)
	}
}

func TestEntry_FieldsThatAreNoneAreMalformed(t *testing.T) {
	good := Entry{UID: nodeUID, Topic: "/", Type: "6", Data: `{` + everybody + `,"close":true}`}
	if _, err := good.Header(); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Entry){
		"no sender":        func(e *Entry) { e.UID = "" },
		"a long sender":    func(e *Entry) { e.UID = strings.Repeat("x", 257) },
		"no namespace":     func(e *Entry) { e.Topic = "" },
		"no type":          func(e *Entry) { e.Type = "" },
		"an unknown type":  func(e *Entry) { e.Type = "14" },
		"a huge type":      func(e *Entry) { e.Type = "259" },
		"a signed type":    func(e *Entry) { e.Type = "+6" },
		"no data":          func(e *Entry) { e.Data = "" },
		"broken JSON":      func(e *Entry) { e.Data = e.Data[1:] },
		"broken base64":    func(e *Entry) { e.Data = "gaRvcHRz=" },
		"JSON and more":    func(e *Entry) { e.Data += "x" },
		"invalid UTF-8":    func(e *Entry) { e.Data = strings.Replace(e.Data, "[]", "[\"\xff\"]", 1) },
		"own that is none": func(e *Entry) { e.Own = "x" },
		"another version":  func(e *Entry) { e.Own = `{"version":9}` },
		"our own type":     func(e *Entry) { e.Type = "0" },
	} {
		e := good
		change(&e)
		if h, err := e.Header(); !errors.Is(err, adapter.ErrMalformed) {
			t.Errorf("%s: got %v, %v, want ErrMalformed", name, h, err)
		}
	}
}

// hostile are messages that nobody of good will sends.
func hostile() []string {
	deep := func(n int) string {
		return shaped("3", `{"packet":{"type":2,"data":["e",`+strings.Repeat("[", n)+strings.Repeat("]", n)+`]},`+everybody+`}`)
	}
	return []string{
		"", "\x00", "{", "[", "\xde\xad\xbe\xef", "hello", "\xdd\xff\xff\xff\xff", "\xdf\xff\xff\xff\xff\xa4data", "\xdb\xff\xff\xff\xffx", "\xc9\xff\xff\xff\xff\x01",
		"\xc6\xff\xff\xff\xff", "\x81\xa4data\xdf\xff\xff\xff\xff", "\x81\xa4data\x81\xa4opts\x81\xa5rooms\xdd\xff\xff\xff\xff", "\x81\xa4data\x81\xa7sockets\xdd\x00\xff\xff\xff",
		strings.Repeat("\x91", 200_000), strings.Repeat("\x81\xa1a", 200_000), strings.Repeat("[", 200_000), strings.Repeat(`{"a":`, 200_000), deep(200_000), deep(1001),
		`{"type":3,"data":{"packet":{"type":2,"data":["e"]},"opts":{"rooms":["` + "\xff" + `"]}},"uid":"a","nsp":"/"}`,
		`{"a":"` + strings.Repeat(`\u0000`, 100_000) + `"}`, `{"` + strings.Repeat("a", 1<<20), "{" + strings.Repeat(" ", 1<<20), "\xc1", "\xc1" + strings.Repeat("\x00", 64),
	}
}

// endless are messages with lists that are too long.
func endless() []string {
	return []string{
		shaped("3", `{"packet":{"type":2,"data":["e"]},"opts":{"rooms":[`+strings.TrimSuffix(strings.Repeat(`"",`, 1<<20+1), ",")+`]}}`),
		shaped("8", `{"requestId":"r","sockets":[`+strings.TrimSuffix(strings.Repeat(`{"id":"a"},`, 1<<20+1), ",")+`]}`),
	}
}

func TestHeader_HostileMessagesCostNoMoreThanTheirSize(t *testing.T) {
	for _, payload := range append(hostile(), endless()...) {
		var before, after runtime.MemStats
		data := []byte(payload)
		runtime.ReadMemStats(&before)
		h, err := ReadHeader(data)
		if err == nil {
			_, err = h.Message()
		}
		runtime.ReadMemStats(&after)
		if !errors.Is(err, adapter.ErrMalformed) {
			t.Errorf("%.60q (%d bytes): got %v, want ErrMalformed", payload, len(payload), err)
		}
		// Lists that grow are copied; what one element takes is bounded.
		const perByte, few = 64, 64 << 10
		if used := after.TotalAlloc - before.TotalAlloc; used > uint64(perByte*len(payload)+few) {
			t.Errorf("%.60q: %d bytes took %d", payload, len(payload), used)
		}
	}
}

func TestEntry_HostileFieldsAreMalformed(t *testing.T) {
	for _, payload := range hostile() {
		for _, data := range []string{payload, base64.StdEncoding.EncodeToString([]byte(payload))} {
			for _, e := range []Entry{{nodeUID, "/", "3", data, ""}, {nodeUID, "/", "0", "", data}, {nodeUID, "/", data, "{}", ""}} {
				h, err := e.Header()
				if err == nil {
					_, err = h.Message()
				}
				if !errors.Is(err, adapter.ErrMalformed) {
					t.Errorf("%.60q: got %v, want ErrMalformed", data, err)
				}
			}
		}
	}
}

func TestHeader_DepthIsLimitedInBothForms(t *testing.T) {
	for _, c := range []struct {
		depth int
		good  bool
	}{{999, true}, {1000, false}} {
		nested := strings.Repeat("[", c.depth) + strings.Repeat("]", c.depth)
		text := shaped("3", `{"packet":{"type":2,"data":["e",`+nested+`]},`+everybody+`}`)
		packed := bytes.Replace(repacked(t, shaped("3", `{"packet":{"type":2,"data":["e",7]},`+everybody+`}`)), []byte("\xa1e\x07"),
			append([]byte("\xa1e"), append(bytes.Repeat([]byte{0x91}, c.depth-1), 0x90)...), 1)
		for _, payload := range [][]byte{[]byte(text), packed} {
			h, err := ReadHeader(payload)
			if err == nil {
				_, err = h.Message()
			}
			if (err == nil) != c.good {
				t.Errorf("depth %d: %v", c.depth, err)
			}
		}
	}
}
