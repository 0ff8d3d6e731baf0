package server_test

import (
	"cmp"
	"context"
	"iter"
	"maps"
	"slices"
	"strconv"
	"strings"
	gosync "sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/roomcast/roomcast/internal/testutil/rawclient"
	"github.com/roomcast/roomcast/pkg/adapter"
	"github.com/roomcast/roomcast/pkg/adapter/memory"
	"github.com/roomcast/roomcast/pkg/server"
)

// stream is a backend with one log for all topics, whose entries reach all nodes a
// while after they were published, and with records that outlive their node.
type stream struct {
	calls *memory.Adapter // what is not in the log

	mu      gosync.Mutex
	entries []*adapter.Message // the offset is the index, from 1
	links   map[*streamLink]struct{}
	records map[string]streamRecord // by topic and private id
}

type streamRecord struct {
	*adapter.Record // nil: it was taken or forgotten
	until           time.Time
}

func newStream() *stream {
	return &stream{calls: memory.New(), links: make(map[*streamLink]struct{}), records: make(map[string]streamRecord)}
}

// streamNode is a node's way to a stream.
type streamNode struct {
	*stream
	dead   atomic.Bool // nothing travels any more, and nobody is told
	away   atomic.Bool // the backend is not reached, and that is known
	cut    atomic.Bool // requests do not arrive
	lost   atomic.Uint64
	broken atomic.Int64 // how many calls of Find fail
	saves  atomic.Int64
	reads  atomic.Int64
	writes atomic.Int64                 // at present
	most   atomic.Int64                 // of writes
	before atomic.Pointer[func(string)] // called with "save", "saved", "renew", "forget", "take"

	rooms    map[string]string // by topic and name; guarded by the stream's mu
	renewed  chan int          // how many at a time
	watching atomic.Pointer[func(adapter.Event)]
}

var (
	_ adapter.TotalOrder   = (*streamNode)(nil)
	_ adapter.Reporter     = (*streamNode)(nil)
	_ adapter.Watcher      = (*streamNode)(nil)
	_ adapter.RecordKeeper = (*streamLink)(nil)
)

func (s *stream) node() *streamNode {
	return &streamNode{stream: s, renewed: make(chan int, 1000), rooms: make(map[string]string)}
}

func (n *streamNode) TotalOrder() {}

func (n *streamNode) Status() adapter.Status {
	status := adapter.Status{State: adapter.Up, Interruptions: n.lost.Load(), LogResets: 3, LogGaps: 4, Gaps: 5, Repeated: 6}
	if n.away.Load() || n.dead.Load() {
		status.State = adapter.Degraded
	}
	return status
}

func (n *streamNode) Watch(f func(adapter.Event)) (stop func()) {
	n.watching.Store(&f)
	return func() { n.watching.Store(nil) }
}

// intervene has f called before each step of the node's links.
func (n *streamNode) intervene(f func(step string)) { n.before.Store(&f) }

func (n *streamNode) step(name string) error {
	if f := n.before.Load(); f != nil {
		(*f)(name)
	}
	if n.away.Load() || n.dead.Load() {
		return adapter.ErrDegraded
	}
	return nil
}

func (n *streamNode) Join(ctx context.Context, topic string, self adapter.NodeID, deliver func(*adapter.Message)) (adapter.Link, error) {
	link, err := n.calls.Join(ctx, topic, self, func(m *adapter.Message) {
		if !n.dead.Load() {
			deliver(m)
		}
	})
	return &deadly{link, n}, err
}

// deadly is a link that publishes nothing when its node is dead.
type deadly struct {
	adapter.Link
	node *streamNode
}

func (l *deadly) Publish(ctx context.Context, m *adapter.Message) error {
	if l.node.dead.Load() || l.node.cut.Load() && m.Kind == adapter.KindRequest {
		return nil
	}
	return l.Link.Publish(ctx, m)
}

