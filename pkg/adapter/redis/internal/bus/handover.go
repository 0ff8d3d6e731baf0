package bus

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// handover keeps the order where masters were demoted. Such a server goes on taking its
// shard's messages, and passes them on to its successor, which may read them after what
// was published at the successor itself. So a mark is published at the old server, after
// all that this node has sent and heard there. Until it has come back from the
// successor, nothing is published there, and what is heard there has been heard before
// or is part of the gap that is told of.
//
// A server that does not pass the mark on in time is taken for dead.
type handover struct {
	from []*lane // which have ended
	to   *lane
	done chan struct{}

	// guarded by the mutex of to's table
	marks []string // those that have not come back
	over  bool
}

// markInterval is the time between two marks at one server, if the first one finds
// nobody.
const markInterval = 50 * time.Millisecond

// markNumber makes marks differ.
var markNumber atomic.Int64

// mark returns the text of a new mark for to's channel of probes.
func (l *lane) mark() string {
	return string(l.pulse.appendMark(nil, l.table.probeName(), markNumber.Add(1)))
}

// handovers returns those that are due when next replaces present, by the lane of the
// successor.
func (t *topology) handovers(present, next *routes) map[*lane]*handover {
	none := present.lanes[0]
	found := make(map[*lane]*handover)
	orphaned := t.orphaned
	for _, from := range present.lanes {
		if from != none && (from.cancel == nil || slices.Contains(next.lanes, from)) {
			continue
		}
		for to := range present.heirs(from, next) {
			switch {
			case to == none:
				orphaned = append(orphaned, from)
			case from == none && len(t.orphaned) > 0:
				found[to] = found[to].after(to, t.orphaned...)
			case from != none:
				found[to] = found[to].after(to, from)
			}
		}
	}
	if t.orphaned = nil; slices.Contains(next.slots[:], none) {
		t.orphaned = orphaned
	}
	return found
}

// after returns a handover to a lane, from those of h, which may be nil, and from more.
func (h *handover) after(to *lane, from ...*lane) *handover {
	if h == nil {
		h = &handover{to: to, done: make(chan struct{})}
	}
	for _, l := range from {
		h.from = append(h.from, l)
		h.marks = append(h.marks, to.mark())
	}
	return h
}

// concerns says that what leaves l waits for h, which may be nil. Whose server is not
// known may have been heard at any of them.
func (h *handover) concerns(l *lane) bool {
	return h != nil && (l.cancel == nil || slices.Contains(h.from, l))
}

// start has the marks published, and gives up what does not come back in time.
func (h *handover) start(ctx context.Context, running *sync.WaitGroup) {
	ctx, cancel := context.WithTimeout(ctx, h.to.timing.PublishAfter)
	for i, from := range slices.Clone(h.from) {
		text := h.marks[i]
		running.Go(func() { h.publish(ctx, from, text) })
	}
	running.Go(func() {
		defer cancel()
		select {
		case <-h.done:
		case <-ctx.Done():
			h.to.table.giveUp(h)
		}
	})
}

// publish publishes a mark at the server of a lane that has ended, again and again until
// h is over or the server refuses it.
func (h *handover) publish(ctx context.Context, from *lane, text string) {
	from.living.Wait()
	if knock(ctx, from.client) != nil {
		h.to.table.passed(text)
		return
	}
	again := time.NewTicker(markInterval)
	defer again.Stop()
	for {
		probe := Channel{Name: h.to.table.probeName()}
		if h.to.table.ready(probe) == nil {
			o := h.to.publisher.message()
			o.Channel, o.Body = probe.Name, append(o.Body, text...)
			pipeline(ctx, from.client, o)
			err := o.Err()
			h.to.publisher.discard(o)
			if err != nil { // it has died, or has nothing to do with the successor
				h.to.table.passed(text)
				return
			}
		}
		select {
		case <-again.C:
		case <-h.done:
			return
		case <-ctx.Done():
			return
		}
	}
}

// hold keeps the lane from being whole until h is over.
func (t *table) hold(h *handover) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.handovers = append(t.handovers, h)
}

// passed takes what arrived on the probe's channel, and says whether it was a mark. A
// mark that cannot be passed on counts as one that was.
func (t *table) passed(text string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, h := range t.handovers {
		if i := slices.Index(h.marks, text); i >= 0 {
			if h.marks = slices.Delete(h.marks, i, i+1); len(h.marks) == 0 {
				t.finish(h)
			}
			return true
		}
	}
	return false
}

// giveUp ends h without its marks.
func (t *table) giveUp(h *handover) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.finish(h)
}

func (t *table) finish(h *handover) {
	if h.over {
		return
	}
	h.over = true
	close(h.done)
	t.handovers = slices.DeleteFunc(t.handovers, func(other *handover) bool { return other == h })
	signal(t.wake)
}
