package adaptertest

import (
	"errors"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/roomcast/roomcast/pkg/adapter"
)

// recordChecks are about the records of an adapter.RecoveryStore.
var recordChecks = []check{
	{"Recovery_RecordIsWhole", "a record is found on another node with every field", recordIsWhole},
	{"Recovery_FindLeavesIt", "Find changes nothing, and so does a wrong offset", findLeavesIt},
	{"Recovery_TakenOnce", "of several calls of Take on several nodes one gets the record, the others ErrNoRecord", takenOnce},
	{"Recovery_TakeOfAnother", "Take of a record that is another socket's by now is ErrTaken, and the record stays", takeOfAnother},
	{"Recovery_SavedAgain", "a record that is saved again replaces the earlier one, and is there again after it was taken", savedAgain},
	{"Recovery_RecordOfItsTopic", "a record can be found and taken only in the topic that it was saved in", recordOfItsTopic},
	{"Recovery_TooLargeRecord", "a record beyond MaxRecordBytes is ErrTooLarge", tooLargeRecord},
	{"Recovery_OldestRecordsGo", "beyond MaxRecords the node's oldest records go", oldestRecordsGo},
	{"Recovery_WindowEnds", "a record and what followed an offset are kept for the window and no longer", windowEnds},
}

func recordIsWhole(tr *trial) {
	nodes := tr.logged(2, ample)
	offset := nodes[0].tellEach(1)[0].Offset
	for _, want := range []*adapter.Record{
		{PrivateID: "bare", SocketID: "s1", Node: nodes[0].id, Incarnation: "i", Since: nodes[0].log.Start(), Rooms: []string{"s1"}},
		{PrivateID: "full 日本", SocketID: "s2", Node: nodes[0].id, Incarnation: "0123456789abcdef", Since: offset, Rooms: []string{"s2", "a#b", "日本", ""}, Data: []byte(`{"é":[null,1.5]}`)},
	} {
		want.First = true
		tr.must("Save", nodes[0].saveAs(want))
		got, err := nodes[1].find(want.PrivateID, offset)
		tr.must("Find", err)
		if !sameRecord(got, want) {
			tr.Errorf("Find: got %+v, want %+v", got, want)
		}
		got, err = nodes[1].takeAs(want)
		tr.must("Take", err)
		if !sameRecord(got, want) {
			tr.Errorf("Take: got %+v, want %+v", got, want)
		}
	}
}

func sameRecord(got, want *adapter.Record) bool {
	g, w := *got, *want
	g.First, w.First = false, false // it is for Save
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

func takeOfAnother(tr *trial) {
	nodes := tr.logged(2, ample)
	nodes[0].save("p")
	_, err := nodes[1].take("p")
	tr.must("Take", err)
	want := &adapter.Record{PrivateID: "p", SocketID: "s", Incarnation: "second", First: true, Rooms: []string{"s"}}
	tr.must("Save", nodes[1].saveAs(want))
	for _, m := range nodes {
		_, err := m.take("p")
		m.wants("Take of the first", err, adapter.ErrTaken)
	}
	if got, err := nodes[0].takeAs(want); err != nil || !sameRecord(got, want) {
		tr.Errorf("Take of the second: got %+v and %v, want %+v", got, err, want)
	}
}

func savedAgain(tr *trial) {
	nodes := tr.logged(2, ample)
	for round, m := range []*logMember{nodes[0], nodes[0], nodes[1], nodes[0]} {
		replaces := round == 1
		want := &adapter.Record{PrivateID: "p", SocketID: "s", Rooms: []string{"s", "room " + strconv.Itoa(round)}}
		want.Incarnation, want.First = "after "+strconv.Itoa(max(round, 1)), !replaces
		tr.must("Save", m.saveAs(want))
		if round == 0 {
			continue
		}
		if got, err := nodes[1].takeAs(want); err != nil || !sameRecord(got, want) {
			tr.Errorf("Take after Save %d: got %+v and %v, want %+v", round, got, err, want)
		}
		_, err := nodes[0].takeAs(want)
		m.wants("a second Take", err, adapter.ErrNoRecord)
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
	large := &adapter.Record{PrivateID: "large", SocketID: "s", Incarnation: "first", First: true, Data: []byte(`"` + strings.Repeat("x", 4<<10) + `"`)}
	m.wants("Save", m.saveAs(large), adapter.ErrTooLarge)
	_, err := m.find("large", offset)
	m.wants("Find", err, adapter.ErrNoRecord)
}

func oldestRecordsGo(tr *trial) {
	if tr.config.Small != nil {
		tr.Skip("Config.Small is set: the adapter has bounds of its own instead of MaxRecords")
	}
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
	if tr.config.Small == nil { // else its log has other bounds than time
		m.wantGap(offset)
	}
}