func (n *streamNode) JoinRecoverable(ctx context.Context, topic string, self adapter.NodeID, r adapter.Retention, deliver func(*adapter.Message)) (adapter.RecoveryLink, error) {
	l := &streamLink{node: n, topic: topic, self: self, retention: r}
	l.deliver = func(m *adapter.Message) {
		l.delivering.Lock()
		defer l.delivering.Unlock()
		if !n.dead.Load() {
			deliver(m)
		}
	}
	calls, err := n.calls.Join(ctx, topic, self, l.deliver)
	if err != nil {
		return nil, err
	}
	l.calls = &deadly{calls, n}
	l.news.L = &l.mu
	n.mu.Lock()
	defer n.mu.Unlock()
	n.entries = append(n.entries, &adapter.Message{Broadcast: &adapter.Broadcast{}}) // of nobody's topic: it is Start
	l.start = offsetOf(len(n.entries))
	n.links[l] = struct{}{}
	l.running.Go(l.run)
	return l, nil
}

// streamLink is a node's membership of a topic of a stream.
type streamLink struct {
	node       *streamNode
	topic      string
	self       adapter.NodeID
	retention  adapter.Retention
	calls      adapter.Link
	start      string
	deliver    func(*adapter.Message)
	delivering gosync.Mutex

	mu      gosync.Mutex
	news    gosync.Cond
	queue   []*adapter.Message
	held    bool // nothing is passed on
	busy    bool // deliver runs
	closed  bool
	running gosync.WaitGroup
}

func offsetOf(n int) string { return strconv.Itoa(n) + "-0" }

func placeOf(offset string) (int, bool) {
	digits, ok := strings.CutSuffix(offset, "-0")
	n, err := strconv.Atoi(digits)
	return n, ok && err == nil
}

func (l *streamLink) run() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for !l.closed {
		if len(l.queue) == 0 || l.held {
			l.news.Wait()
			continue
		}
		m := l.queue[0]
		l.queue, l.busy = l.queue[1:], true
		l.mu.Unlock()
		l.deliver(m)
		l.mu.Lock()
		l.busy = false
	}
}

// lag keeps deliveries of the node's links back, or lets them go.
func (n *streamNode) lag(on bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for l := range n.links {
		if l.node != n {
			continue
		}
		l.mu.Lock()
		l.held = on
		l.news.Broadcast()
		l.mu.Unlock()
	}
}

// drop forgets the deliveries that the node keeps back.
func (n *streamNode) drop() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for l := range n.links {
		if l.node == n {
			l.mu.Lock()
			l.queue = nil
			l.mu.Unlock()
		}
	}
}

// idle says whether all that was published has been delivered by the node.
func (n *streamNode) idle() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	for l := range n.links {
		if l.node != n {
			continue
		}
		l.mu.Lock()
		busy := l.busy || len(l.queue) > 0
		l.mu.Unlock()
		if busy {
			return false
		}
	}
	return true
}

func (l *streamLink) Publish(ctx context.Context, m *adapter.Message) error {
	changes := m.Kind == adapter.KindRequest && (m.Request.Action == adapter.ActionJoin || m.Request.Action == adapter.ActionLeave || m.Request.Action == adapter.ActionDisconnect)
	if m.Kind != adapter.KindBroadcast && !changes || m.To != "" {
		return l.calls.Publish(ctx, m)
	}
	if l.node.dead.Load() {
		return nil
	}
	kept := m.Clone()
	kept.From = l.self
	s := l.node.stream
	s.mu.Lock()
	defer s.mu.Unlock()
	if m.Kind != adapter.KindBroadcast || !m.Broadcast.Volatile {
		s.entries = append(s.entries, kept)
		if m.Kind == adapter.KindBroadcast {
			kept.Offset = offsetOf(len(s.entries))
		}
	}
	for to := range s.links {
		if to.topic == l.topic {
			to.mu.Lock()
			to.queue = append(to.queue, kept.Clone())
			to.news.Signal()
			to.mu.Unlock()
		}
	}
	return nil
}

