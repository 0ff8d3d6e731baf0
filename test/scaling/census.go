package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// census is what can be counted of a cluster.
type census struct {
	form  string
	nodes int
	// received is to how many nodes Redis sent a room's message.
	received float64
	// subscriptions is how many Redis keeps for a node.
	subscriptions float64
}

func (c census) String() string {
	return fmt.Sprintf("| %s | %d | %.2f | %.2f | %.1f |", c.form, c.nodes, c.received, c.received/holders, c.subscriptions)
}

// inOneProcess runs n nodes, publishes to each room from its neighbour's neighbour, and
// counts.
func inOneProcess(ctx context.Context, f form, addr string, n int) (c census, err error) {
	c = census{form: f.name, nodes: n}
	var nodes []*node
	defer func() {
		for _, m := range nodes {
			err = errors.Join(err, m.close())
		}
	}()
	for i := range n {
		m, err := open(ctx, f, addr, i, n)
		if err != nil {
			return c, err
		}
		nodes = append(nodes, m)
	}
	if err := meet(ctx, nodes, n); err != nil {
		return c, err
	}
	received := func() (sum int64) {
		for _, m := range nodes {
			sum += m.tap.messages()
		}
		return sum
	}
	for i, m := range nodes {
		if err := m.publish(i, room(i+3, n)); err != nil {
			return c, err
		}
	}
	// What is sent last arrives last, at least on the channels of one node; and all guests
	// have theirs before it is counted.
	for _, m := range nodes {
		for m.guest.events.Load() < holders {
			if err := pause(ctx, 10*time.Millisecond); err != nil {
				return c, fmt.Errorf("scaling: a guest got %d events of %d: %w", m.guest.events.Load(), holders, err)
			}
		}
	}
	for want := int64(f.reach(n, holders) * n); received() < want; {
		if err := pause(ctx, 10*time.Millisecond); err != nil {
			return c, fmt.Errorf("scaling: nodes got %d messages of %d: %w", received(), want, err)
		}
	}
	c.received = float64(received()) / float64(n)
	return c, c.count(ctx, addr, nodes)
}

// count asks Redis for its subscriptions.
func (c *census) count(ctx context.Context, addr string, nodes []*node) error {
	client := goredis.NewClient(&goredis.Options{Addr: addr})
	total, err := subscriptions(ctx, client)
	c.subscriptions = float64(total) / float64(len(nodes))
	return errors.Join(err, client.Close())
}
