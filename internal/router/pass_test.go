package router

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/roomcast/roomcast/pkg/adapter"
)

const target = "/socket.io/?EIO=4&transport=polling&sid=0123456789abcdefAAAB"

// passed is a request with a pass from node a to node b.
func passed(s *Signer, number uint64) *http.Request {
	r := httptest.NewRequest("GET", target, nil)
	p := &pass{from: "a", to: "b", number: number, signed: time.Now(), client: "203.0.113.5:4711", secure: true}
	r.Header.Set(headerName, s.write(p, "GET", target))
	return r
}

func owner(t testing.TB, id adapter.NodeID) *Router {
	t.Helper()
	r := New(t.Context(), signer(t, ""), Options{Self: id})
	t.Cleanup(func() { _ = r.Close(t.Context()) })
	return r
}

func TestPass_BringsTheClientsAddressAndNoMore(t *testing.T) {
	b := owner(t, "b")
	r := passed(signer(t, ""), 1)
	if strings.Contains(r.Header.Get(headerName), string(secret)) {
		t.Error("the secret is sent")
	}
	before := r.RemoteAddr
	got, err := b.Admit(r)
	if err != nil || got.RemoteAddr != "203.0.113.5:4711" || got.TLS == nil {
		t.Fatalf("got %+v, %v", got, err)
	}
	if r.RemoteAddr != before || r.TLS != nil {
		t.Error("the request itself was changed")
	}
	if got := b.Stats(); got.Admitted != 1 {
		t.Errorf("stats are %+v", got)
	}
}

func TestPass_RequestsWithoutOneAreLeftAlone(t *testing.T) {
	r := httptest.NewRequest("GET", target, nil)
	if got, err := owner(t, "b").Admit(r); got != r || err != nil {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestPass_NotGoodIsRefusedAndCounted(t *testing.T) {
	other, err := NewSigner([]byte("another secret, as long"), "")
	if err != nil {
		t.Fatal(err)
	}
	genuine := signer(t, "")
	change := func(name, value string) func() *http.Request {
		return func() *http.Request {
			r := passed(genuine, 1)
			fields, _ := url.ParseQuery(r.Header.Get(headerName))
			fields.Set(name, value)
			r.Header.Set(headerName, fields.Encode())
			return r
		}
	}
	for name, tt := range map[string]struct {
		request func() *http.Request
		reason  string
	}{
		"another secret":   {func() *http.Request { return passed(other, 1) }, "signature"},
		"no signature":     {change("signature", ""), "signature"},
		"another client":   {change("client", "198.51.100.1:1"), "signature"},
		"another number":   {change("number", "2"), "signature"},
		"another sender":   {change("from", "c"), "signature"},
		"another receiver": {change("to", "c"), "signature"},
		"another scheme":   {change("secure", "false"), "signature"},
		"a later time":     {change("time", "4102444800000"), "signature"},
		"another method": {func() *http.Request {
			r := passed(genuine, 1)
			r.Method = "POST"
			return r
		}, "signature"},
		"another path": {func() *http.Request {
			r := passed(genuine, 1)
			r.RequestURI = strings.Replace(target, "/socket.io/", "/admin/", 1)
			return r
		}, "signature"},
		"another session": {func() *http.Request {
			r := passed(genuine, 1)
			r.RequestURI = strings.Replace(target, "sid=0", "sid=1", 1)
			return r
		}, "signature"},
		"an address signed as a heartbeat": {func() *http.Request {
			r := passed(genuine, 1)
			h := announce(signer(t, "http://a:1"), "a", 7)
			fields, _ := url.ParseQuery(r.Header.Get(headerName))
			fields.Set("signature", string(h.Proof))
			r.Header.Set(headerName, fields.Encode())
			return r
		}, "malformed"},
		"for another node": {func() *http.Request {
			r := httptest.NewRequest("GET", target, nil)
			r.Header.Set(headerName, genuine.write(&pass{from: "a", to: "c", number: 1, signed: time.Now()}, "GET", target))
			return r
		}, "addressee"},
		"old": {func() *http.Request {
			r := httptest.NewRequest("GET", target, nil)
			r.Header.Set(headerName, genuine.write(&pass{from: "a", to: "b", number: 1, signed: time.Now().Add(-maxSkew - time.Minute)}, "GET", target))
			return r
		}, "time"},
		"of the future": {func() *http.Request {
			r := httptest.NewRequest("GET", target, nil)
			r.Header.Set(headerName, genuine.write(&pass{from: "a", to: "b", number: 1, signed: time.Now().Add(maxSkew + time.Minute)}, "GET", target))
			return r
		}, "time"},
		"without a number": {func() *http.Request { return passed(genuine, 0) }, "repeated"},
		"empty":            {func() *http.Request { r := passed(genuine, 1); r.Header.Set(headerName, ""); return r }, "malformed"},
		"no fields":        {func() *http.Request { r := passed(genuine, 1); r.Header.Set(headerName, "1"); return r }, "malformed"},
		"none at all":      {func() *http.Request { r := passed(genuine, 1); r.Header[headerName] = nil; return r }, "malformed"},
		"two of them": {func() *http.Request {
			r := passed(genuine, 1)
			r.Header.Add(headerName, r.Header.Get(headerName))
			return r
		}, "malformed"},
	} {
		b := owner(t, "b")
		got, err := b.Admit(tt.request())
		if got != nil || err == nil {
			t.Errorf("%s: admitted", name)
		}
		if stats := b.Stats(); stats.Refused[tt.reason] != 1 || stats.Admitted != 0 {
			t.Errorf("%s: stats are %+v, want one %q", name, stats, tt.reason)
		}
	}
}

func TestPass_IsGoodOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := signer(t, ""), owner(t, "b")
		first, second := passed(a, 1), passed(a, 2)
		for _, r := range []*http.Request{second, first} { // they may overtake each other
			if _, err := b.Admit(r); err != nil {
				t.Fatal(err)
			}
		}
		for range 100 {
			for _, r := range []*http.Request{first, second} {
				if _, err := b.Admit(r); err == nil {
					t.Fatal("admitted again")
				}
			}
			time.Sleep(time.Second)
			// Others come and go, so that what is not needed is forgotten.
			r := httptest.NewRequest("GET", target, nil)
			from := adapter.NodeID(time.Now().String())
			r.Header.Set(headerName, a.write(&pass{from: from, to: "b", number: 1, signed: time.Now()}, "GET", target))
			if _, err := b.Admit(r); err != nil {
				t.Fatal(err)
			}
		}
		if got := len(b.signer.windows); got > 65 {
			t.Errorf("%d senders are remembered, one came each second", got)
		}
	})
}

func FuzzPass(f *testing.F) {
	s, err := NewSigner(secret, "")
	if err != nil {
		f.Fatal(err)
	}
	genuine := passed(s, 1).Header.Get(headerName)
	for _, seed := range []string{genuine, "", "from=a&to=b&number=1&time=1&secure=true&signature=", strings.Repeat("&", 100), "signature=%zz"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		r := httptest.NewRequest("GET", target, nil)
		r.Header[headerName] = []string{value}
		// The time of genuine passes is not the present one for long: nothing else is good.
		if p, refused := s.read(r, "c"); p != nil || refused == nil {
			t.Errorf("%q is a pass for c", value)
		}
	})
}
