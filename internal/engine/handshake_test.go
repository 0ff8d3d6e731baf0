package engine

import (
	"net/http/httptest"
	"reflect"
	"testing"
)

func TestHandshake_KeepsWhatTheRequestSaid(t *testing.T) {
	r := httptest.NewRequest("GET", "/socket.io/?EIO=4&transport=polling&a=1&a=%20", nil)
	r.Host = "example.com"
	r.Header.Add("X-Many", "one")
	r.Header.Add("X-Many", "two: three")
	r.Header.Set("X-Empty", "")
	h := newHandshake(r)
	if h.XDomain || h.Secure || h.URL != "/socket.io/?EIO=4&transport=polling&a=1&a=%20" || h.RemoteAddr != r.RemoteAddr {
		t.Errorf("got %+v", h)
	}
	want := r.Header.Clone()
	want.Set("Host", "example.com")
	if got := h.Header(); !reflect.DeepEqual(got, want) {
		t.Errorf("got headers %q, want %q", got, want)
	}
	if got := h.Query(); !reflect.DeepEqual(got["a"], []string{"1", " "}) {
		t.Errorf("got query %q", got)
	}
	r.Header.Set("Origin", "https://other.example")
	if !newHandshake(r).XDomain {
		t.Error("a request with an Origin is not XDomain")
	}
}
