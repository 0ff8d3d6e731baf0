package engine

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

const (
	ours    = "https://ours.example"
	foreign = "https://foreign.example"
)

func TestCORS_ForeignOriginIsRefusedOnBothTransports(t *testing.T) {
	f := onSockets(t, Options{CORS: &CORS{Origins: []string{ours}}})
	own := "http://" + strings.Split(f.base, "/")[2]
	for _, origin := range []string{"", ours, own} {
		header := http.Header{}
		if origin != "" {
			header.Set("Origin", origin)
		}
		if a := f.do("GET", pollQuery, "", "Origin", origin); a.status != http.StatusOK {
			t.Errorf("origin %q: polling got %d %q", origin, a.status, a.body)
		}
		conn, a := f.tryDial(socketQuery, header)
		if a.err != nil {
			t.Errorf("origin %q: WebSocket got %v", origin, a.err)
			continue
		}
		_ = conn.Close()
	}
	for _, origin := range []string{foreign, "null", "https://ours.example.evil", "\xff", "http://"} {
		a := f.do("GET", pollQuery, "", "Origin", origin)
		a.expect(t, http.StatusForbidden, `{"code":4,"message":"Forbidden"}`)
		if a.header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("origin %q is allowed in a header", origin)
		}
		if _, a := f.tryDial(socketQuery, http.Header{"Origin": {origin}}); a.status != http.StatusForbidden {
			t.Errorf("origin %q: WebSocket got %d, want 403", origin, a.status)
		}
	}
	if got := f.engine.Stats().Refused[reasonOrigin]; got != 10 {
		t.Errorf("counted %d refused origins, want 10", got)
	}
}

func TestCORS_Headers(t *testing.T) {
	tests := map[string]struct {
		cors        *CORS
		origin      string
		allowed     string
		credentials string
	}{
		"none":        {nil, foreign, "", ""},
		"listed":      {&CORS{Origins: []string{ours}}, ours, ours, ""},
		"credentials": {&CORS{Origins: []string{ours}, Credentials: true}, ours, ours, "true"},
		"any":         {&CORS{Origins: []string{"*"}}, foreign, "*", ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			f := onSockets(t, Options{CORS: tt.cors})
			// Errors carry the headers, too, so that the page can read them.
			for _, query := range []string{pollQuery, "EIO=4&transport=none"} {
				a := f.do("GET", query, "", "Origin", tt.origin)
				if got := a.header.Get("Access-Control-Allow-Origin"); got != tt.allowed {
					t.Errorf("Access-Control-Allow-Origin is %q, want %q", got, tt.allowed)
				}
				if got := a.header.Get("Access-Control-Allow-Credentials"); got != tt.credentials {
					t.Errorf("Access-Control-Allow-Credentials is %q, want %q", got, tt.credentials)
				}
				if varies := a.header.Get("Vary") == "Origin"; varies != (tt.allowed == ours) {
					t.Errorf("Vary is %q", a.header.Get("Vary"))
				}
			}
		})
	}
}

func TestCORS_PreflightIsAnswered(t *testing.T) {
	f := onSockets(t, Options{CORS: &CORS{Origins: []string{ours}, MaxAge: 60_000_000_000}})
	a := f.do("OPTIONS", pollQuery, "", "Origin", ours, "Access-Control-Request-Headers", "x-mine")
	a.expect(t, http.StatusNoContent, "")
	for name, want := range map[string]string{
		"Access-Control-Allow-Origin":  ours,
		"Access-Control-Allow-Methods": "GET,HEAD,PUT,PATCH,POST,DELETE",
		"Access-Control-Allow-Headers": "x-mine",
		"Access-Control-Max-Age":       "60",
	} {
		if got := a.header.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if a := f.do("OPTIONS", pollQuery, "", "Origin", foreign); a.status != http.StatusForbidden {
		t.Errorf("foreign preflight got %d, want 403", a.status)
	}
}

func TestCORS_HeadersOfWhatIsServedBesideTheEngine(t *testing.T) {
	for origin, want := range map[string]string{ours: ours, foreign: "", "": ""} {
		f := newFixture(t, Options{CORS: &CORS{Origins: []string{ours}}})
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Origin", origin)
		header := http.Header{}
		f.engine.SetCORS(header, r)
		if got := header.Get("Access-Control-Allow-Origin"); got != want {
			t.Errorf("origin %q: got %q, want %q", origin, got, want)
		}
		header = http.Header{}
		newFixture(t, Options{}).engine.SetCORS(header, r)
		if len(header) != 0 {
			t.Errorf("without the option: got %q", header)
		}
	}
}
