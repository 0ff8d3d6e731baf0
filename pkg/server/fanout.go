package server

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/roomcast/roomcast/internal/engine"
)

// The fan-out queue's bounds. At either of them emitters wait for the fan-out,
// which waits for nobody.
const (
	fanoutItems = 4096
	fanoutBytes = 32 << 20
)

// fewSockets is how many receivers are written to by the emitter itself: so few that
// waking another goroutine would cost more.
const fewSockets = 64

// joinedBytes bounds what is joined into one write: enough to make the system
// call worthwhile, little beside a socket's buffer.
const joinedBytes = 64 << 10

// delivery is one message and who gets it.
type delivery struct {
	message   *engine.Message
	sockets   []*Socket // shared, never changed
	one       *Socket   // the only receiver, instead of sockets
	except    exclusion
	volatile  bool
	offset    string        // of a broadcast of the log
	gathering *gathering    // that waits for the receivers' acknowledgements
	last      bool          // one's namespace ends with this message
	close     bool          // one's whole session ends; there is no message
	release   bool          // one is held until this message, which holds what it missed
	known     bool          // one's client knows what was logged before; there is no message
	reached   chan struct{} // closed when it is this delivery's turn; there is no message
}

// fanout takes messages to the sockets of this node, in the order in which they
// were added. One goroutine, alive while there is work, does it for everybody:
// broadcasts that came while it was busy are joined, and a socket gets them in
// one write, also those that came when it was half done (sweep). What goes to few
// sockets and finds nothing else to do is written by who emits it.
type fanout struct {
	tasks *tasks

	// pending counts the deliveries that were added and are not yet written. While
	// it is zero, a packet for one socket may be written past the queue.
	pending atomic.Int64
	// holding counts the sockets that are held.
	holding atomic.Int64
	// dropped counts the volatile messages that sockets did not get.
	dropped atomic.Uint64

	mu      sync.Mutex
	space   sync.Cond
	queue   []delivery
	spare   []delivery // the queue's memory of the round before
	bytes   int
	running bool
	few     delivery // that its emitter writes, which alone uses it meanwhile
	sweep   sweep    // of the goroutine that runs
}

func newFanout() *fanout {
	f := &fanout{tasks: newTasks()}
	f.space.L = &f.mu
	return f
}

// add queues d. It waits only while the queue is full.
func (f *fanout) add(d delivery) { f.addIf(d, func() bool { return true }) }

// addIf queues d if agreed says true, and returns what it says. agreed is called
// with the queue locked: what is emitted because of what it did comes behind d.
func (f *fanout) addIf(d delivery, agreed func() bool) bool {
	size := 0
	if d.message != nil {
		size = d.message.Size()
	}
	f.mu.Lock()
	for len(f.queue) >= fanoutItems || f.bytes >= fanoutBytes {
		f.space.Wait()
	}
	f.pending.Add(1) // before agreed: from then on nothing may be written past the queue
	if !agreed() {
		f.pending.Add(-1)
		f.mu.Unlock()
		return false
	}
	start := !f.running
	f.running = true
	if start && d.isFew() {
		f.few = d
		f.mu.Unlock()
		f.writeFew()
		return true
	}
	f.queue = append(f.queue, d)
	f.bytes += size
	f.mu.Unlock()
	if start {
		f.tasks.Go(f.run)
	}
	return true
}

// isFew says that d is a message that its emitter may write.
func (d *delivery) isFew() bool {
	return len(d.sockets) <= fewSockets && d.joinable() && d.gathering == nil
}

// writeFew writes the delivery of this goroutine's. What was added meanwhile is left to
// another one.
func (f *fanout) writeFew() {
	defer func() {
		f.few = delivery{}
		f.mu.Lock()
		f.pending.Add(-1)
		f.running = len(f.queue) > 0
		more := f.running
		f.mu.Unlock()
		if more {
			f.tasks.Go(f.run)
		}
	}()
	f.write(&f.few, f.few.message)
}

// send takes a message to one socket, behind everything that was added before.
func (f *fanout) send(d delivery) error {
	if f.pending.Load() == 0 && d.one.mode.Load() != held {
		return f.writeOne(&d, d.message)
	}
	f.add(d)
	return nil
}

