package adaptertest

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/roomcast/roomcast/pkg/adapter"
)

// echo delivers a node's own broadcasts to it.
func echo(l *fixtureLink) {
	publish := l.publish
	l.publish = func(ctx context.Context, m *adapter.Message) error {
		err := publish(ctx, m)
		if err == nil && m.Kind == adapter.KindBroadcast {
			l.deliver(m.Clone())
		}
		return err
	}
}

func everyHundredthTwice(_ *fixtureLink, next func(*adapter.Message)) func(*adapter.Message) {
	n := 0
	return func(m *adapter.Message) {
		next(m)
		if n++; n%100 == 0 {
			next(m.Clone())
		}
	}
}

// oneOvertaken holds a sender's two thousandth message back until its next one has
// been delivered.
func oneOvertaken(_ *fixtureLink, next func(*adapter.Message)) func(*adapter.Message) {
	n := map[adapter.NodeID]int{}
	held := map[adapter.NodeID]*adapter.Message{}
	return func(m *adapter.Message) {
		if n[m.From]++; n[m.From] == 2000 {
			held[m.From] = m
			return
		}
		next(m)
		if late := held[m.From]; late != nil {
			next(late)
			delete(held, m.From)
		}
	}
}

// requestsFirst holds a broadcast that follows a request back until the message
// behind it has been delivered.
func requestsFirst(_ *fixtureLink, next func(*adapter.Message)) func(*adapter.Message) {
	asked := false
	var held *adapter.Message
	return func(m *adapter.Message) {
		if m.Kind == adapter.KindBroadcast && asked {
			held, asked = m, false
			return
		}
		asked = m.Kind == adapter.KindRequest
		next(m)
		if held != nil {
			next(held)
			held = nil
		}
	}
}

// impatient goes on with the next message when deliver takes long.
func impatient(l *fixtureLink) {
	var running sync.WaitGroup
	deliver, closeAndWait := l.deliver, l.close
	l.deliver = func(m *adapter.Message) {
		done := make(chan struct{})
		running.Go(func() {
			defer close(done)
			deliver(m)
		})
		_ = within(moment/10, done)
	}
	l.close = func(ctx context.Context) error {
		if err := closeAndWait(ctx); err != nil {
			return err
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			running.Wait()
		}()
		select {
		case <-done:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// busyInDeliver refuses to answer while the link's own deliver runs.
func busyInDeliver(l *fixtureLink) {
	var running atomic.Bool
	deliver, publish := l.deliver, l.publish
	l.deliver = func(m *adapter.Message) {
		running.Store(true)
		defer running.Store(false)
		deliver(m)
	}
	l.publish = func(ctx context.Context, m *adapter.Message) error {
		if m.To != "" && m.Heartbeat != nil && running.Load() {
			return errBrokenPipe
		}
		return publish(ctx, m)
	}
}

// overwritten reuses the memory of the first broadcast for a later one.
func overwritten(_ *fixtureLink, next func(*adapter.Message)) func(*adapter.Message) {
	var n int
	var first []byte
	return func(m *adapter.Message) {
		if m.Broadcast != nil {
			if n++; n == 1 {
				first = m.Broadcast.Packet.Data
			}
			if n == 40 {
				copy(first, m.Broadcast.Packet.Data)
			}
		}
		next(m)
	}
}

// lockstep lets a link with some traffic publish only while no deliver runs.
func lockstep() fault {
	const some = 300
	var running atomic.Int32
	return fault{link: func(l *fixtureLink) {
		var sent atomic.Int32
		deliver, publish := l.deliver, l.publish
		l.deliver = func(m *adapter.Message) {
			running.Add(1)
			defer running.Add(-1)
			deliver(m)
		}
		l.publish = func(ctx context.Context, m *adapter.Message) error {
			busy := sent.Add(1) > some
			for busy && running.Load() > 0 {
				if err := wait(ctx, time.Millisecond); err != nil {
					return err
				}
			}
			return publish(ctx, m)
		}
	}}
}

// loseOverlapping loses what is published while the link publishes already.
func loseOverlapping(l *fixtureLink) {
	var running atomic.Int32
	publish := l.publish
	l.publish = func(ctx context.Context, m *adapter.Message) error {
		defer running.Add(-1)
		if running.Add(1) > 1 {
			return nil
		}
		if err := wait(ctx, time.Microsecond); err != nil {
			return err
		}
		return publish(ctx, m)
	}
}

// cachedByPointer takes a struct that it has seen for the message that it was then.
func cachedByPointer(l *fixtureLink) {
	var seen sync.Map
	publish := l.publish
	l.publish = func(ctx context.Context, m *adapter.Message) error {
		cached, _ := seen.LoadOrStore(m, m.Clone())
		return publish(ctx, cached.(*adapter.Message))
	}
}

// straggler delivers something shortly after Close has returned.
func straggler(l *fixtureLink) {
	closeAndWait := l.close
	l.close = func(ctx context.Context) error {
		err := closeAndWait(ctx)
		if err == nil && l.deliver != nil {
			time.AfterFunc(moment/5, func() { l.deliver(numbered(1)) })
		}
		return err
	}
}

// roomsLag carries broadcasts for rooms on a way of their own, which is slower.
func roomsLag(_ *fixtureLink, next func(*adapter.Message)) func(*adapter.Message) {
	const slower = moment / 5
	var mu sync.Mutex // deliver is called once at a time
	var waiting []*adapter.Message
	return func(m *adapter.Message) {
		mu.Lock()
		defer mu.Unlock()
		if len(roomsOf(m)) == 0 {
			next(m)
			return
		}
		waiting = append(waiting, m)
		time.AfterFunc(slower, func() {
			mu.Lock()
			defer mu.Unlock()
			next(waiting[0])
			waiting = waiting[1:]
		})
	}
}

// backwards swaps each two broadcasts that were published to the same rooms in one
// breath.
func backwards(_ *fixtureLink, next func(*adapter.Message)) func(*adapter.Message) {
	var mu sync.Mutex
	held := map[string]*adapter.Message{}
	release := func(selection string, m *adapter.Message) {
		if held[selection] == m {
			delete(held, selection)
			next(m)
		}
	}
	return func(m *adapter.Message) {
		mu.Lock()
		defer mu.Unlock()
		if m.Broadcast == nil {
			next(m)
			return
		}
		selection := fmt.Sprint(roomsOf(m))
		if earlier := held[selection]; earlier != nil {
			next(m)
			release(selection, earlier)
			return
		}
		held[selection] = m
		time.AfterFunc(moment/5, func() {
			mu.Lock()
			defer mu.Unlock()
			release(selection, m)
		})
	}
}

// hastyWatch goes on with the next event when a call takes long.
func hastyWatch(real func(func(adapter.Event)) func(), call func(adapter.Event)) func() {
	var running sync.WaitGroup
	stop := real(func(e adapter.Event) {
		done := make(chan struct{})
		running.Go(func() {
			defer close(done)
			call(e)
		})
		_ = within(moment/10, done)
	})
	return func() {
		stop()
		running.Wait()
	}
}

// within says whether done is closed before d is over.
func within(d time.Duration, done <-chan struct{}) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-done:
		return true
	case <-timer.C:
		return false
	}
}
