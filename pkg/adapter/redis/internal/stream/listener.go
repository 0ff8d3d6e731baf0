package stream

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/roomcast/roomcast/pkg/adapter"
)

// Listener is one topic's share of the reader.
type Listener struct {
	reader *reader
	topic  string
	f      func(*Entry)
	start  id   // entries up to here are not passed; the reader's mutex guards it
	known  bool // start is known

	mu      sync.Mutex
	closed  bool
	running bool          // f is
	idle    chan struct{} // closed when it returns; nil while nobody waits for that
}

// Listen passes the entries of topic to f, one at a time and in the order of the log.
// Once it has returned without an error these are all that are appended from then on,
// on any node; those that are in the log already are not passed.
//
// f may wait for room in a queue, which holds up all listeners of the log: an entry
// that was left out would be one that no client could ask for again. It must return
// when its queue has ended.
//
// While Redis cannot be reached, Listen returns a working Listener together with an
// error that wraps ErrDegraded; the same if ctx ends before Redis has answered. After
// Close it fails with ErrClosed.
func (l *Log) Listen(ctx context.Context, topic string, f func(*Entry)) (*Listener, error) {
	n := &Listener{reader: l.reader, topic: topic, f: f}
	s, err := l.here(ctx)
	switch {
	case errors.Is(err, adapter.ErrClosed):
		return nil, err
	case err != nil:
		if err := l.reader.add(n, nil); err != nil {
			return nil, err
		}
		return n, fmt.Errorf("stream: listen to %q: %w: %w", topic, adapter.ErrDegraded, err)
	}
	if err := l.reader.add(n, &s); err != nil {
		return nil, err
	}
	return n, nil
}

// here returns the state of the stream, unless it is known that there is no telling.
func (l *Log) here(ctx context.Context) (state, error) {
	if err := l.condition.why(); err != nil {
		return state{}, err
	}
	info := l.info(ctx)
	if err := l.call(ctx, info); err != nil && !isMissing(err) {
		return state{}, err
	}
	return parseState(info.reply())
}

// Start returns the id behind which the listener's entries begin, "0-0" for an empty
// log. It is empty while that is not known, because Redis was away.
func (n *Listener) Start() string {
	n.reader.mu.Lock()
	defer n.reader.mu.Unlock()
	if !n.known {
		return ""
	}
	return n.start.String()
}

// pass calls f, unless the listener is closed.
func (n *Listener) pass(e *Entry) {
	n.mu.Lock()
	closed := n.closed
	n.running = !closed
	n.mu.Unlock()
	if closed {
		return
	}
	n.f(e)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.running = false
	if n.idle != nil {
		close(n.idle)
		n.idle = nil
	}
}

// Close ends the listener and waits for a running f, no longer than ctx, whose error
// it then returns. After it has returned no call of f begins, and none runs if it
// returned nil. f must not call it. Closing twice is harmless; each call waits.
func (n *Listener) Close(ctx context.Context) error {
	n.reader.remove(n)
	n.mu.Lock()
	n.closed = true
	if n.running && n.idle == nil {
		n.idle = make(chan struct{})
	}
	idle := n.idle
	n.mu.Unlock()
	if idle == nil {
		return nil
	}
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// listeners are those of each topic. A map that was handed out is never changed.
type listeners map[string][]*Listener

func (m listeners) with(n *Listener) listeners {
	c := m.clone()
	c[n.topic] = append(slices.Clip(c[n.topic]), n)
	return c
}

func (m listeners) without(n *Listener) listeners {
	c := m.clone()
	rest := slices.DeleteFunc(slices.Clone(c[n.topic]), func(o *Listener) bool { return o == n })
	if c[n.topic] = rest; len(rest) == 0 {
		delete(c, n.topic)
	}
	return c
}

func (m listeners) clone() listeners {
	c := make(listeners, len(m)+1)
	for topic, list := range m {
		c[topic] = list
	}
	return c
}

// all returns each listener once.
func (m listeners) all() []*Listener {
	var all []*Listener
	for _, list := range m {
		all = append(all, list...)
	}
	return all
}

// topics returns the topics, sorted.
func (m listeners) topics() []string {
	topics := make([]string, 0, len(m))
	for topic := range m {
		topics = append(topics, topic)
	}
	slices.Sort(topics)
	return topics
}
