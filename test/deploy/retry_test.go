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

// request sends a request to the Socket.IO endpoint and returns the answer's status.
func request(t *testing.T, method, url, query string) int {
	t.Helper()
	body := strings.NewReader("")
	if method == http.MethodPost {
		body = strings.NewReader("4hello")
	}
	r, err := http.NewRequestWithContext(t.Context(), method, url+"/socket.io/?EIO=4&transport=polling&"+query, body)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	return response.StatusCode
}
