// Package loglimit keeps a flood of equal log lines from becoming a flood of
// log output.
package loglimit

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// messages bounds how many different messages are counted apart in one second;
// log messages are fixed texts, so a program has far fewer.
const messages = 1024

// Handler passes on at most a number of records per second and message. The
// first record after a second with suppressed ones says how many, in the
// attribute "suppressed".
type Handler struct {
	next  slog.Handler
	limit int
	count *counter // shared with the handlers that WithAttrs and WithGroup derive
}

type counter struct {
	mu     sync.Mutex
	second int64
	seen   map[string]int
	missed map[string]int
}

// New returns a handler that passes on to next at most limit records per second
// for each message text. It is safe for concurrent use.
func New(next slog.Handler, limit int) *Handler {
	return &Handler{next: next, limit: limit, count: &counter{
		seen: make(map[string]int), missed: make(map[string]int),
	}}
}

// Enabled implements slog.Handler.
func (h *Handler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.next.Enabled(ctx, level)
}

// Handle implements slog.Handler.
func (h *Handler) Handle(ctx context.Context, r slog.Record) error {
	pass, missed := h.count.take(r.Message, r.Time, h.limit)
	if !pass {
		return nil
	}
	if missed > 0 {
		r = r.Clone()
		r.AddAttrs(slog.Int("suppressed", missed))
	}
	return h.next.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (h *Handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &Handler{next: h.next.WithAttrs(attrs), limit: h.limit, count: h.count}
}

// WithGroup implements slog.Handler.
func (h *Handler) WithGroup(name string) slog.Handler {
	return &Handler{next: h.next.WithGroup(name), limit: h.limit, count: h.count}
}

func (c *counter) take(message string, at time.Time, limit int) (pass bool, missed int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if second := at.Unix(); second > c.second { // records may come a little out of order
		c.second = second
		clear(c.seen)
	}
	if c.seen[message] >= limit || len(c.seen) >= messages {
		if len(c.missed) < messages {
			c.missed[message]++
		}
		return false, 0
	}
	c.seen[message]++
	missed = c.missed[message]
	delete(c.missed, message)
	return true, missed
}
