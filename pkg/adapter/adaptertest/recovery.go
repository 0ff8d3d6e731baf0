package adaptertest

import (
	"bytes"
	"context"
	"errors"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/roomcast/roomcast/pkg/adapter"
)

// recoveryChecks are for adapters that are an adapter.RecoveryStore.
var recoveryChecks = []check{
	{"Recovery_OneOrder", "all links of the topic, the sender's too, get its broadcasts in one order, which is the log's", oneOrder},
	{"Recovery_OffsetIsItsOwn", "each broadcast has an offset of its own, the same on all links", offsetIsItsOwn},
	{"Recovery_VolatileIsNotKept", "a volatile broadcast arrives in its place in the order, without an offset, and is not in the log", volatileIsNotKept},
	{"Recovery_OtherKinds", "messages of other kinds are delivered as in a topic without a log: not to the sender, and to the node meant", otherKinds},
	{"Recovery_MissedIsExact", "Missed yields what follows the offset up to the log's end, whole and once, on every node; nothing follows the newest", missedIsExact},
	{"Recovery_StartIsWhereDeliveriesBegin", "Start is the offset behind which the link's deliveries begin", startIsWhereDeliveriesBegin},
	{"Recovery_StrangeOffset", "an offset that is not of this log is ErrNoOffset, whatever text it is", strangeOffset},
	{"Recovery_LogBytes", "when broadcasts had to go, an offset before them is ErrNoOffset, and what is left is not yielded as if it were all", logBytes},
	{"Recovery_RecordIsWhole", "a record is found on another node with every field", recordIsWhole},
	{"Recovery_FindLeavesIt", "Find changes nothing, and so does a wrong offset", findLeavesIt},
	{"Recovery_TakenOnce", "of several calls of Take on several nodes one gets the record, the others ErrNoRecord", takenOnce},
	{"Recovery_RecordOfItsTopic", "a record can be found and taken only in the topic that it was saved in", recordOfItsTopic},
	{"Recovery_TooLargeRecord", "a record beyond MaxRecordBytes is ErrTooLarge", tooLargeRecord},
	{"Recovery_OldestRecordsGo", "beyond MaxRecords the node's oldest records go", oldestRecordsGo},
	{"Recovery_WindowEnds", "a record and what followed an offset are kept for the window and no longer", windowEnds},
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
	want, err := nodes[0].missed(nodes[0].log.Start())
	if err != nil || len(want) != len(nodes)*each {
		tr.Fatalf("the log has %d broadcasts, and ends with %v, want %d", len(want), err, len(nodes)*each)
	}
	for i, m := range nodes {
		var got []uint32
		for range want {
			got = append(got, numberOf(m.next()))
		}
		if !slices.Equal(got, want) {
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
	nodes[1].expectEach(1, 2, 3)
	nodes[2].expectEach(1, 3)
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
	if got := late.log.Start(); got != newest {
		tr.Errorf("Start is %q, want the newest offset %q", got, newest)
	}
	early.tellEach(3)
	late.expect(3)
	late.wantMissed(late.log.Start(), 3)
}

func strangeOffset(tr *trial) {
	m, elsewhere := tr.logged(1, ample)[0], tr.logged(1, ample)[0]
	offset := m.tellEach(1)[0].Offset
	m.save("known")
	for _, strange := range []string{
		"", "0", "-", "$", "+", "0-0", "1-1", "99999999999999-0", "9223372036854775808-1", offset + "0", "0" + offset, offset + " ", offset + "\n", " " + offset,
		strings.Repeat("9", 1<<20), offset + strings.Repeat("9", 1<<20), elsewhere.tellEach(1)[0].Offset, "\x00", "*", "日本",
	} {
		m.wantGap(strange)
		_, err := m.find("known", strange)
		m.wants("Find", err, adapter.ErrNoOffset)
	}
}

func logBytes(tr *trial) {
	bounded := ample
	bounded.MaxLogBytes = 64 << 10
	m := tr.logged(1, bounded)[0]
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

func recordIsWhole(tr *trial) {
	nodes := tr.logged(2, ample)
	offset := nodes[0].tellEach(1)[0].Offset
	for _, want := range []*adapter.Record{
		{PrivateID: "bare", SocketID: "s1", Node: nodes[0].id, Since: nodes[0].log.Start(), Rooms: []string{"s1"}},
		{PrivateID: "full 日本", SocketID: "s2", Node: nodes[0].id, Since: offset, Rooms: []string{"s2", "a#b", "日本", ""}, Data: []byte(`{"é":[null,1.5]}`)},
	} {
		tr.must("Save", nodes[0].call(func(ctx context.Context) error { return nodes[0].log.Save(ctx, want) }))
		got, err := nodes[1].find(want.PrivateID, offset)
		tr.must("Find", err)
		if !sameRecord(got, want) {
			tr.Errorf("Find: got %+v, want %+v", got, want)
		}
		got, err = nodes[1].take(want.PrivateID)
		tr.must("Take", err)
		if !sameRecord(got, want) {
			tr.Errorf("Take: got %+v, want %+v", got, want)
		}
	}
}

func sameRecord(got, want *adapter.Record) bool {
	g, w := *got, *want
	g.Rooms, w.Rooms = slices.Sorted(slices.Values(g.Rooms)), slices.Sorted(slices.Values(w.Rooms))
	if len(g.Data) == 0 && len(w.Data) == 0 {
		g.Data, w.Data = nil, nil
	}
	return reflect.DeepEqual(g, w)
}

func findLeavesIt(tr *trial) {
	m := tr.logged(1, ample)[0]
	offset := m.tellEach(1)[0].Offset
	m.save("p")
	for _, asked := range []string{offset, "made up", offset, ""} {
		_, err := m.find("p", asked)
		if asked == offset {
			m.wants("Find", err, nil)
		} else {
			m.wants("Find", err, adapter.ErrNoOffset)
		}
	}
	_, err := m.find("another", offset)
	m.wants("Find of another record", err, adapter.ErrNoRecord)
	_, err = m.take("p")
	m.wants("Take", err, nil)
}

func takenOnce(tr *trial) {
	nodes := tr.logged(2, ample)
	offset := nodes[0].tellEach(1)[0].Offset
	for _, id := range []string{"p1", "p2", "p3", "p4", "p5"} {
		nodes[0].save(id)
		var results []<-chan error
		for i := range 6 {
			results = append(results, tr.start(func() error {
				_, err := nodes[i%2].take(id)
				return err
			}))
		}
		wins := 0
		for _, result := range results {
			err := tr.await(result, 2*patience)
			if err == nil {
				wins++
			} else if !errors.Is(err, adapter.ErrNoRecord) {
				tr.Errorf("Take: got %v, want ErrNoRecord", err)
			}
		}
		if wins != 1 {
			tr.Errorf("%d calls got the record, want one", wins)
		}
		_, err := nodes[1].find(id, offset)
		nodes[1].wants("Find after Take", err, adapter.ErrNoRecord)
	}
}

func recordOfItsTopic(tr *trial) {
	n := tr.node()
	m, elsewhere := n.joinLog(tr.namespace(), ample), n.joinLog(tr.namespace(), ample)
	offset, otherOffset := m.tellEach(1)[0].Offset, elsewhere.tellEach(1)[0].Offset
	m.save("p")
	_, err := elsewhere.find("p", otherOffset)
	m.wants("Find in another topic", err, adapter.ErrNoRecord)
	_, err = elsewhere.take("p")
	m.wants("Take in another topic", err, adapter.ErrNoRecord)
	_, err = m.find("p", offset)
	m.wants("Find in its topic", err, nil)
}

func tooLargeRecord(tr *trial) {
	small := ample
	small.MaxRecordBytes = 4 << 10
	m := tr.logged(1, small)[0]
	offset := m.tellEach(1)[0].Offset
	large := &adapter.Record{PrivateID: "large", SocketID: "s", Data: []byte(`"` + strings.Repeat("x", 4<<10) + `"`)}
	err := m.call(func(ctx context.Context) error { return m.log.Save(ctx, large) })
	m.wants("Save", err, adapter.ErrTooLarge)
	_, err = m.find("large", offset)
	m.wants("Find", err, adapter.ErrNoRecord)
}

func oldestRecordsGo(tr *trial) {
	few := ample
	few.MaxRecords = 2
	m := tr.logged(1, few)[0]
	offset := m.tellEach(1)[0].Offset
	for _, id := range []string{"1", "2", "3"} {
		m.save(id)
	}
	for id, want := range map[string]error{"1": adapter.ErrNoRecord, "2": nil, "3": nil} {
		_, err := m.find(id, offset)
		m.wants("Find of record "+id+" of 3", err, want)
	}
}

func windowEnds(tr *trial) {
	short := ample
	short.Window = 2 * time.Second
	m := tr.logged(1, short)[0]
	before := time.Now()
	offset := m.tellEach(1, 2)[0].Offset
	m.save("p")
	_, err := m.find("p", offset)
	if time.Since(before) < short.Window { // else the machine was too slow to tell
		m.wants("Find within the window", err, nil)
	}
	<-time.NewTimer(short.Window + moment).C
	_, err = m.take("p")
	m.wants("Take after the window", err, adapter.ErrNoRecord)
	m.wantGap(offset)
}
