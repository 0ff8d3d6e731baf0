package server

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/roomcast/roomcast/pkg/adapter"
)

const (
	// keepDelay is how long a change waits for others to be written with it.
	keepDelay = 50 * time.Millisecond
	// maxKeepDelay bounds the wait between attempts while nothing can be written.
	maxKeepDelay = 2 * time.Second
	// keptAtOnce is how many records of a namespace are written at a time.
	keptAtOnce = 16
)

// keeper keeps the records of a namespace's sockets while they are connected, where
// records outlive their node. One goroutine, alive while there is something to write,
// goes over the sockets that have changed. So what waits while the backend is away are
// sockets and no copies; only who has left leaves a copy, and these are bounded. See
// docs/adr/0013-records-that-outlive-a-node.md.
type keeper struct {
	namespace *Namespace
	records   adapter.RecordKeeper

	mu      sync.Mutex
	waiting []*Socket          // have changed, in the order in which they did
	ending  map[string]*Socket // by id: have ended, and their records are not final
	running bool
}

// newKeeper returns nil unless n's records outlive this node.
func newKeeper(n *Namespace) *keeper {
	records, ok := n.log.(adapter.RecordKeeper)
	if !ok {
		return nil
	}
	n.server.renewing.Do(func() { n.server.tasks.Go(n.server.renewRecords) })
	return &keeper{namespace: n, records: records, ending: make(map[string]*Socket)}
}

// change has the record of s written soon, if s is connected.
func (k *keeper) change(s *Socket) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if u := &s.recovery.upkeep; !u.changed && u.left.IsZero() && s.Connected() {
		k.queue(s)
	}
}

// keep writes the record of s at once, or later if that fails.
func (k *keeper) keep(s *Socket) {
	if k == nil {
		return
	}
	if !k.occupy(s, false) {
		return
	}
	var err error
	if record := s.snapshot(); record != nil {
		err = k.put(s, record)
	}
	if !k.written(s, false, err) {
		k.again(s, false)
	}
}

// queue has s written. The caller holds mu.
func (k *keeper) queue(s *Socket) {
	s.recovery.upkeep.changed = true
	k.waiting = append(k.waiting, s)
	if !k.running {
		k.running = true
		k.namespace.server.tasks.Go(k.run)
	}
}

