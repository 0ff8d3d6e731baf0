package adaptertest

import (
	"sync"
	"time"

	"github.com/roomcast/roomcast/pkg/adapter"
)

// mailbox keeps what was delivered until a check takes it. It has no bound, so
// that putting never waits.
type mailbox struct {
	mu       sync.Mutex
	messages []*adapter.Message
	arrived  chan struct{}
}

func newMailbox() *mailbox {
	return &mailbox{arrived: make(chan struct{}, 1)}
}

func (b *mailbox) put(m *adapter.Message) {
	b.mu.Lock()
	b.messages = append(b.messages, m)
	b.mu.Unlock()
	select {
	case b.arrived <- struct{}{}:
	default:
	}
}

// take returns the oldest message; it waits for one no longer than limit. One
// goroutine takes at a time.
func (b *mailbox) take(limit time.Duration) (*adapter.Message, bool) {
	if m := b.shift(); m != nil {
		return m, true
	}
	timer := time.NewTimer(limit)
	defer timer.Stop()
	for {
		select {
		case <-b.arrived:
			if m := b.shift(); m != nil {
				return m, true
			}
		case <-timer.C:
			return nil, false
		}
	}
}

func (b *mailbox) shift() *adapter.Message {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.messages) == 0 {
		return nil
	}
	m := b.messages[0]
	b.messages = b.messages[1:]
	return m
}
