package engine

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"
)

// fromNode is what a Node.js server had for a request with repeated headers and
// parameters, and with bytes beyond ASCII.
const fromNode = `{"headers":{"host":"h","x-many":"one, two","cookie":"a=1; b=2","referer":"r1","x-latin":"café",` +
	`"connection":"Upgrade"},"time":"Sun Nov 22 2026 22:45:37 GMT+0000 (Coordinated Universal Time)",` +
	`"address":"127.0.0.1","xdomain":false,"secure":true,"issued":1795387537870,` +
	`"url":"/socket.io/?EIO=4&transport=websocket&a=1&a=%20b&x=%c3%a9",` +
	`"query":{"EIO":"4","transport":"websocket","a":" b","x":"é"},"auth":{"token":"x"}}`

// sameJSON compares two JSON texts whatever the order of their keys.
func sameJSON(t *testing.T, got, want []byte) {
	t.Helper()
	var g, w any
	if err := json.Unmarshal(got, &g); err != nil {
		t.Fatalf("%v in %s", err, got)
	}
	if err := json.Unmarshal(want, &w); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(g, w) {
		t.Errorf("got %s\nwant %s", got, want)
	}
}

func TestHandshakeJSON_IsWhatNodeWrites(t *testing.T) {
	r := httptest.NewRequest("GET", "/socket.io/?EIO=4&transport=websocket&a=1&a=%20b&x=%c3%a9", nil)
	r.Host, r.RemoteAddr = "h", "127.0.0.1:5000"
	for _, line := range [][2]string{
		{"X-Many", "one"}, {"X-Many", "two"}, {"Cookie", "a=1"}, {"Cookie", "b=2"},
		{"Referer", "r1"}, {"Referer", "r2"}, {"X-Latin", "caf\xe9"}, {"Connection", "Upgrade"},
	} {
		r.Header.Add(line[0], line[1])
	}
	h := newHandshake(r)
	h.Secure, h.Time = true, time.UnixMilli(1795387537870).In(time.FixedZone("elsewhere", 3600))
	got := h.AppendJSON([]byte("before"), []byte(`{"token":"x"}`))
	got, found := bytes.CutPrefix(got, []byte("before"))
	if !found {
		t.Fatalf("got %s, want it appended", got)
	}
	sameJSON(t, got, []byte(fromNode))
}

