package admin

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// book is a log that several goroutines write to.
type book struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *book) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *book) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

func (b *book) logger() *slog.Logger { return slog.New(slog.NewTextHandler(b, nil)) }

func (r *running) act(format string, args ...any) (int, string) {
	r.t.Helper()
	status, text, _ := r.ask("POST", "/actions", fmt.Sprintf(format, args...), "Authorization", "Bearer "+token)
	return status, text
}

func TestActions_ReachAnyNodeAndAreLogged(t *testing.T) {
	var asked, acting book
	var drained atomic.Bool
	nodes, urls := clusterOf(t, Options{Token: token, Logger: asked.logger()},
		Options{Token: token, Logger: acting.logger(), Drain: func() { drained.Store(true) }})
	c, id := member(t, urls[1], "lobby")
	here, there := nodes[0], nodes[1].server.NodeID()

	if status, text := here.act(`{"kind":"message","node":%q,"namespace":"/","room":"lobby","event":"notice","args":["down at noon",{"n":1}]}`, there); status != http.StatusOK {
		t.Fatalf("message: %d %s", status, text)
	}
	c.Expect(`2["notice","down at noon",{"n":1}]`)
	// A message goes to all nodes, whichever sends it.
	if status, text := here.act(`{"kind":"message","node":%q,"namespace":"/","room":"lobby","event":"notice"}`, here.server.NodeID()); status != http.StatusOK {
		t.Fatalf("message from this node: %d %s", status, text)
	}
	c.Expect(`2["notice"]`)
	if status, text := here.act(`{"kind":"drain","node":%q}`, there); status != http.StatusOK || !drained.Load() {
		t.Errorf("drain: %d %s, drained %v", status, text, drained.Load())
	}
	if status, text := here.act(`{"kind":"disconnect","node":%q,"namespace":"/","socket":%q}`, there, id); status != http.StatusOK {
		t.Fatalf("disconnect: %d %s", status, text)
	}
	c.Expect("1")
	for kind, words := range map[string][]string{
		"message": {"room=lobby", "event=notice"}, "drain": {"on=" + there}, "disconnect": {"socket=" + id, "on=" + there},
	} {
		for who, log := range map[string]string{"asked": asked.String(), "acting": acting.String()} {
			for line := range strings.Lines(log) {
				if !strings.Contains(line, "kind="+kind) {
					continue
				}
				for _, word := range append(words, "by=127.0.0.1:") {
					if !strings.Contains(line, word) {
						t.Errorf("the %s node's log line of %s does not say %s: %s", who, kind, word, line)
					}
				}
			}
			if !strings.Contains(log, "kind="+kind) || strings.Contains(log, "down at noon") || strings.Contains(log, token) {
				t.Errorf("the %s node's log of %s: %s", who, kind, log)
			}
		}
	}
}

func TestActions_AreRefusedWithoutTheCredential(t *testing.T) {
	nodes, urls := clusterOf(t, Options{Token: token}, Options{})
	c, id := member(t, urls[0])
	act := fmt.Sprintf(`{"kind":"disconnect","node":%q,"namespace":"/","socket":%q}`, nodes[0].server.NodeID(), id)
	for name, tt := range map[string]struct {
		node    *running
		headers []string
		want    int
	}{
		"none":                 {nodes[0], nil, http.StatusUnauthorized},
		"wrong":                {nodes[0], []string{"Authorization", "Bearer " + token + "!"}, http.StatusUnauthorized},
		"as a password":        {nodes[0], []string{"Authorization", "Basic OnRoZSB0ZXN0cycgb3duIHRva2Vu"}, http.StatusUnauthorized},
		"node without one":     {nodes[1], []string{"Authorization", "Bearer " + token}, http.StatusForbidden},
		"node without, empty":  {nodes[1], []string{"Authorization", "Bearer "}, http.StatusForbidden},
		"forged by a site":     {nodes[0], []string{"Authorization", "Bearer " + token, "Sec-Fetch-Site", "cross-site"}, http.StatusForbidden},
		"forged, old browsers": {nodes[0], []string{"Authorization", "Bearer " + token, "Origin", "https://evil.example"}, http.StatusForbidden},
	} {
		t.Run(name, func(t *testing.T) {
			for _, path := range []string{"/actions", "/credential"} {
				if status, text, _ := tt.node.ask("POST", path, act, tt.headers...); status != tt.want {
					t.Errorf("%s: got %d %q, want %d", path, status, text, tt.want)
				}
			}
		})
	}
	if status, _, _ := nodes[0].ask("GET", "/actions", "", "Authorization", "Bearer "+token); status != http.StatusMethodNotAllowed {
		t.Errorf("GET: got %d, want 405", status)
	}
	if status, _, _ := nodes[0].ask("POST", "/credential", "", "Authorization", "Bearer "+token); status != http.StatusNoContent {
		t.Errorf("the right credential: got %d, want 204", status)
	}
	c.ExpectNothing("/")
}

