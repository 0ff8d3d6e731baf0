package admin

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/roomcast/roomcast/pkg/adapter"
	"github.com/roomcast/roomcast/pkg/adapter/memory"
	"github.com/roomcast/roomcast/pkg/server"
)

// ignoringEnd is a test's context for what comes after its end.
func ignoringEnd(t *testing.T) context.Context { return context.WithoutCancel(t.Context()) }

func TestHealth_AnswersGetAndHead(t *testing.T) {
	r := start(t, false, Options{})
	for _, path := range []string{"/livez", "/readyz"} {
		status, text, header := r.ask("GET", path, "")
		if status != http.StatusOK || !json.Valid([]byte(text)) || header.Get("Content-Type") != "application/json; charset=utf-8" {
			t.Errorf("GET %s: got %d %q %q, want 200 and JSON", path, status, header.Get("Content-Type"), text)
		}
		if status, text, _ := r.ask("HEAD", path, ""); status != http.StatusOK || text != "" {
			t.Errorf("HEAD %s: got %d %q, want 200 without a body", path, status, text)
		}
		if status, _, _ := r.ask("POST", path, ""); status != http.StatusMethodNotAllowed {
			t.Errorf("POST %s: got %d, want 405", path, status)
		}
	}
}

func (r *running) ready() (int, readiness) {
	r.t.Helper()
	status, text, _ := r.ask("GET", "/readyz", "")
	var said readiness
	if err := json.Unmarshal([]byte(text), &said); err != nil {
		r.t.Fatalf("%q: %v", text, err)
	}
	head, _, _ := r.ask("HEAD", "/readyz", "")
	if head != status {
		r.t.Errorf("HEAD /readyz says %d, GET %d", head, status)
	}
	return status, said
}

func TestReady_Is503AfterShutdownWhileTheProcessLives(t *testing.T) {
	r := start(t, true, Options{})
	if status, said := r.ready(); status != http.StatusOK || !said.Ready {
		t.Fatalf("got %d %+v, want a node that is ready", status, said)
	}
	if err := r.server.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if status, said := r.ready(); status != http.StatusServiceUnavailable || said.Ready {
		t.Errorf("got %d %+v after Shutdown, want 503", status, said)
	}
	if status, _, _ := r.ask("GET", "/livez", ""); status != http.StatusOK {
		t.Errorf("/livez says %d after Shutdown, want 200", status)
	}
}

func TestReady_Is503AtMaxConnections(t *testing.T) {
	r := startNode(t, true, server.Options{MaxConnections: 1}, Options{})
	if status, _ := r.ready(); status != http.StatusOK {
		t.Fatalf("got %d with room for one, want 200", status)
	}
	w := httptest.NewRecorder()
	r.server.ServeHTTP(w, httptest.NewRequest("GET", "/socket.io/?EIO=4&transport=polling", nil))
	if w.Code != http.StatusOK {
		t.Fatalf("handshake: %d", w.Code)
	}
	if status, _ := r.ready(); status != http.StatusServiceUnavailable {
		t.Errorf("got %d without room, want 503", status)
	}
}

// away is an adapter whose backend cannot be reached.
type away struct{ adapter.Adapter }

func (away) Status() adapter.Status { return adapter.Status{State: adapter.Degraded} }

func TestReady_StaysSoWhileTheBusIsDegraded(t *testing.T) {
	r := startNode(t, true, server.Options{Adapter: away{memory.New()}}, Options{})
	if status, said := r.ready(); status != http.StatusOK || !said.Ready || said.Bus != "degraded" {
		t.Errorf("got %d %+v, want 200, ready and a degraded bus", status, said)
	}
}