func (l *streamLink) Close(ctx context.Context) error {
	s := l.node.stream
	s.mu.Lock()
	delete(s.links, l)
	s.mu.Unlock()
	l.mu.Lock()
	l.closed = true
	l.news.Broadcast()
	l.mu.Unlock()
	l.running.Wait()
	return l.calls.Close(ctx)
}

// The rooms that other than a stream would have to know.

func (l *streamLink) RoomOccupied(_ context.Context, room string) error {
	l.node.mu.Lock()
	defer l.node.mu.Unlock()
	l.node.rooms[l.topic+room] = room
	return nil
}

func (l *streamLink) RoomEmpty(room string) {
	l.node.mu.Lock()
	defer l.node.mu.Unlock()
	delete(l.node.rooms, l.topic+room)
}

func (l *streamLink) SocketIDs(context.Context, string) error { return nil }

// announced returns the rooms that a node has announced and not given back.
func (n *streamNode) announced() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Sorted(maps.Values(n.rooms))
}

func (l *streamLink) Start() string { return l.start }

func (l *streamLink) Compare(a, b string) int {
	i, _ := placeOf(a)
	j, _ := placeOf(b)
	return cmp.Compare(i, j)
}

func (l *streamLink) Missed(ctx context.Context, offset string) iter.Seq2[*adapter.Message, error] {
	return func(yield func(*adapter.Message, error) bool) {
		l.node.reads.Add(1)
		at, ok := placeOf(offset)
		for ; ; at++ {
			l.node.mu.Lock()
			end := len(l.node.entries)
			var m *adapter.Message
			if ok && at < end {
				m = l.node.entries[at]
			}
			l.node.mu.Unlock()
			switch {
			case !ok || at > end:
				yield(nil, adapter.ErrNoOffset)
				return
			case at == end:
				return
			case m.Kind == adapter.KindBroadcast && m.Broadcast.Packet.Namespace == l.topic:
				if !yield(m.Clone(), nil) {
					return
				}
			}
		}
	}
}

// lookUp finds a record that has not expired. The caller holds the stream's mu.
func (l *streamLink) lookUp(privateID string) (streamRecord, bool) {
	r, ok := l.node.records[l.topic+privateID]
	return r, ok && time.Now().Before(r.until)
}

func (l *streamLink) put(privateID string, r *adapter.Record) {
	l.node.records[l.topic+privateID] = streamRecord{r, time.Now().Add(l.retention.Window)}
}

func (l *streamLink) Save(_ context.Context, r *adapter.Record) error {
	n := l.node
	n.most.Store(max(n.most.Load(), n.writes.Add(1)))
	defer n.writes.Add(-1)
	if err := n.step("save"); err != nil {
		return err
	}
	if int64(r.Size()) > l.retention.MaxRecordBytes {
		return adapter.ErrTooLarge
	}
	n.mu.Lock()
	before, ok := l.lookUp(r.PrivateID)
	switch gone := ok && before.Record == nil; {
	case gone && !r.First, ok && !gone && before.Incarnation != r.Incarnation:
		n.mu.Unlock()
		return adapter.ErrTaken
	}
	kept := *r
	kept.First = false
	l.put(r.PrivateID, &kept)
	n.mu.Unlock()
	n.saves.Add(1)
	return n.step("saved")
}

func (l *streamLink) Find(_ context.Context, privateID, offset string) (*adapter.Record, error) {
	if err := l.node.step("find"); err != nil {
		return nil, err
	}
	if l.node.broken.Add(-1) >= 0 {
		return nil, errStore
	}
	l.node.mu.Lock()
	defer l.node.mu.Unlock()
	r, ok := l.lookUp(privateID)
	if !ok || r.Record == nil {
		return nil, adapter.ErrNoRecord
	}
	if at, ok := placeOf(offset); !ok || at > len(l.node.entries) {
		return nil, adapter.ErrNoOffset
	}
	found := *r.Record
	return &found, nil
}

