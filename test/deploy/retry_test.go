//go:build integration

package deploy

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/gorilla/websocket"
)

// fakes are three servers in the place of nodes, which count what reaches them.
type fakes struct {
	backends []backend

	mu      sync.Mutex
	arrived map[string]int // by the request's parameter n
}

// startFakes starts servers that answer checks, count every other request, and have
// serve answer it, who is told the server's number. They end with the test.
func startFakes(t *testing.T, serve func(number int, w http.ResponseWriter, r *http.Request)) *fakes {
	t.Helper()
	f := &fakes{arrived: map[string]int{}}
	for number := range 3 {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/readyz" || r.URL.Path == "/livez" {
				return
			}
			f.mu.Lock()
			f.arrived[r.FormValue("n")]++
			f.mu.Unlock()
			serve(number, w, r)
		}))
		t.Cleanup(s.Close)
		port := s.Listener.Addr().(*net.TCPAddr).Port
		f.backends = append(f.backends, backend{port, port})
	}
	return f
}

// A node that takes no new session says 503. Whoever comes is not told: the next node
// is asked.
func TestRetry_RefusedHandshakeGoesToTheNextNode(t *testing.T) {
	for _, b := range balancers {
		t.Run(b.name, func(t *testing.T) {
			f := startFakes(t, func(number int, w http.ResponseWriter, _ *http.Request) {
				if number < 2 {
					w.WriteHeader(http.StatusServiceUnavailable)
				}
			})
			url := b.start(t, f.backends, nil)
			for n := range 9 {
				if status := request(t, http.MethodGet, url, fmt.Sprintf("n=%d", n)); status != http.StatusOK {
					t.Errorf("handshake %d: got %d, want 200 of the third node", n, status)
				}
			}
		})
	}
}

// A node dies with a request in its hands. A POST that was sent again might have its
// events handled twice; a GET that was sent again would hide from the client that what
// the first one brought is lost.
func TestRetry_RequestOfASessionIsSentOnce(t *testing.T) {
	for _, b := range balancers {
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			t.Run(b.name+" "+method, func(t *testing.T) {
				f := startFakes(t, func(_ int, w http.ResponseWriter, _ *http.Request) {
					c, _, err := w.(http.Hijacker).Hijack()
					if err != nil {
						t.Error(err)
						return
					}
					_ = c.Close()
				})
				url := b.start(t, f.backends, nil)
				for n := range 3 {
					if status := request(t, method, url, fmt.Sprintf("sid=abc&n=%d", n)); status != http.StatusBadGateway {
						t.Errorf("request %d: got %d, want 502", n, status)
					}
				}
				f.mu.Lock()
				defer f.mu.Unlock()
				if len(f.arrived) == 0 {
					t.Error("nothing has arrived")
				}
				for n, times := range f.arrived {
					if times != 1 {
						t.Errorf("request %s has arrived %d times", n, times)
					}
				}
			})
		}
	}
}

// A node that says 503 has done nothing with the request. Another one is asked for what a
// client of a session wants to get, a WebSocket among it; what it posts is never sent twice.
func TestRetry_RefusedRequestOfASession(t *testing.T) {
	for _, b := range balancers {
		t.Run(b.name, func(t *testing.T) {
			f := startFakes(t, func(number int, w http.ResponseWriter, r *http.Request) {
				switch {
				case number < 2:
					w.Header().Set("Retry-After", "1")
					w.WriteHeader(http.StatusServiceUnavailable)
				case r.Header.Get("Upgrade") != "":
					c, err := (&websocket.Upgrader{}).Upgrade(w, r, nil)
					if err != nil {
						t.Error(err)
						return
					}
					_ = c.Close()
				}
			})
			url := b.start(t, f.backends, nil)
			for n := range 9 {
				if status := request(t, http.MethodGet, url, fmt.Sprintf("sid=abc&n=get%d", n)); status != http.StatusOK {
					t.Errorf("GET %d: got %d, want 200 of the third node", n, status)
				}
				upgrade := []string{"Connection", "Upgrade", "Upgrade", "websocket", "Sec-WebSocket-Version", "13", "Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAAAA=="}
				if status := request(t, http.MethodGet, url, fmt.Sprintf("sid=abc&n=upgrade%d", n), upgrade...); status != http.StatusSwitchingProtocols {
					t.Errorf("upgrade %d: got %d, want 101 of the third node", n, status)
				}
				request(t, http.MethodPost, url, fmt.Sprintf("sid=abc&n=post%d", n))
			}
			f.mu.Lock()
			defer f.mu.Unlock()
			for n := range 9 {
				if times := f.arrived[fmt.Sprintf("post%d", n)]; times != 1 {
					t.Errorf("POST %d has arrived %d times", n, times)
				}
			}
		})
	}
}

// request sends a request to the Socket.IO endpoint, with headers of which each value follows
// its name, and returns the answer's status.
func request(t *testing.T, method, url, query string, header ...string) int {
	t.Helper()
	body := strings.NewReader("")
	if method == http.MethodPost {
		body = strings.NewReader("4hello")
	}
	r, err := http.NewRequestWithContext(t.Context(), method, url+"/socket.io/?EIO=4&transport=polling&"+query, body)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	return response.StatusCode
}