func TestHandshakeJSON_OfNodeIsRead(t *testing.T) {
	data := []byte(fromNode)
	h, auth, err := ParseHandshake(data)
	if err != nil {
		t.Fatal(err)
	}
	clear(data) // which the caller uses again
	if string(auth) != `{"token":"x"}` {
		t.Errorf("auth is %s", auth)
	}
	if h.URL != "/socket.io/?EIO=4&transport=websocket&a=1&a=%20b&x=%c3%a9" || h.RemoteAddr != "127.0.0.1" ||
		!h.Secure || h.XDomain || !h.Time.Equal(time.UnixMilli(1795387537870)) {
		t.Errorf("got %+v", h)
	}
	header := h.Header()
	for name, want := range map[string]string{
		"Host": "h", "X-Many": "one, two", "Cookie": "a=1; b=2", "X-Latin": "caf\xe9",
	} {
		if got := header.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if got := h.Query(); !reflect.DeepEqual(got["a"], []string{"1", " b"}) || got.Get("x") != "é" {
		t.Errorf("query is %q", got)
	}
	sameJSON(t, h.AppendJSON(nil, auth), []byte(fromNode))
}

func TestHandshakeJSON_WithoutAuthHasAnEmptyOne(t *testing.T) {
	r := httptest.NewRequest("GET", "/", nil)
	r.RemoteAddr = "[::1]:80"
	r.Header.Set("Origin", "https://<&>.example")
	h, auth, err := ParseHandshake(newHandshake(r).AppendJSON(nil, nil))
	if err != nil || string(auth) != "{}" || h.RemoteAddr != "::1" || !h.XDomain || h.Secure {
		t.Errorf("got %+v, auth %q, %v", h, auth, err)
	}
	if got := h.Header().Get("Origin"); got != "https://<&>.example" {
		t.Errorf("Origin is %q", got)
	}
	if got := h.Query(); len(got) != 0 {
		t.Errorf("query is %q", got)
	}
	if again, _, err := ParseHandshake(h.AppendJSON(nil, nil)); err != nil || again.RemoteAddr != "::1" {
		t.Errorf("the address without a port became %+v, %v", again, err)
	}
}

func TestHandshakeJSON_QueryOfTheApplicationWins(t *testing.T) {
	tests := map[string]struct{ text, want string }{
		"changed":           {`{"url":"/x/?a=1","query":{"a":"2"}}`, "/x/?a=2"},
		"added":             {`{"url":"/x/?a=1","query":{"a":"1","b":"&"}}`, "/x/?a=1&b=%26"},
		"removed":           {`{"url":"/x/?a=1&b=2","query":{"b":"2"}}`, "/x/?b=2"},
		"array":             {`{"url":"/x/","query":{"a":["1","2"]}}`, "/x/?a=1&a=2"},
		"array, the same":   {`{"url":"/x/?a=1&a=%32","query":{"a":["1","2"]}}`, "/x/?a=1&a=%32"},
		"no text":           {`{"url":"/x/?a=1","query":{"a":"1","b":{"c":[1]},"d":7,"e":null,"f":[]}}`, "/x/?a=1"},
		"absent":            {`{"url":"/x/?a=1"}`, "/x/?a=1"},
		"null":              {`{"url":"/x/?a=1","query":null}`, "/x/?a=1"},
		"without URL":       {`{"query":{"a":"1"}}`, "?a=1"},
		"another's reading": {`{"url":"/x/?a=%zz","query":{"a":"%zz"}}`, "/x/?a=%25zz"},
	}
	for name, tt := range tests {
		h, _, err := ParseHandshake([]byte(tt.text))
		if err != nil || h.URL != tt.want {
			t.Errorf("%s: got %+v, %v, want %q", name, h, err, tt.want)
		}
	}
}

func TestHandshakeJSON_ToleratesWhatAnApplicationMayPutThere(t *testing.T) {
	for _, text := range []string{
		`{}`, ` { } `, `{"unknown":[{}]}`, `{"headers":{"x":1,"y":null,"z":{"a":"b"}}}`, `{"headers":null,"time":null,"address":null}`,
		`{"auth":null}`, `{"auth":"text"}`, `{"auth":[{}]}`, `{"auth":7}`,
	} {
		h, auth, err := ParseHandshake([]byte(text))
		if err != nil || auth != nil || len(h.Header()) != 0 {
			t.Errorf("%s: got %+v, auth %q, %v", text, h, auth, err)
		}
	}
	h, auth, err := ParseHandshake([]byte(`{"headers":{"set-cookie":["a=1",2,"b=2"],":path":"/","x":"\u20ac"},"auth": {"a": 1} }`))
	if err != nil || string(auth) != `{"a": 1}` {
		t.Fatalf("auth %q, %v", auth, err)
	}
	header := h.Header()
	if !reflect.DeepEqual(header["Set-Cookie"], []string{"a=1", "b=2"}) || header[":path"][0] != "/" || header.Get("X") != "€" {
		t.Errorf("got headers %q", header)
	}
	if got := string(h.AppendJSON(nil, auth)); !strings.Contains(got, `"set-cookie":["a=1","b=2"]`) {
		t.Errorf("got %s", got)
	}
}

func TestHandshakeJSON_MalformedOnesAreRefused(t *testing.T) {
	for _, text := range []string{
		``, `null`, `[]`, `"x"`, `7`, `{`, `{} {}`, `{"url":1}`, `{"secure":"yes"}`, `{"headers":[]}`, `{"query":"a=1"}`,
		`{"issued":9e15}`, `{"issued":-9e15}`, `{"issued":1e999}`, `{"issued":"now"}`,
		`{"headers":{"":"x"}}`, `{"headers":{"a b":"x"}}`, `{"headers":{"a\n":"x"}}`, `{"headers":{"é":"x"}}`,
		`{"headers":{"a":"x\nInjected: 1"}}`, `{"headers":{"a":"\u0000"}}`, `{"headers":{"a":["b","\r"]}}`,
		`{"url":"/\n"}`, `{"address":"1.2.3.4\n"}`,
		`{"auth":` + strings.Repeat("[", 100_000) + `}`,
	} {
		h, auth, err := ParseHandshake([]byte(text))
		if !errors.Is(err, ErrHandshake) || h != nil || auth != nil {
			t.Errorf("%.60s: got %+v, %q, %v", text, h, auth, err)
		}
	}
}

func FuzzHandshake(f *testing.F) {
	for _, seed := range []string{
		fromNode, `{}`, `{"url":"/?a=1;b=%zz#c","query":{"a":["1","2"]}}`, `{"headers":{"Cookie":"a","cookie":"b","x":["\u00e9"]}}`,
		`{"issued":-1.5,"address":"[::1%eth0]:7","auth":{"a":[1e9]}}`, `{"headers":{"a":"\n"}}`, `{"url":"\u0080\u20ac"}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		h, auth, err := ParseHandshake(data)
		if err != nil {
			return
		}
		// What was read once is written and read without a change.
		h, auth, err = ParseHandshake(h.AppendJSON(nil, auth))
		if err != nil {
			t.Fatalf("our own form is refused: %v", err)
		}
		text := h.AppendJSON(nil, auth)
		again, auth, err := ParseHandshake(text)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if got := again.AppendJSON(nil, auth); !bytes.Equal(got, text) {
			t.Errorf("got %s\nwant %s", got, text)
		}
	})
}

func BenchmarkHandshake_AppendJSON(b *testing.B) {
	h, auth, err := ParseHandshake([]byte(fromNode))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		_ = h.AppendJSON(nil, auth)
	}
}

func BenchmarkParseHandshake(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		_, _, _ = ParseHandshake([]byte(fromNode))
	}
}
