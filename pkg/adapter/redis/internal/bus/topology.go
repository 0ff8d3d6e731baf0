package bus

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"sync"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// Times between two readings of the topology.
const (
	topologyInterval = time.Second
	topologyAway     = 250 * time.Millisecond // while a server is away, which may get a successor
	topologyPause    = 50 * time.Millisecond  // however often somebody asks
)

// topology keeps a lane for each master of a Redis Cluster, and gives each slot to the
// lane of its owner. One goroutine does that.
type topology struct {
	bus     *Bus
	cluster *goredis.ClusterClient
	asked   chan struct{} // one token: somebody asks
	seen    time.Time     // when it was last read
	// orphaned are lanes that have ended, whose slots have had no master since.
	orphaned []*lane

	mu      sync.Mutex
	waiting []chan struct{}
}

// ask has the topology read anew, and returns a channel that is closed afterwards.
func (t *topology) ask() <-chan struct{} {
	t.mu.Lock()
	defer t.mu.Unlock()
	done := make(chan struct{})
	t.waiting = append(t.waiting, done)
	signal(t.asked)
	return done
}

func (t *topology) run(ctx context.Context) {
	for ctx.Err() == nil {
		t.mu.Lock()
		waiting := t.waiting
		t.waiting = nil
		t.mu.Unlock()
		t.update(ctx)
		for _, done := range waiting {
			close(done)
		}
		interval := topologyInterval
		if t.bus.Away() {
			interval = topologyAway
		}
		pause, next := time.NewTimer(topologyPause), time.NewTimer(interval)
		select {
		case <-pause.C:
		case <-ctx.Done():
		}
		select {
		case <-ctx.Done():
		case <-t.asked:
		case <-next.C:
		}
		pause.Stop()
		next.Stop()
	}
}

// update reads the topology and puts it into effect.
func (t *topology) update(ctx context.Context) {
	started := time.Now()
	owners, err := t.read(ctx)
	if err == nil {
		t.bus.assign(ctx, owners, t.seen)
		t.seen = started
	}
	t.bus.homeless(err)
}

// read returns the client of the master of each slot, nil where there is none. Going
// through all masters makes the client read the cluster's state; asking it for the
// owner of a name of each slot says which of its clients is meant, whatever addresses
// the cluster reports.
func (t *topology) read(ctx context.Context) (*[slots]*goredis.Client, error) {
	var masters sync.Map
	if err := t.cluster.ForEachMaster(ctx, func(_ context.Context, c *goredis.Client) error {
		masters.Store(c, true)
		return nil
	}); err != nil {
		return nil, err
	}
	owners := new([slots]*goredis.Client)
	for slot, name := range nameOfSlot() {
		c, err := t.cluster.MasterForKey(ctx, name)
		if err != nil {
			return nil, err
		}
		if _, ok := masters.Load(c); ok { // else it is any node, for want of a master
			owners[slot] = c
		}
	}
	return owners, nil
}

// errNoMaster means that slots are nobody's.
var errNoMaster = errors.New("redis: slots of the cluster have no master")

// homeless says how the slots are that have no lane of a master.
func (b *Bus) homeless(err error) {
	r := b.outbox.routes
	none := r.lanes[0]
	none.publisher.expire()
	if r.slots != nil && !slices.Contains(r.slots[:], none) {
		none.part.Recovered()
		return
	}
	if err == nil {
		err = errNoMaster
	}
	none.part.Lost(err)
}

// assign gives each slot to the lane of its owner, which it starts if there is none.
// The first lane, which has no server, has those of which the owner is not known. Seen
// is when the present owners were last read.
func (b *Bus) assign(ctx context.Context, owners *[slots]*goredis.Client, seen time.Time) {
	present := b.outbox.routes // nobody else replaces them
	next := b.redraw(present, owners)
	var handovers map[*lane]*handover
	if present.slots != nil && *next.slots == *present.slots {
		next = present
	} else {
		handovers = b.hand(present, next, seen)
	}
	for _, l := range next.lanes[1:] {
		if l.cancel == nil {
			l.start(ctx, &b.running)
		}
		l.table.retry()
	}
	for _, l := range present.lanes[1:] {
		if !slices.Contains(next.lanes, l) {
			l.end()
		}
	}
	for _, h := range handovers {
		h.start(ctx, &b.running)
	}
}

// hand makes next the routes. Messages and subscriptions go where they belong then,
// and wait for the handovers that are returned, which must be started.
func (b *Bus) hand(present, next *routes, seen time.Time) map[*lane]*handover {
	for _, l := range next.lanes[1:] {
		if name := l.table.probeName(); name == "" || next.of(name) != l {
			l.setProbe(b.probeIn(next, l))
		}
	}
	handovers := b.topology.handovers(present, next)
	b.mu.Lock()
	defer b.mu.Unlock()
	for to, h := range handovers {
		to.table.hold(h)
	}
	b.outbox.reroute(next, handovers)
	for _, l := range present.lanes {
		proven := l.pulse.provenAt()
		if seen.Before(proven) {
			proven = seen
		}
		ends := !slices.Contains(next.lanes, l)
		for _, m := range l.table.leave(proven, ends, func(name string) bool { return next.of(name) == l }) {
			to := next.of(m.Name)
			if h := handovers[to]; h.concerns(l) {
				m.after = h
			}
			to.table.adopt(m)
		}
	}
	return handovers
}

// redraw returns the routes with those owners.
func (b *Bus) redraw(present *routes, owners *[slots]*goredis.Client) *routes {
	lanes := make(map[goredis.UniversalClient]*lane)
	for _, l := range present.lanes[1:] {
		lanes[l.client] = l
	}
	next := &routes{lanes: present.lanes[:1:1], slots: new([slots]*lane)}
	added := make(map[*lane]bool)
	for slot, c := range owners {
		if c == nil {
			next.slots[slot] = present.lanes[0]
			continue
		}
		l := lanes[c]
		if l == nil {
			l = b.newLane(c.Options().Addr, c)
			lanes[c] = l
		}
		if !added[l] {
			added[l] = true
			next.lanes = append(next.lanes, l)
		}
		next.slots[slot] = l
	}
	return next
}

// probeIn returns the name of a channel that is l's.
func (b *Bus) probeIn(r *routes, l *lane) string {
	for i := 0; ; i++ {
		if name := b.probe + strconv.Itoa(i) + "#"; r.of(name) == l {
			return name
		}
	}
}
