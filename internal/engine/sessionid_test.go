package engine

import (
	"encoding/base64"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestSessionID_HasTwentyCharactersAndEndsInTheTag(t *testing.T) {
	f := newFixture(t, Options{Tag: func() uint32 { return 0xabcdef }})
	r := httptest.NewRequest("GET", "/", nil)
	seen := map[string]bool{}
	for range 1000 {
		id, err := f.engine.newID(r)
		raw, decodeErr := base64.RawURLEncoding.DecodeString(id)
		if err != nil || decodeErr != nil || !validID(id) || len(id) != 20 ||
			raw[12] != 0xab || raw[13] != 0xcd || raw[14] != 0xef || seen[id] {
			t.Fatalf("got id %q, %v", id, err)
		}
		seen[id] = true
	}
}

func TestSessionID_OfTheApplicationIsTheClients(t *testing.T) {
	f := onSockets(t, Options{Cookie: &http.Cookie{}, NewID: func(r *http.Request) (string, error) {
		return "mine-" + r.URL.Query().Get("name"), nil
	}})
	a := f.do("GET", pollQuery+"&name=a", "")
	if sid := sidOf(t, a.body); sid != "mine-a" || f.next().session.ID() != sid {
		t.Errorf("polling got the id %q", sid)
	}
	if got := a.header.Get("Set-Cookie"); !strings.HasPrefix(got, "io=mine-a;") {
		t.Errorf("the cookie is %q", got)
	}
	f.do("POST", pollQuery+"&sid=mine-a", "4x").expect(t, http.StatusOK, "ok")
	if sid := sidOf(t, f.dial(socketQuery+"&name=b").read()); sid != "mine-b" {
		t.Errorf("WebSocket got the id %q", sid)
	}
}

func TestSessionID_ThatCannotBeUsedIsRefused(t *testing.T) {
	failure := errors.New("no more ids")
	tests := map[string]struct {
		id        string
		err, want error
	}{
		"error":           {"fine", failure, failure},
		"empty":           {"", nil, errIDInvalid},
		"taken":           {"taken", nil, errIDTaken},
		"129 bytes":       {strings.Repeat("a", 129), nil, errIDInvalid},
		"space":           {"a b", nil, errIDInvalid},
		"semicolon":       {"a;b", nil, errIDInvalid},
		"ampersand":       {"a&b", nil, errIDInvalid},
		"percent":         {"a%62", nil, errIDInvalid},
		"slash":           {"a/b", nil, errIDInvalid},
		"line break":      {"a\r\nX: 1", nil, errIDInvalid},
		"zero byte":       {"a\x00", nil, errIDInvalid},
		"letter of Latin": {"\u00e9", nil, errIDInvalid},
		"not UTF-8":       {"a\xff", nil, errIDInvalid},
		"Kelvin sign":     {"\u212a", nil, errIDInvalid}, // folds to a k
	}
	var mu sync.Mutex
	var refused []Refusal
	f := onSockets(t, Options{
		NewID: func(r *http.Request) (string, error) {
			tt := tests[r.Header.Get("X-Test")]
			return tt.id, tt.err
		},
		OnRefused: func(_ *http.Request, refusal Refusal) {
			mu.Lock()
			refused = append(refused, refusal)
			mu.Unlock()
		},
	})
	if a := f.do("GET", pollQuery, "", "X-Test", "taken"); a.status != http.StatusOK {
		t.Fatalf("got %d %q", a.status, a.body)
	}
	r := f.next()
	for name, tt := range tests {
		f.do("GET", pollQuery, "", "X-Test", name).expect(t, http.StatusBadRequest, badRequestBody)
		if _, a := f.tryDial(socketQuery, http.Header{"X-Test": {name}}); a.status != http.StatusBadRequest || a.body != "Bad request" {
			t.Errorf("%s: WebSocket got %d %q", name, a.status, a.body)
		}
		mu.Lock()
		for _, got := range refused {
			if got.Code != 3 || !errors.Is(got.Err, tt.want) || !errors.Is(got.Err, errNewID) {
				t.Errorf("%s: reported as %+v", name, got)
			}
		}
		if len(refused) != 2 {
			t.Errorf("%s: reported %d times, want 2", name, len(refused))
		}
		refused = nil
		mu.Unlock()
	}
	f.expectOpen(r)
	if n := len(f.engine.snapshot()); n != 1 {
		t.Errorf("%d sessions", n)
	}
}

// What the end of the first session has left behind must not end the second.
func TestSessionID_MayBeUsedAgainAfterTheEnd(t *testing.T) {
	again := func(*http.Request) (string, error) { return "again", nil }
	inBubble(t, Options{NewID: again}, func(f *fixture) {
		p, r := f.openPolling()
		c := p.probe()
		c.send("2probe")
		c.expect("3probe")
		r.session.Close()
		c.send("5")
		c.expectCode(1000)
		c.expectGone()
		p, r = f.openPolling()
		<-time.After(lingerTime)
		p.post("4x").expect(t, http.StatusOK, "ok")
		f.expectMessages(r, "x")
	})
}

func TestSessionID_Characters(t *testing.T) {
	for _, id := range []string{"a", "Z", "0", "-._~", strings.Repeat("a", 128), "0190a6b2-7c1e-7000-8000-000000000000"} {
		if !validID(id) {
			t.Errorf("%q is refused", id)
		}
	}
	for _, c := range "@[`{/:!\"#$%&'()*+,;<=>?\\]^|}\t\x7f" {
		if validID("a" + string(c)) {
			t.Errorf("%q is accepted", c)
		}
	}
}
