package adaptertest

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/roomcast/roomcast/pkg/adapter"
)

// logChecks are about what an adapter.RecoveryStore does with broadcasts.
var logChecks = []check{
	{"Recovery_OneOrder", "all links of the topic, the sender's too, get its broadcasts in one order, which is the log's", oneOrder},
	{"Recovery_OffsetIsItsOwn", "each broadcast has an offset of its own, the same on all links", offsetIsItsOwn},
	{"Recovery_VolatileIsNotKept", "a volatile broadcast arrives in its place in the order, without an offset, and is not in the log", volatileIsNotKept},
	{"Recovery_OtherKinds", "messages of other kinds are delivered as in a topic without a log: not to the sender, and to the node meant", otherKinds},
	{"Recovery_MissedIsExact", "Missed yields what follows the offset up to the log's end, whole and once, on every node; nothing follows the newest", missedIsExact},
	{"Recovery_StartIsWhereDeliveriesBegin", "Start is the offset behind which the link's deliveries begin, and never empty where the backend was there", startIsWhereDeliveriesBegin},
	{"Recovery_OffsetsCompare", "Compare orders offsets as their broadcasts were delivered, Start before all of them and the empty text before that", offsetsCompare},
	{"Recovery_StrangeOffset", "what is no offset, or one behind the log's end, is ErrNoOffset; that of another log is too, unless it tells exactly what follows", strangeOffset},
	{"Recovery_LogBytes", "when broadcasts had to go, an offset before them is ErrNoOffset, and what is left is not yielded as if it were all", logBytes},
	{"Recovery_JoinIsDegraded", "without its backend, JoinRecoverable returns a working link with an error that wraps ErrDegraded; Start is known once the backend is there", logJoinIsDegraded},
}

// recoveryChecks are for adapters that are an adapter.RecoveryStore.
func recoveryChecks() []check { return slices.Concat(logChecks, recordChecks, keeperChecks) }

// small is a node whose log soon loses its oldest broadcasts.
func (tr *trial) small() *node {
	tr.Helper()
	if tr.config.Small == nil {
		return tr.node()
	}
	return tr.nodeOn(tr.config.Small(tr.TB))
}

func oneOrder(tr *trial) {
	const each = 90
	nodes := tr.logged(3, ample)
	results := make([]<-chan error, 0, len(nodes))
	for i, m := range nodes {
		results = append(results, tr.start(func() error {
			for number := range uint32(each) {
				if err := m.link.Publish(m.Context(), event(m.topic, uint32(i)*each+number)); err != nil {
					return err
				}
			}
			return nil
		}))
	}
	for _, result := range results {
		tr.must("Publish", tr.await(result, patience))
	}
	heard := make([][]uint32, len(nodes))
	for i, m := range nodes {
		for range len(nodes) * each {
			heard[i] = append(heard[i], numberOf(m.next()))
		}
	}
	want, err := nodes[0].missed(nodes[0].log.Start())
	if err != nil || len(want) != len(nodes)*each {
		tr.Fatalf("the log has %d broadcasts, and ends with %v, want %d", len(want), err, len(nodes)*each)
	}
	for i, m := range nodes {
		if !slices.Equal(heard[i], want) {
			tr.Errorf("node %d heard another order than the log's", i)
		}
		m.quiet("it is a repetition")
	}
}

func offsetIsItsOwn(tr *trial) {
	const n = 10
	nodes := tr.logged(2, ample)
	offsets := map[string]bool{}
	for number := range uint32(n) {
		own, other := nodes[0].tellEach(number)[0].Offset, nodes[1].next().Offset
		if own == "" || own != other {
			tr.Errorf("broadcast %d has offset %q here and %q there", number, own, other)
		}
		offsets[own] = true
	}
	if len(offsets) != n {
		tr.Errorf("%d broadcasts have %d offsets", n, len(offsets))
	}
}

