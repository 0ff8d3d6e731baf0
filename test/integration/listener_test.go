//go:build integration

package integration

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/roomcast/roomcast/internal/testutil/rawclient"
)

// listener is a raw client that notes the numbered events it hears,
// ["n",sender,number,…], and answers the question "who" with its id.
type listener struct {
	*rawclient.Client
	id   string
	mute atomic.Bool // it does not answer

	mu      sync.Mutex
	heard   map[string][]int // by sender
	wake    chan struct{}    // closed and replaced with each event
	ended   error            // why reading ended
	leaving bool             // the test closes the connection
}

// listen connects a client that listens until the test ends.
func listen(t testing.TB, n *node, rooms ...string) *listener {
	t.Helper()
	return listenAt(t, n.url, rooms...)
}

// listenAt is listen for a node of another process.
func listenAt(t testing.TB, url string, rooms ...string) *listener {
	t.Helper()
	c, id := rawclient.Join(t, url, "/", nil)
	if len(rooms) > 0 {
		request, err := json.Marshal([]any{"join", rooms})
		if err != nil {
			t.Fatal(err)
		}
		c.Send("20" + string(request))
		c.Expect("30[]")
	}
	l := &listener{Client: c, id: id, heard: make(map[string][]int), wake: make(chan struct{})}
	var reading sync.WaitGroup
	reading.Go(l.read)
	t.Cleanup(func() {
		l.mu.Lock()
		l.leaving = true
		l.mu.Unlock()
		l.Close()
		reading.Wait()
	})
	return l
}

func (l *listener) read() {
	_ = l.Conn().SetReadDeadline(time.Time{}) // the client's own is for one answer
	for {
		_, data, err := l.Conn().ReadMessage()
		if err != nil {
			l.end(err)
			return
		}
		switch text, isEvent := strings.CutPrefix(string(data), "42"); {
		case string(data) == "2":
			l.SendRaw("3")
		case isEvent && strings.HasSuffix(text, `["who"]`):
			if !l.mute.Load() {
				l.Send(fmt.Sprintf("3%s[%q]", strings.TrimSuffix(text, `["who"]`), l.id))
			}
		case isEvent:
			l.hear(text)
		}
	}
}

// hear notes an event if it is a numbered one.
func (l *listener) hear(text string) {
	var event []any
	if json.Unmarshal([]byte(text), &event) != nil || len(event) < 3 || event[0] != "n" {
		return
	}
	sender, _ := event[1].(string)
	number, _ := event[2].(float64)
	l.note(sender, int(number))
}

func (l *listener) note(sender string, number int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.heard[sender] = append(l.heard[sender], number)
	close(l.wake)
	l.wake = make(chan struct{})
}

func (l *listener) end(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended = err
	close(l.wake)
	l.wake = make(chan struct{})
}

// hears waits until the listener has heard number, or a later one, of sender, and
// says false when it took too long or the connection ended.
func (l *listener) hears(sender string, number int) bool {
	late := time.NewTimer(patience)
	defer late.Stop()
	for {
		l.mu.Lock()
		wake, ended, heard := l.wake, l.ended, l.heard[sender]
		l.mu.Unlock()
		if len(heard) > 0 && heard[len(heard)-1] >= number {
			return true
		}
		if ended != nil {
			return false
		}
		select {
		case <-wake:
		case <-late.C:
			return false
		}
	}
}

// await is hears for the test's own goroutine.
func (l *listener) await(t testing.TB, sender string, number int) {
	t.Helper()
	if !l.hears(sender, number) {
		l.expectConnected(t)
		t.Fatalf("did not hear number %d of %s", number, sender)
	}
}

// expectAll checks that every number of sender from first to last was heard once
// and in order; others are ignored.
func (l *listener) expectAll(t testing.TB, sender string, first, last int) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	want := first
	for _, number := range l.heard[sender] {
		if number < first || number > last {
			continue
		}
		if number != want {
			t.Errorf("heard number %d of %s, want %d", number, sender, want)
			return
		}
		want++
	}
	if want != last+1 {
		t.Errorf("heard numbers of %s up to %d, want %d", sender, want-1, last)
	}
}

// expectNoneTwice checks that what was heard of sender has no repetition and no
// change of order; it may have gaps.
func (l *listener) expectNoneTwice(t testing.TB, sender string) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	before := -1
	for _, number := range l.heard[sender] {
		if number <= before {
			t.Errorf("heard number %d of %s after %d", number, sender, before)
			return
		}
		before = number
	}
}

// expectConnected checks that the client was not disconnected.
func (l *listener) expectConnected(t testing.TB) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended != nil && !l.leaving {
		t.Errorf("the client was disconnected: %v", l.ended)
	}
}
