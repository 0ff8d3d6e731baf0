package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"syscall"
	"time"
)

// place says what a child process runs: some of the nodes of a cluster.
type place struct {
	Form  string
	Redis string
	First int // the number of its first node
	Count int
	Nodes int // of the whole cluster
}

// order is what a child is told to do, a line of JSON. The answer is a line, too.
type order struct {
	// Publish is how many events the child's first node is to emit to the room that it
	// shares with the next node, at Rate per second.
	Publish, Rate int
}

// answer is a child's state after an order was carried out.
type answer struct {
	CPU   time.Duration // used by the process so far
	Error string
}

// runChild runs nodes until its input ends, which is how it notices that its parent has
// gone.
func runChild(ctx context.Context, p place, input io.Reader, output io.Writer) (err error) {
	f, ok := find(p.Form)
	if !ok {
		return fmt.Errorf("scaling: there is no form %q", p.Form)
	}
	var nodes []*node
	defer func() {
		for _, m := range nodes {
			err = errors.Join(err, m.close())
		}
	}()
	for i := range p.Count {
		m, err := open(ctx, f, p.Redis, p.First+i, p.Nodes)
		if err != nil {
			return err
		}
		nodes = append(nodes, m)
	}
	if err := meet(ctx, nodes, p.Nodes); err != nil {
		return err
	}
	replies := json.NewEncoder(output)
	if err := replies.Encode(state(nil)); err != nil {
		return err
	}
	orders := json.NewDecoder(input)
	for {
		var o order
		if err := orders.Decode(&o); err != nil {
			return nil // the parent has gone
		}
		if err := replies.Encode(state(o.carryOut(ctx, nodes[0], room(p.First+1, p.Nodes)))); err != nil {
			return err
		}
	}
}

func state(err error) answer {
	var used syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &used) // it cannot fail for this process
	a := answer{CPU: time.Duration(used.Utime.Nano() + used.Stime.Nano())}
	if err != nil {
		a.Error = err.Error()
	}
	return a
}

// carryOut publishes evenly over time.
func (o order) carryOut(ctx context.Context, m *node, room string) error {
	if o.Publish == 0 {
		return nil
	}
	ticker := time.NewTicker(time.Second / time.Duration(o.Rate))
	defer ticker.Stop()
	begun := time.Now()
	for sent := 0; sent < o.Publish; {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
		// A ticker leaves out what a busy machine cannot keep up with.
		for due := int(time.Since(begun).Seconds() * float64(o.Rate)); sent < min(due, o.Publish); sent++ {
			if err := m.publish(0, room); err != nil {
				return err
			}
		}
	}
	return nil
}