func volatileIsNotKept(tr *trial) {
	nodes := tr.logged(2, ample)
	for number := range uint32(6) {
		m := event(nodes[0].topic, number)
		m.Broadcast.Volatile = number%2 == 1
		nodes[0].publish(m)
	}
	for _, m := range nodes {
		for number := range uint32(6) {
			got := m.next()
			if numberOf(got) != number || (got.Offset == "") != (number%2 == 1) {
				tr.Errorf("got broadcast %d with offset %q, want %d", numberOf(got), got.Offset, number)
			}
		}
	}
	nodes[0].wantMissed(nodes[0].log.Start(), 0, 2, 4)
}

func otherKinds(tr *trial) {
	nodes := tr.logged(3, ample)
	nodes[0].publish(numbered(1), addressed(nodes[1].id, 2), event(nodes[0].topic, 3))
	nodes[0].expect(3)
	nodes[2].expectEach(1, 3)
	heard := []uint32{numberOf(nodes[1].next()), numberOf(nodes[1].next()), numberOf(nodes[1].next())}
	if late := slices.Index(heard, 2); late < 0 || !slices.Equal(slices.Delete(heard, late, late+1), []uint32{1, 3}) {
		tr.Errorf("the node meant heard messages %d, want 1 and 3 in that order, and 2", heard)
	}
}

func missedIsExact(tr *trial) {
	nodes := tr.logged(2, ample)
	sent := event(nodes[0].topic, 1, "room", "日本")
	sent.Broadcast.Except = []string{"a#b"}
	nodes[0].publish(sent)
	offset := nodes[0].next().Offset
	numbers := make([]uint32, 300)
	for i := range numbers {
		numbers[i] = uint32(i + 2)
	}
	back := nodes[0].tellEach(numbers...)
	for _, m := range nodes {
		m.wantMissed(m.log.Start(), append([]uint32{1}, numbers...)...)
		m.wantMissed(offset, numbers...)
		m.wantMissed(back[297].Offset, 300, 301)
		m.wantMissed(back[299].Offset)
	}
	tr.must("Missed", nodes[1].call(func(ctx context.Context) error {
		for got, err := range nodes[1].log.Missed(ctx, nodes[1].log.Start()) {
			if err != nil {
				return err
			}
			tr.compare(got, sent.Broadcast)
			if got.Offset != offset {
				tr.Errorf("the first broadcast is read with offset %q, and was delivered with %q", got.Offset, offset)
			}
			break
		}
		return nil
	}))
}

func startIsWhereDeliveriesBegin(tr *trial) {
	early := tr.node().joinLog(tr.namespace(), ample)
	early.wantMissed(early.log.Start())
	newest := early.tellEach(1, 2)[1].Offset
	late := tr.node().joinLog(early.topic, ample)
	start := late.log.Start()
	if early.log.Start() == "" || start == "" {
		tr.Errorf("Start is empty although the backend was there")
	}
	if late.log.Compare(start, newest) < 0 {
		tr.Errorf("Start is %q, which comes before %q, and that was in the log already", start, newest)
	}
	next := early.tellEach(3)[0].Offset
	if late.log.Compare(start, next) >= 0 {
		tr.Errorf("Start is %q, which does not come before %q, and that was delivered", start, next)
	}
	late.expect(3)
	late.wantMissed(start, 3)
	if got := late.log.Start(); got != start {
		tr.Errorf("Start was %q and has become %q", start, got)
	}
}

func offsetsCompare(tr *trial) {
	const n = 12 // so many that numbers and texts differ in their order
	nodes := tr.logged(2, ample)
	offsets := []string{"", nodes[0].log.Start()}
	for number := range uint32(n) {
		sender, other := nodes[number%2], nodes[1-number%2]
		offsets = append(offsets, sender.tellEach(100 + number)[0].Offset)
		other.expect(100 + number)
	}
	for _, m := range nodes {
		for i, a := range offsets {
			for j, b := range offsets {
				if got, want := cmp.Compare(m.log.Compare(a, b), 0), cmp.Compare(i, j); got != want {
					tr.Errorf("Compare(%q, %q) has sign %d, want %d", a, b, got, want)
				}
			}
		}
	}
}

