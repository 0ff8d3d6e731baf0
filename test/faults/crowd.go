package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/roomcast/roomcast/test/faults/client"
	"github.com/roomcast/roomcast/test/faults/tally"
)

// joinLimit is how long clients may take to connect when nothing is wrong.
const joinLimit = 30 * time.Second

// crowd is a number of clients. Its methods are for one goroutine.
type crowd struct {
	clients []*client.Client
	logs    []*tally.Log
	running sync.WaitGroup
	stop    context.CancelFunc
}

// config is how the i-th client of a crowd differs from a plain one.
type config func(i int, c *client.Config)

// gather starts n clients and returns when all are connected. Every second one is
// in a room, the rooms taking turns.
func gather(ctx context.Context, f *fleet, n, rooms int, recovers bool, changes config) (*crowd, error) {
	c := &crowd{}
	running, stop := context.WithCancel(ctx)
	c.stop = stop
	for i := range n {
		log := &tally.Log{Room: tally.Everybody, Recovers: recovers}
		if i%2 == 1 && rooms > 0 {
			log.Room = i / 2 % rooms
		}
		settings := client.Config{Log: log, Place: f.preferring(i)}
		if changes != nil {
			changes(i, &settings)
		}
		one := client.New(settings)
		c.clients, c.logs = append(c.clients, one), append(c.logs, log)
		c.running.Go(func() { one.Run(running) })
	}
	limit, cancel := context.WithTimeout(ctx, joinLimit)
	defer cancel()
	if !await(limit, func() bool { return c.connected() == n }) {
		return c, fmt.Errorf("faults: only %d of %d clients are connected", c.connected(), n)
	}
	return c, nil
}

// disperse closes all connections and waits until the clients have ended.
func (c *crowd) disperse() {
	c.stop()
	c.running.Wait()
}

// connected returns how many clients are connected.
func (c *crowd) connected() int {
	n := 0
	for _, one := range c.clients {
		if one.Connected() {
			n++
		}
	}
	return n
}

// disconnections returns how many connections were lost.
func (c *crowd) disconnections() int {
	n := 0
	for _, l := range c.logs {
		for _, s := range l.Sittings() {
			if !s.To.IsZero() {
				n++
			}
		}
	}
	return n
}

// returns adds up how the clients came back.
func (c *crowd) returns() (recovered, afresh, refused int) {
	for _, one := range c.clients {
		r, a, n := one.Returns()
		recovered, afresh, refused = recovered+int(r), afresh+int(a), refused+int(n)
	}
	return recovered, afresh, refused
}

// arrived returns how many messages have come to all clients.
func (c *crowd) arrived() int {
	n := 0
	for _, l := range c.logs {
		n += l.Count()
	}
	return n
}

// The waits of a bench.
const (
	lookEvery  = 10 * time.Millisecond
	quietTime  = time.Second      // nothing more comes after such a silence
	quietLimit = 20 * time.Second // however long messages go on coming
)

// awaitQuiet returns when nothing arrives any more.
func (c *crowd) awaitQuiet(ctx context.Context) {
	limit, cancel := context.WithTimeout(ctx, quietLimit)
	defer cancel()
	last, since := c.arrived(), time.Now()
	await(limit, func() bool {
		if n := c.arrived(); n != last {
			last, since = n, time.Now()
		}
		return time.Since(since) >= quietTime
	})
}

// await returns when done holds, or when ctx ends; it says whether it holds.
func await(ctx context.Context, done func() bool) bool {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for !done() {
		select {
		case <-ctx.Done():
			return false
		case <-tick.C:
		}
	}
	return true
}

// within is await with a limit, and tells the time that passed.
func within(ctx context.Context, limit time.Duration, done func() bool) (time.Duration, bool) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	start := time.Now()
	ok := await(ctx, done)
	return time.Since(start), ok
}

// pause lets time go by.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}