func (l *streamLink) Take(_ context.Context, found *adapter.Record) (*adapter.Record, error) {
	if err := l.node.step("take"); err != nil {
		return nil, err
	}
	l.node.mu.Lock()
	defer l.node.mu.Unlock()
	r, ok := l.lookUp(found.PrivateID)
	switch {
	case !ok || r.Record == nil:
		return nil, adapter.ErrNoRecord
	case r.Incarnation != found.Incarnation:
		return nil, adapter.ErrTaken
	}
	l.put(found.PrivateID, nil)
	return r.Record, nil
}

func (l *streamLink) Renew(_ context.Context, records []*adapter.Record) (missing []int, err error) {
	if err := l.node.step("renew"); err != nil {
		return nil, err
	}
	l.node.mu.Lock()
	defer l.node.mu.Unlock()
	for i, known := range records {
		if r, ok := l.lookUp(known.PrivateID); ok && r.Record != nil && r.Incarnation == known.Incarnation {
			l.put(known.PrivateID, r.Record)
		} else {
			missing = append(missing, i)
		}
	}
	l.node.renewed <- len(records)
	return missing, nil
}

func (l *streamLink) Forget(_ context.Context, known *adapter.Record) error {
	if err := l.node.step("forget"); err != nil {
		return err
	}
	l.node.mu.Lock()
	defer l.node.mu.Unlock()
	if r, ok := l.lookUp(known.PrivateID); ok && r.Record != nil && r.Incarnation != known.Incarnation {
		return adapter.ErrTaken
	}
	l.put(known.PrivateID, nil)
	return nil
}

// record returns what is kept of a client in the namespace "/", or nil.
func (s *stream) record(privateID string) *adapter.Record {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r := s.records["/"+privateID]; time.Now().Before(r.until) {
		return r.Record
	}
	return nil
}

// forgetAll empties the store, as a backend does that was started without its data.
func (s *stream) forgetAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.records)
}

// kill takes a node away from the backend: it says and saves nothing any more.
func (n *streamNode) kill() { n.dead.Store(true) }

// streaming runs nodes on one stream that know each other.
func streaming(t testing.TB, nodes int, options server.Options) (servers []*server.Server, urls []string, ways []*streamNode) {
	t.Helper()
	s := newStream()
	for range nodes {
		way := s.node()
		options.Adapter = way
		if options.CloseTimeout == 0 {
			options.CloseTimeout = 100 * time.Millisecond
		}
		node, url := start(t, options)
		joining(node.Of("/"))
		servers, urls, ways = append(servers, node), append(urls, url), append(ways, way)
	}
	meet(t, servers)
	return servers, urls, ways
}

// inStreamsBubble is streaming, with recovery, on networks of pipes with fake time: what nodes
// wait for each other at most is not used up by a busy machine.
func inStreamsBubble(t *testing.T, nodes int, test func(t *testing.T, servers []*server.Server, dials []rawclient.Dialer, ways []*streamNode)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := newStream()
		var servers []*server.Server
		var dials []rawclient.Dialer
		var ways []*streamNode
		for range nodes {
			way := s.node()
			node, dial, stop := startOnPipes(t, server.Options{
				Adapter: way, Recovery: &server.Recovery{}, PingInterval: time.Hour, PingTimeout: time.Hour,
			})
			defer stop()
			servers, dials, ways = append(servers, node), append(dials, dial), append(ways, way)
		}
		meet(t, servers)
		test(t, servers, dials, ways)
	})
}

// kept waits until a record is as it should be.
func (s *stream) kept(t testing.TB, privateID, what string, ok func(*adapter.Record) bool) {
	t.Helper()
	eventually(t, what, func() bool {
		r := s.record(privateID)
		return r != nil && ok(r)
	})
}

// inStreamBubble runs a node on a stream, on a network of pipes with fake time.
func inStreamBubble(t *testing.T, options server.Options, test func(t *testing.T, s *server.Server, way *streamNode, dial rawclient.Dialer)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		way := newStream().node()
		options.Adapter, options.PingInterval, options.PingTimeout = way, time.Hour, time.Hour
		s, dial, stop := startOnPipes(t, options)
		defer stop()
		test(t, s, way, dial)
	})
}