// A node whose actions are off does nothing, whichever way it is asked.
func TestActions_OfANodeWithoutACredentialAreOffForOthersToo(t *testing.T) {
	nodes, urls := clusterOf(t, Options{Token: token}, Options{})
	c, id := member(t, urls[1])
	if status, text := nodes[0].act(`{"kind":"disconnect","node":%q,"namespace":"/","socket":%q}`, nodes[1].server.NodeID(), id); status != http.StatusBadGateway {
		t.Errorf("got %d %q, want 502", status, text)
	}
	c.ExpectNothing("/")
}

func TestActions_SayWhatIsWrong(t *testing.T) {
	nodes, urls := clusterOf(t, Options{Token: token})
	member(t, urls[0])
	me := nodes[0].server.NodeID()
	for name, tt := range map[string]struct {
		body   string
		status int
		want   string
	}{
		"no JSON":           {`kind`, http.StatusBadRequest, "no action"},
		"too long":          {`{"kind":"` + strings.Repeat("x", maxActionBytes) + `"}`, http.StatusBadRequest, "too large"},
		"unknown kind":      {`{"kind":"reboot"}`, http.StatusBadRequest, `"reboot" is none of`},
		"no node":           {`{"kind":"drain"}`, http.StatusBadRequest, "node is missing"},
		"no socket":         {`{"kind":"disconnect","node":"n","namespace":"/"}`, http.StatusBadRequest, "socket is missing"},
		"no room":           {`{"kind":"message","node":"n","namespace":"/","event":"e"}`, http.StatusBadRequest, "room is missing"},
		"no event":          {`{"kind":"message","node":"n","namespace":"/","room":"r"}`, http.StatusBadRequest, "event is missing"},
		"unknown node":      {`{"kind":"drain","node":"nobody"}`, http.StatusBadGateway, "no node with this id"},
		"not to be drained": {`{"kind":"drain","node":"` + me + `"}`, http.StatusConflict, "cannot be drained"},
		"unknown namespace": {`{"kind":"disconnect","node":"` + me + `","namespace":"/x","socket":"s"}`, http.StatusConflict, `no namespace "/x"`},
		"our own namespace": {`{"kind":"message","node":"` + me + `","namespace":"` + Topic + `","room":"r","event":"e"}`, http.StatusConflict, "no namespace"},
		"socket gone":       {`{"kind":"disconnect","node":"` + me + `","namespace":"/","socket":"s"}`, http.StatusConflict, "gone"},
		"reserved event":    {`{"kind":"message","node":"` + me + `","namespace":"/","room":"r","event":"disconnect"}`, http.StatusConflict, "reserved"},
	} {
		t.Run(name, func(t *testing.T) {
			if status, text := nodes[0].act("%s", tt.body); status != tt.status || !strings.Contains(text, tt.want) {
				t.Errorf("got %d %q, want %d and %q", status, text, tt.status, tt.want)
			}
		})
	}
	if len(nodes[0].server.Namespaces()) != 2 {
		t.Error("asking for a namespace has made it")
	}
}
