package admin

import (
	"bytes"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
)

const profile = "/debug/pprof/goroutine?debug=1"

func TestProfiles_NeedTheCredentialOffLoopback(t *testing.T) {
	var log bytes.Buffer
	r := start(t, false, Options{Token: token, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	basic := func(password string) string {
		request, _ := http.NewRequest("GET", "/", nil)
		request.SetBasicAuth("", password)
		return request.Header.Get("Authorization")
	}
	for name, tt := range map[string]struct {
		authorization string
		want          int
	}{
		"none":           {"", http.StatusUnauthorized},
		"empty":          {"Bearer ", http.StatusUnauthorized},
		"wrong":          {"Bearer " + token + "x", http.StatusUnauthorized},
		"shorter":        {"Bearer " + token[1:], http.StatusUnauthorized},
		"wrong password": {basic("x"), http.StatusUnauthorized},
		"bearer":         {"Bearer " + token, http.StatusOK},
		"password":       {basic(token), http.StatusOK},
	} {
		t.Run(name, func(t *testing.T) {
			for _, path := range []string{profile, "/debug/pprof/", "/debug/pprof/symbol"} {
				status, text, header := r.ask("GET", path, "", "Authorization", tt.authorization)
				if status != tt.want || status == http.StatusUnauthorized && header.Get("WWW-Authenticate") == "" {
					t.Errorf("%s: got %d %.60q %v, want %d", path, status, text, header, tt.want)
				}
			}
		})
	}
	if text := log.String(); !strings.Contains(text, "wrong admin credential") || strings.Contains(text, token) {
		t.Errorf("the log is %q, want the attempts and no credential", text)
	}
}

func TestProfiles_AreOffWithoutACredentialOffLoopback(t *testing.T) {
	r := start(t, false, Options{})
	for _, headers := range [][]string{nil, {"Authorization", "Bearer "}, {"Authorization", "Basic Og=="}} {
		if status, _, _ := r.ask("GET", profile, "", headers...); status != http.StatusForbidden {
			t.Errorf("%q: got %d, want 403", headers, status)
		}
	}
}

func TestProfiles_AreOpenOnLoopback(t *testing.T) {
	r := start(t, true, Options{Token: token})
	if status, text, _ := r.ask("GET", profile, ""); status != http.StatusOK || !strings.Contains(text, "goroutine profile") {
		t.Errorf("got %d %.60q, want the profile", status, text)
	}
	if status, _, _ := r.ask("GET", "/debug/pprof/cmdline", ""); status != http.StatusNotFound {
		t.Errorf("the command line, with its secrets, is answered with %d, want 404", status)
	}
}

// A site whose name points to this machine is of our origin, as a browser sees it.
func TestGuard_OnLoopbackAnswersToItsOwnNamesOnly(t *testing.T) {
	r := start(t, true, Options{})
	for host, want := range map[string]int{
		"localhost": http.StatusOK, "LOCALHOST:9090": http.StatusOK, "127.0.0.1:80": http.StatusOK, "127.0.0.9": http.StatusOK, "[::1]:9090": http.StatusOK, "[::1]": http.StatusOK,
		"evil.example": http.StatusMisdirectedRequest, "evil.example:9090": http.StatusMisdirectedRequest, "localhost.evil.example": http.StatusMisdirectedRequest,
		"10.0.0.7:9090": http.StatusMisdirectedRequest,
	} {
		if status, _, _ := r.ask("GET", "/debug/nodes", "", "Host", host); status != want {
			t.Errorf("%s: got %d, want %d", host, status, want)
		}
	}
	open := start(t, false, Options{})
	if status, _, _ := open.ask("GET", "/readyz", "", "Host", "node2.cluster:9090"); status != http.StatusOK {
		t.Errorf("off loopback: got %d for a name, want 200", status)
	}
}

// HAProxy asks with HTTP/1.0 and without a Host header, which no browser does.
func TestGuard_OnLoopbackAnswersTheChecksOfLoadBalancers(t *testing.T) {
	r := start(t, true, Options{})
	c, err := net.Dial("tcp", r.admin.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, "HEAD /readyz HTTP/1.0\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(c)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(string(answer), "HTTP/1.0 200 ") {
		t.Errorf("got %q, want 200", answer)
	}
}

func TestGuard_RefusesPagesOfOtherSites(t *testing.T) {
	r := start(t, true, Options{})
	for name, tt := range map[string]struct {
		headers []string
		want    int
	}{
		"no browser":         {nil, http.StatusOK},
		"our page":           {[]string{"Sec-Fetch-Site", "same-origin", "Sec-Fetch-Mode", "cors"}, http.StatusOK},
		"an address typed":   {[]string{"Sec-Fetch-Site", "none", "Sec-Fetch-Mode", "navigate"}, http.StatusOK},
		"a link followed":    {[]string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate"}, http.StatusOK},
		"another site's":     {[]string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "no-cors"}, http.StatusForbidden},
		"a neighbour's page": {[]string{"Sec-Fetch-Site", "same-site", "Sec-Fetch-Mode", "cors"}, http.StatusForbidden},
	} {
		t.Run(name, func(t *testing.T) {
			status, _, header := r.ask("GET", "/debug/nodes", "", tt.headers...)
			if status != tt.want {
				t.Errorf("got %d, want %d", status, tt.want)
			}
			if got := header.Get("Access-Control-Allow-Origin"); got != "" {
				t.Errorf("other origins may read: %q", got)
			}
		})
	}
}