// leave says that s has ended: only finish may still change its record.
func (k *keeper) leave(s *Socket) {
	if k == nil {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	s.recovery.upkeep.left = time.Now()
	k.ending[s.id] = s
}

// finish makes record the last one of s, which has ended, or has it forgotten if that
// is nil. It returns when the record is written, or at once when that has to wait: for
// the backend, or because nobody hears of a record that is forgotten.
func (k *keeper) finish(s *Socket, record *adapter.Record) {
	if record != nil && !k.namespace.server.busAway() {
		k.occupy(s, true)
		if k.written(s, true, k.put(s, record)) {
			return
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	u := &s.recovery.upkeep
	if u.moved {
		k.settle(s)
		return
	}
	bounded := record != nil || k.namespace.server.busAway()
	if bounded && len(k.ending) > k.namespace.server.options.Recovery.MaxRecords {
		k.namespace.server.log.Warn("last state of a client is not kept: too many wait for the backend", "namespace", clip(k.namespace.name), "socket", s.id)
		k.settle(s)
		return
	}
	u.final, u.last = true, record
	k.queue(s)
}

// run writes what has changed until nothing is left, or until the server ends and all
// has been tried once more.
func (k *keeper) run() {
	alive := true
	for delay := keepDelay; alive; {
		alive = k.namespace.server.pause(delay)
		delay = keepDelay + k.round(delay)
		k.mu.Lock()
		if len(k.waiting) == 0 || !alive {
			k.running = false
			k.mu.Unlock()
			return
		}
		k.mu.Unlock()
	}
}

// round writes what waits, and returns how much longer than usual to wait after it.
// What cannot be written comes last next time, so that it holds up nothing else.
func (k *keeper) round(delay time.Duration) time.Duration {
	k.mu.Lock()
	batch := k.waiting
	k.waiting = nil
	k.mu.Unlock()
	rest, err := k.writeAll(batch)
	if err == nil {
		return 0
	}
	k.mu.Lock()
	k.waiting = append(rest, k.waiting...)
	k.mu.Unlock()
	k.namespace.server.log.Warn("recovery records are not written; trying again", "namespace", clip(k.namespace.name), "error", err)
	if len(batch)-len(rest) > keptAtOnce { // most was
		return 0
	}
	return min(delay, maxKeepDelay-keepDelay)
}

// writeAll writes the records of sockets, some at a time, until one cannot be written.
func (k *keeper) writeAll(sockets []*Socket) (rest []*Socket, err error) {
	var (
		next   atomic.Int64
		failed atomic.Pointer[error]
		wg     sync.WaitGroup
	)
	for range min(keptAtOnce, len(sockets)) {
		wg.Go(func() {
			for failed.Load() == nil {
				i := int(next.Add(1)) - 1
				if i >= len(sockets) {
					return
				}
				if err := k.write(sockets[i]); err != nil {
					failed.Store(&err)
				}
			}
		})
	}
	wg.Wait()
	if e := failed.Load(); e != nil {
		return sockets[min(int(next.Load()), len(sockets)):], *e
	}
	return nil, nil
}

// write writes the record of s, unless that has been done.
func (k *keeper) write(s *Socket) error {
	u := &s.recovery.upkeep
	k.mu.Lock()
	ended, last := !u.left.IsZero(), u.last
	switch {
	case !u.changed || ended && !u.final:
		k.mu.Unlock()
		return nil
	case u.writing: // by keep: what it writes may be older
		k.waiting = append(k.waiting, s)
		k.mu.Unlock()
		return nil
	case ended && k.tooLate(u):
		k.settle(s)
		k.mu.Unlock()
		return nil
	}
	u.changed, u.writing = false, true
	k.mu.Unlock()
	var err error
	switch {
	case ended && last == nil:
		err = k.forget(s)
	case ended:
		err = k.put(s, last)
	default:
		if record := s.snapshot(); record != nil {
			err = k.put(s, record)
		}
	}
	if !k.written(s, ended, err) {
		k.again(s, ended)
	}
	return err
}

// put saves a record of s. What was saved before of one that is too large now is no
// longer true, and is forgotten. Where another node has taken the record, the client has
// moved there, and s ends.
func (k *keeper) put(s *Socket, record *adapter.Record) error {
	n, u := k.namespace, &s.recovery.upkeep
	k.mu.Lock()
	record.First = !u.saved
	moved := u.moved
	k.mu.Unlock()
	if moved {
		return nil
	}
	ctx, cancel := context.WithTimeout(n.server.base, leaveTimeout)
	defer cancel()
	err := n.log.Save(ctx, record)
	switch {
	case errors.Is(err, adapter.ErrTaken):
		k.mu.Lock()
		u.moved = true
		k.mu.Unlock()
		n.server.tasks.Go(s.supersede)
		return nil
	case errors.Is(err, adapter.ErrTooLarge):
		n.server.log.Warn("client cannot recover", "namespace", clip(n.name), "socket", record.SocketID, "error", err)
		return k.records.Forget(ctx, record)
	case err == nil:
		k.mu.Lock()
		u.saved = true
		k.mu.Unlock()
	}
	return err
}

func (k *keeper) forget(s *Socket) error {
	ctx, cancel := context.WithTimeout(k.namespace.server.base, leaveTimeout)
	defer cancel()
	err := k.records.Forget(ctx, s.named())
	if errors.Is(err, adapter.ErrTaken) {
		return nil // the client is another socket's
	}
	return err
}
