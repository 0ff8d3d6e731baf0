//go:build integration

package interop

import (
	"bufio"
	"encoding/json"
	"io"
	"os/exec"
	"testing"
	"time"
)

// patience bounds every wait; a test that needs it has failed.
const patience = 20 * time.Second

// peer is a Node.js server that runs ../integration/js/peer.mjs. Its methods are for
// one goroutine.
type peer struct {
	name  string
	id    string // its client's socket id
	stdin io.Writer
	lines chan []byte // what it says
}

// startPeer starts a Node.js server, which ends with the test. It may be used after
// ready.
func startPeer(t *testing.T, name, redisAddr string, f form) *peer {
	t.Helper()
	process := exec.Command("node", "peer.mjs", name, "redis://"+redisAddr, f.adapter, f.option)
	process.Dir = "../integration/js"
	process.Stderr = t.Output()
	stdin, err := process.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := process.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := process.Start(); err != nil {
		t.Fatal(err)
	}
	p := &peer{name: name, stdin: stdin, lines: make(chan []byte, 16)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for lines := bufio.NewScanner(stdout); lines.Scan(); {
			p.lines <- append([]byte(nil), lines.Bytes()...)
		}
	}()
	t.Cleanup(func() {
		_ = stdin.Close()
		<-done
		if err := process.Wait(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	})
	return p
}

// ready waits until p and its client are connected.
func (p *peer) ready(t *testing.T) {
	t.Helper()
	var hello struct{ ID string }
	p.hear(t, &hello)
	p.id = hello.ID
}

// hear decodes the next line.
func (p *peer) hear(t *testing.T, v any) {
	t.Helper()
	select {
	case line := <-p.lines:
		if err := json.Unmarshal(line, v); err != nil {
			t.Fatalf("%s said %s: %v", p.name, line, err)
		}
	case <-time.After(patience):
		t.Fatalf("%s says nothing", p.name)
	}
}

// start makes p begin a call.
func (p *peer) start(t *testing.T, call string, args ...any) {
	t.Helper()
	line, err := json.Marshal(append([]any{call}, args...))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.stdin.Write(append(line, '\n')); err != nil {
		t.Fatal(err)
	}
}

// call makes p call and decodes the result.
func (p *peer) call(t *testing.T, result any, call string, args ...any) {
	t.Helper()
	p.start(t, call, args...)
	var outcome struct {
		Value json.RawMessage
		Error string
	}
	p.hear(t, &outcome)
	if outcome.Error != "" {
		t.Errorf("%s: %s: %s (%s)", p.name, call, outcome.Error, outcome.Value)
	}
	if result == nil {
		return
	}
	if err := json.Unmarshal(outcome.Value, result); err != nil {
		t.Fatalf("%s: %s: %s: %v", p.name, call, outcome.Value, err)
	}
}
