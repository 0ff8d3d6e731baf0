package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"sync"
	"testing"
	"time"
)

// patience bounds every wait; nothing should come near it.
const patience = 20 * time.Second

// logs collects the JSON lines that a program logs.
type logs struct {
	mu      sync.Mutex
	text    bytes.Buffer
	written chan struct{} // has an element when something was written
}

func newLogs() *logs { return &logs{written: make(chan struct{}, 1)} }

// Write takes what the program logs.
func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case l.written <- struct{}{}:
	default:
	}
	return l.text.Write(p)
}

// all returns what was logged.
func (l *logs) all() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// until waits for the first line whose message is msg.
func (l *logs) until(t *testing.T, msg string) map[string]any {
	t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	for {
		text := l.all()
		for line := range strings.Lines(text) {
			var record map[string]any
			if json.Unmarshal([]byte(line), &record) == nil && record["msg"] == msg {
				return record
			}
		}
		select {
		case <-l.written:
		case <-deadline.C:
			t.Fatalf("%q was not logged, but:\n%s", msg, text)
		}
	}
}
