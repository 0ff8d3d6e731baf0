package main

import (
	"context"
	"fmt"
	"math"
	"strings"
	"time"
)

// window is how many broadcasts are in flight when a server is saturated.
const window = 4

// load is broadcasts that are sent one after the other.
type load struct {
	// send asks a server for the i-th one.
	send func(i int) error
	// members is how many clients each of them reaches.
	members int
}

// speak is the load of one client to one room, with a payload of some bytes.
func speak(m *client, room string, bytes, members int) load {
	packet := publication(room, bytes)
	return load{send: func(int) error { return m.send(packet) }, members: members}
}

// greet is the load of an introduction. Each greeting has a size of its own, below that of
// all other loads: what one has sent may come while the next is awaited, and after it.
func greet(m *client, room string, members int) load {
	return load{send: func(i int) error { return m.send(publication(room, len(frame)+i)) }, members: members}
}

// frame is the smallest payload.
const frame = `{"p":""}`

// publication is the packet that asks for a broadcast of bytes to a room.
func publication(room string, bytes int) string {
	return `42["publish","` + room + `",{"p":"` + strings.Repeat("x", bytes-len(frame)) + `"}]`
}

const (
	// smallestEvent is how many bytes arrive of the first greeting.
	smallestEvent = len(`42["msg",]`) + len(frame)
	// greetings is how many are sent at most.
	greetings = 10
)

// smallPayload is the payload's size in bytes where it does not matter.
const smallPayload = 64

// pace sends a load at a rate, per second, for a time, at least once, and returns when all
// has arrived.
func (c *crowd) pace(ctx context.Context, l load, rate float64, span time.Duration) (sent int, err error) {
	total := max(1, int(math.Round(rate*span.Seconds())))
	ticker := time.NewTicker(max(time.Millisecond, time.Duration(float64(time.Second)/rate)))
	defer ticker.Stop()
	for begun := time.Now(); ; {
		// A ticker leaves out what a busy machine cannot keep up with.
		for due := 1 + int(time.Since(begun).Seconds()*rate); sent < min(due, total); sent++ {
			if err := l.send(sent); err != nil {
				return sent, err
			}
		}
		if sent == total {
			return sent, c.arrived(ctx, sent*l.members)
		}
		select {
		case <-ctx.Done():
			return sent, context.Cause(ctx)
		case err := <-c.lost:
			return sent, err
		case <-ticker.C:
		}
	}
}

// arrived returns when so many more deliveries were made, and no other.
func (c *crowd) arrived(ctx context.Context, deliveries int) error {
	c.expected += int64(deliveries)
	return c.await(ctx, "deliveries", &c.delivered, c.expected)
}

// saturate keeps some broadcasts in flight for a time, and returns the deliveries per
// second.
func (c *crowd) saturate(ctx context.Context, l load, span time.Duration) (perSecond float64, err error) {
	begun, before, sent := time.Now(), c.delivered.Load(), 0
	c.since.Store(before)
	c.members.Store(int64(l.members))
	defer c.members.Store(0)
	for ; sent < window; sent++ {
		if err := l.send(sent); err != nil {
			return 0, err
		}
	}
	end := time.NewTimer(span)
	defer end.Stop()
	for {
		select {
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		case err := <-c.lost:
			return 0, err
		case <-end.C:
			perSecond = float64(c.delivered.Load()-before) / time.Since(begun).Seconds()
			err := c.arrived(ctx, sent*l.members)
			for len(c.complete) > 0 {
				<-c.complete
			}
			return perSecond, err
		case <-c.complete:
			if err := l.send(sent); err != nil {
				return 0, err
			}
			sent++
		}
	}
}

// introduce sends greetings until one reaches all: the nodes of a cluster may not know each
// other yet. Each has more time than the one before, however slow the machine is.
func (c *crowd) introduce(ctx context.Context, l load) error {
	for i := range greetings {
		if err := l.send(i); err != nil {
			return err
		}
		short, cancel := context.WithTimeout(ctx, time.Duration(i+1)*500*time.Millisecond)
		err := c.await(short, "deliveries", &c.greeted[i], int64(l.members))
		late := short.Err() != nil && ctx.Err() == nil
		cancel()
		if err == nil || !late {
			return err
		}
	}
	return fmt.Errorf("growth: a broadcast does not reach %d members", l.members)
}
