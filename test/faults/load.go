package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/roomcast/roomcast/test/faults/node"
	"github.com/roomcast/roomcast/test/faults/tally"
)

// backlog is how many orders may wait for one node that does not answer.
const backlog = 10_000

// load has random nodes send numbered messages, at a steady rate.
type load struct {
	ledger  *tally.Ledger
	begun   time.Time
	ended   time.Time
	stop    context.CancelFunc
	running sync.WaitGroup
}

// startLoad starts the load with the nodes that live, also those that come later.
// choose returns the selection of each message.
func startLoad(ctx context.Context, f *fleet, ledger *tally.Ledger, rate, size int, choose func() int) *load {
	l := &load{ledger: ledger, begun: time.Now()}
	ctx, l.stop = context.WithCancel(ctx)
	l.running.Go(func() { l.drive(ctx, f, rate, size, choose) })
	return l
}

// mixed sends half of the messages to everybody and half to one of the rooms.
func mixed(rooms int) func() int {
	return func() int {
		if rooms == 0 || rand.N(2) == 0 {
			return tally.Everybody
		}
		return rand.N(rooms)
	}
}

// drive hands out orders at the rate.
func (l *load) drive(ctx context.Context, f *fleet, rate, size int, choose func() int) {
	queues := make(map[*member]chan int)
	defer func() {
		for _, queue := range queues {
			close(queue)
		}
	}()
	tick := time.NewTicker(time.Second / time.Duration(rate))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		m := f.random()
		if m != nil && queues[m] == nil {
			queue := make(chan int, backlog)
			queues[m] = queue
			l.running.Go(func() { l.serve(ctx, f, m, queue, size) })
		}
		select {
		case queues[m] <- choose(): // a nil queue, of nobody, takes nothing
		default:
			l.ledger.Refuse()
		}
	}
}

// serve has one node send what it is ordered to, one after the other.
func (l *load) serve(ctx context.Context, f *fleet, m *member, queue <-chan int, size int) {
	for selection := range queue {
		if ctx.Err() != nil {
			continue
		}
		var sent node.Sent
		err := f.order(ctx, m, fmt.Sprintf("/emit?selection=%d&size=%d", selection, size), &sent)
		if err != nil || sent.Error != "" {
			l.ledger.Refuse()
			continue
		}
		l.ledger.Accept(tally.Message{Sender: m.config.Sender, Number: sent.Number, Selection: selection, Sent: sent.At})
	}
}

// end stops the load and waits for the orders that are under way.
func (l *load) end() {
	if l.ended.IsZero() {
		l.ended = time.Now()
		l.stop()
		l.running.Wait()
	}
}