func strangeOffset(tr *trial) {
	m, elsewhere := tr.logged(1, ample)[0], tr.logged(1, ample)[0]
	offset := m.tellEach(1)[0].Offset
	m.save("known")
	for _, strange := range []string{
		"", "0", "-", "$", "+", "0" + offset, offset + " ", offset + "\n", " " + offset,
		strings.Repeat("9", 1<<20), offset + strings.Repeat("9", 1<<20), "\x00", "*", "日本",
		"99999999999999-0", "9223372036854775808-1", "18446744073709551616-0",
	} {
		m.wantGap(strange)
		_, err := m.find("known", strange)
		m.wants("Find", err, adapter.ErrNoOffset)
	}
	for _, foreign := range []string{"0-0", "1-1", offset + "0", elsewhere.tellEach(1)[0].Offset} {
		m.wantPlaceOrGap(foreign, "known", offset, 1)
	}
}

// wantPlaceOrGap fails the check unless the log does not know a foreign offset, or
// knows whether its only broadcast follows that.
func (m *logMember) wantPlaceOrGap(foreign, record, offset string, number uint32) {
	m.Helper()
	_, err := m.find(record, foreign)
	if errors.Is(err, adapter.ErrNoOffset) {
		m.wantGap(foreign)
		return
	}
	m.wants("Find", err, nil)
	var follows []uint32
	if m.log.Compare(foreign, offset) < 0 {
		follows = []uint32{number}
	}
	m.wantMissed(foreign, follows...)
}

func logBytes(tr *trial) {
	bounded := ample
	bounded.MaxLogBytes = 64 << 10
	m := tr.small().joinLog(tr.namespace(), bounded)
	first := m.tellEach(1)[0].Offset
	m.save("known")
	var offsets []string
	for number := range uint32(40) {
		large := event(m.topic, number)
		large.Broadcast.Packet.Attachments = [][]byte{bytes.Repeat([]byte{1}, 8<<10)}
		m.publish(large)
		offsets = append(offsets, m.next().Offset)
	}
	m.wantGap(first)
	_, err := m.find("known", first)
	m.wants("Find", err, adapter.ErrNoOffset)
	m.wantMissed(offsets[38], 39)
}

func logJoinIsDegraded(tr *trial) {
	n, heal := tr.cut()
	peer := tr.node().joinLog(tr.namespace(), ample)
	m := &logMember{member: &member{node: n, topic: peer.topic, inbox: newMailbox()}}
	err := n.callWithin(patience/5, func(ctx context.Context) error { return m.enter(ctx, ample) })
	if m.log == nil || !errors.Is(err, adapter.ErrDegraded) {
		tr.Fatalf("JoinRecoverable without the backend: got a link %t with error %v, want one with ErrDegraded", m.log != nil, err)
	}
	m.publish(event(m.topic, 1)) // may be lost
	heal()
	first := m.untilBack(2)
	start := m.log.Start()
	if start == "" {
		tr.Fatal("Start is empty although broadcasts arrive")
	}
	if numbers, err := m.missed(start); err != nil || len(numbers) == 0 || numbers[0] != numberOf(first) {
		tr.Errorf("deliveries began with broadcast %d, and behind Start the log has %d, and ends with %v", numberOf(first), numbers, err)
	}
	peer.publish(event(peer.topic, last))
	m.until(last)
	peer.until(last)
}

// untilBack publishes broadcasts with that number until the first one arrives.
func (m *logMember) untilBack(number uint32) *adapter.Message {
	m.Helper()
	const pause = 50 * time.Millisecond
	for range patience / pause {
		m.publish(event(m.topic, number))
		if message, ok := m.inbox.take(pause); ok {
			return message
		}
	}
	m.Fatalf("%s did not hear itself within %v", m.id, patience)
	return nil
}
