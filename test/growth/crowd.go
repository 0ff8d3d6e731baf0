package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// patience bounds the wait for a server's answer, and for the deliveries of a load.
	patience = 30 * time.Second
	// parallel is how many handshakes are in flight.
	parallel = 64
	// joinsInFlight is how many joins are sent before their acknowledgements are awaited:
	// few for each client, as a server bounds them.
	joinsInFlight = 5000
)

// crowd is clients, and what has reached them. Its methods, but for the readers that it
// starts, are for one goroutine.
type crowd struct {
	clients []*client
	readers sync.WaitGroup
	ending  atomic.Bool
	lost    chan error // the first connection that was lost

	acknowledged atomic.Int64
	delivered    atomic.Int64
	expected     int64 // deliveries, of all loads
	// greeted is how many deliveries each greeting had; they are of no load.
	greeted [greetings]atomic.Int64

	// members is how many deliveries after the first since make a broadcast complete,
	// which goes to complete; 0: none does.
	members  atomic.Int64
	since    atomic.Int64
	complete chan struct{}
}

func newCrowd() *crowd {
	return &crowd{lost: make(chan error, 1), complete: make(chan struct{}, 2*window)}
}

// connect adds n clients. The place of each one is where it connects and what it joins.
func (c *crowd) connect(ctx context.Context, n int, place func(i int) (addr string, namespaces []string)) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	fresh := make([]*client, n)
	var begun atomic.Int64
	var dialing sync.WaitGroup
	for range min(parallel, n) {
		dialing.Go(func() {
			for i := int(begun.Add(1)) - 1; i < n && ctx.Err() == nil; i = int(begun.Add(1)) - 1 {
				addr, namespaces := place(i)
				m, err := dial(ctx, addr, namespaces)
				if err != nil {
					cancel(err)
					return
				}
				fresh[i] = m
				c.readers.Go(func() { c.read(m) })
			}
		})
	}
	dialing.Wait()
	for _, m := range fresh {
		if m != nil {
			c.clients = append(c.clients, m)
		}
	}
	return context.Cause(ctx)
}

// read counts what reaches a client, and answers heartbeats.
func (c *crowd) read(m *client) {
	var head [2]byte
	for {
		size, err := m.next(&head)
		switch {
		case err == nil && size == 1 && head[0] == '2':
			err = m.send("3")
		case err == nil && string(head[:]) == "42":
			c.hear(size)
		case err == nil && string(head[:]) == "43":
			c.acknowledged.Add(1)
		}
		if err != nil {
			if !c.ending.Load() {
				select {
				case c.lost <- fmt.Errorf("growth: a connection was lost: %w", err):
				default:
				}
			}
			return
		}
	}
}

// hear counts an event, which its size tells from a greeting.
func (c *crowd) hear(size int64) {
	if i := size - int64(smallestEvent); i >= 0 && i < greetings {
		c.greeted[i].Add(1)
		return
	}
	c.deliver()
}

func (c *crowd) deliver() {
	so, members := c.delivered.Add(1), c.members.Load()
	if members > 0 && (so-c.since.Load())%members == 0 {
		select {
		case c.complete <- struct{}{}:
		default:
		}
	}
}

// join has n joins made and returns when all are acknowledged.
func (c *crowd) join(ctx context.Context, n int, seat func(i int) (m *client, room string)) error {
	before := c.acknowledged.Load()
	for i := range n {
		m, room := seat(i)
		if err := m.send("42" + strconv.Itoa(i) + `["join","` + room + `"]`); err != nil {
			return err
		}
		if (i+1)%joinsInFlight == 0 || i == n-1 {
			if err := c.await(ctx, "acknowledgements", &c.acknowledged, before+int64(i)+1); err != nil {
				return err
			}
		}
	}
	return nil
}

// await returns when a counter has the value that is wanted; it must not have more.
func (c *crowd) await(ctx context.Context, what string, counter *atomic.Int64, want int64) error {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, errors.New("growth: they do not come in time"))
	defer cancel()
	pause := time.NewTicker(time.Millisecond)
	defer pause.Stop()
	for counter.Load() < want {
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: %d of %d %s", context.Cause(ctx), counter.Load(), want, what)
		case err := <-c.lost:
			return err
		case <-pause.C:
		}
	}
	if got := counter.Load(); got > want {
		return fmt.Errorf("growth: %d %s, more than the %d that are due", got, what, want)
	}
	return nil
}

// expectEnd makes that connections may be lost.
func (c *crowd) expectEnd() { c.ending.Store(true) }

// close closes all connections and waits for their readers.
func (c *crowd) close() {
	c.expectEnd()
	for _, m := range c.clients {
		_ = m.conn.Close()
	}
	c.readers.Wait()
}