// flush returns when all that was added before has been written, or with ctx's
// error. What others add meanwhile does not hold it up.
func (f *fanout) flush(ctx context.Context) error {
	reached := make(chan struct{})
	f.add(delivery{reached: reached})
	select {
	case <-reached:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (f *fanout) run() {
	done := 0
	for {
		f.mu.Lock()
		f.pending.Add(-int64(done))
		if len(f.queue) == 0 {
			f.running = false
			f.mu.Unlock()
			return
		}
		batch := f.queue
		f.queue, f.bytes = f.spare[:0], 0
		f.space.Broadcast()
		f.mu.Unlock()
		done = len(batch) + f.deliver(batch)
		f.spare = batch // only this goroutine uses spare, until the next round's swap
	}
}

// deliver writes a batch, joining neighbours that have the same receivers, and forgets it. It
// returns how many it has written besides: those that came meanwhile and could be joined.
func (f *fanout) deliver(batch []delivery) (more int) {
	single := f.holding.Load() > 0
	for len(batch) > 0 {
		n := 1
		if !single {
			n = run(batch)
		}
		head := batch[:n]
		batch = batch[n:]
		if single || head[0].one != nil || !head[0].joinable() {
			f.write(&head[0], joined(head))
			clear(head)
		} else {
			more += f.goAround(head, len(batch) == 0)
		}
	}
	return more
}

// run returns how many deliveries at the head of batch go out in one write.
func run(batch []delivery) int {
	if !batch[0].joinable() {
		return 1
	}
	n, size := 1, batch[0].message.Size()
	for n < len(batch) && batch[0].joins(&batch[n]) {
		size += batch[n].message.Size()
		if size > joinedBytes {
			break
		}
		n++
	}
	return n
}

func (d *delivery) joinable() bool {
	return !d.volatile && !d.last && !d.close && !d.release && !d.known && d.reached == nil
}

// joins says whether next has the same receivers and terms as d.
func (d *delivery) joins(next *delivery) bool {
	if !next.joinable() {
		return false
	}
	if d.one != nil || next.one != nil {
		return d.one == next.one
	}
	return d.except.equal(next.except) && len(d.sockets) == len(next.sockets) && &d.sockets[0] == &next.sockets[0]
}

func joined(run []delivery) *engine.Message {
	if len(run) == 1 {
		return run[0].message
	}
	messages := make([]*engine.Message, len(run))
	for i := range run {
		messages[i] = run[i].message
	}
	return engine.Join(messages)
}

// write sends m to d's receivers. A session that cannot take it is being closed,
// and says so to its connection; the other receivers are not concerned.
func (f *fanout) write(d *delivery, m *engine.Message) {
	switch {
	case d.reached != nil:
		close(d.reached)
		return
	case d.one != nil:
		_ = f.writeOne(d, m)
		return
	}
	f.writeTo(d.sockets, d, m)
}

// writeTo sends m to some of d's receivers.
func (f *fanout) writeTo(sockets []*Socket, d *delivery, m *engine.Message) {
	for _, s := range sockets {
		if d.except.has(s) {
			continue
		}
		switch mode := s.mode.Load(); {
		case mode == held:
			_ = f.intercept(s, d)
		case mode == deaf:
		case d.volatile:
			if !s.connection.session.SendVolatile(m) {
				f.dropped.Add(1)
				d.gathering.dropped(s)
			}
		default:
			_ = s.connection.session.Send(m)
		}
	}
}

func (f *fanout) writeOne(d *delivery, m *engine.Message) error {
	session := d.one.connection.session
	mode := d.one.mode.Load()
	switch {
	case mode == held:
		return f.intercept(d.one, d)
	case d.known:
	case d.close:
		session.Close()
	case d.last:
		d.one.mode.Store(deaf)
		return session.Send(m)
	case mode == deaf:
		return ErrDisconnected
	case d.volatile:
		if !session.SendVolatile(m) {
			f.dropped.Add(1)
		}
	default:
		return session.Send(m)
	}
	return nil
}
