package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/roomcast/roomcast/internal/testutil/redisproc"
)

// cost is the processor time of a publish to a room that is on two nodes, its sender's
// and another one.
type cost struct {
	form                     string
	nodes                    int
	redis, sender, bystander time.Duration // for one message; bystander is 0 without one
}

func (c cost) String() string {
	bystander := "–"
	if c.nodes > holders {
		bystander = micros(c.bystander)
	}
	return fmt.Sprintf("| %s | %d | %s | %s | %s |", c.form, c.nodes, micros(c.redis), micros(c.sender), bystander)
}

func micros(d time.Duration) string {
	return fmt.Sprintf("%.1f µs", max(0, float64(d)/float64(time.Microsecond)))
}

// load is what is published to find costs.
type load struct {
	messages, rate int
}

// measure runs n nodes in some processes on a Redis of their own. What they cost at rest
// is subtracted.
func measure(ctx context.Context, f form, n, processes int, l load) (c cost, err error) {
	c = cost{form: f.name, nodes: n}
	server, err := redisproc.Launch(redisproc.Options{})
	if err != nil {
		return c, err
	}
	defer server.Close()
	client := goredis.NewClient(&goredis.Options{Addr: server.Addr()})
	defer func() { err = errors.Join(err, client.Close()) }()
	nodes, err := assemble(f, server.Addr(), n, processes)
	if err != nil {
		return c, err
	}
	defer nodes.end()
	span := time.Duration(float64(l.messages) / float64(l.rate) * float64(time.Second))
	rest, err := spend(ctx, client, nodes, func() error { return pause(ctx, span) })
	if err != nil {
		return c, err
	}
	work, err := spend(ctx, client, nodes, func() error {
		if err := nodes[0].order(order{Publish: l.messages, Rate: l.rate}); err != nil {
			return err
		}
		_, err := nodes[0].hear(answerLimit + span)
		return err
	})
	if err != nil {
		return c, err
	}
	each := func(work, rest time.Duration) time.Duration { return (work - rest) / time.Duration(l.messages) }
	c.redis, c.sender = each(work.redis, rest.redis), each(work.nodes[0], rest.nodes[0])
	if processes > holders {
		for i := holders; i < processes; i++ {
			c.bystander += each(work.nodes[i], rest.nodes[i])
		}
		c.bystander /= time.Duration(n - holders)
	}
	return c, nil
}

// spent is processor time, of Redis and of each child.
type spent struct {
	redis time.Duration
	nodes []time.Duration
}

// spend says what f and what it leads to within a moment cost.
func spend(ctx context.Context, client *goredis.Client, nodes fleet, f func() error) (s spent, err error) {
	before, err := total(ctx, client, nodes)
	if err != nil {
		return s, err
	}
	if err := f(); err != nil {
		return s, err
	}
	if err := pause(ctx, 300*time.Millisecond); err != nil {
		return s, err
	}
	s, err = total(ctx, client, nodes)
	if err != nil {
		return s, err
	}
	s.redis -= before.redis
	for i := range s.nodes {
		s.nodes[i] -= before.nodes[i]
	}
	return s, nil
}

func total(ctx context.Context, client *goredis.Client, nodes fleet) (s spent, err error) {
	if s.redis, err = redisTime(ctx, client); err != nil {
		return s, err
	}
	s.nodes, err = nodes.used()
	return s, err
}

// redisTime asks Redis how much processor time it has used.
func redisTime(ctx context.Context, client *goredis.Client) (time.Duration, error) {
	text, err := client.Info(ctx, "cpu").Result()
	if err != nil {
		return 0, fmt.Errorf("scaling: %w", err)
	}
	var sum float64
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		if name == "used_cpu_sys" || name == "used_cpu_user" {
			seconds, err := strconv.ParseFloat(value, 64)
			if err != nil {
				return 0, fmt.Errorf("scaling: %w", err)
			}
			sum += seconds
		}
	}
	return time.Duration(sum * float64(time.Second)), nil
}
