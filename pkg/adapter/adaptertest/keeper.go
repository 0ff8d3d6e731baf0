package adaptertest

import (
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/roomcast/roomcast/pkg/adapter"
)

// keeperChecks are for links that are an adapter.RecordKeeper.
var keeperChecks = []check{
	{"Keeper_RenewKeeps", "a renewed record is kept for another window, the others are not", renewKeeps},
	{"Keeper_RenewOfMissing", "Renew says what is not there, by indexes, and does not bring it back; Save does, unless it was taken", renewOfMissing},
	{"Keeper_Forget", "Forget removes a record on every node, which cannot be saved later; it is no error that there is none", forgetRemoves},
	{"Keeper_LateSave", "what is saved of a socket whose record was taken is ErrTaken, and brings nothing back", lateSave},
	{"Keeper_OtherIncarnation", "what is saved of a socket that another one has taken the place of is ErrTaken, and the other's record stays", otherIncarnation},
	{"Keeper_ForgetOfAnother", "Forget of a socket that another one has taken the place of is ErrTaken, and the other's record stays; to Renew it is missing", forgetOfAnother},
	{"Keeper_OutlivesItsNode", "a record is there when the node that has saved it is gone", outlivesItsNode},
}

// keeping joins a namespace, or skips the check if records do not outlive nodes.
func (n *node) keeping(namespace string, r adapter.Retention) (*logMember, adapter.RecordKeeper) {
	n.Helper()
	m := n.joinLog(namespace, r)
	keeper, ok := m.log.(adapter.RecordKeeper)
	if !ok {
		n.Skip("the link does not implement adapter.RecordKeeper: its records end with their node")
	}
	return m, keeper
}

// renew ends the check if Renew fails, and returns what is missing.
func (m *logMember) renew(keeper adapter.RecordKeeper, names ...string) (missing []int) {
	m.Helper()
	var records []*adapter.Record
	for _, name := range names {
		records = append(records, later(m.secret(name)))
	}
	m.must("Renew", m.call(func(ctx context.Context) (err error) {
		missing, err = keeper.Renew(ctx, records)
		return err
	}))
	return missing
}

func renewKeeps(tr *trial) {
	short := ample
	short.Window = 2 * time.Second
	m, keeper := tr.node().keeping(tr.namespace(), short)
	m.save("renewed")
	m.save("left")
	saved := time.Now()
	<-time.NewTimer(short.Window / 2).C
	before := time.Now()
	m.renew(keeper, "never was", "renewed")
	<-time.NewTimer(time.Until(saved.Add(short.Window + moment))).C
	_, err := m.take("left")
	m.wants("Take of what was not renewed", err, adapter.ErrNoRecord)
	_, err = m.take("renewed")
	if time.Since(before) < short.Window { // else the machine was too slow to tell
		m.wants("Take of what was renewed", err, nil)
	}
}

func renewOfMissing(tr *trial) {
	const many = 2000
	m, keeper := tr.node().keeping(tr.namespace(), ample)
	m.save("kept")
	m.save("taken")
	_, err := m.take("taken")
	m.wants("Take", err, nil)
	ids := []string{"kept", "taken", "日本", "", "a b\r\nc"}
	for i := range many {
		ids = append(ids, "id "+strconv.Itoa(i))
	}
	var want []int
	for i := range ids[1:] {
		want = append(want, i+1)
	}
	if got := m.renew(keeper, ids...); !slices.Equal(got, want) {
		tr.Errorf("of %d records %d are missing, want all but the first, and they begin with %v", len(ids), len(got), got[:min(len(got), 3)])
	}
	if got := m.renew(keeper); len(got) > 0 {
		tr.Errorf("of no records %v are missing", got)
	}
	for _, id := range ids[1:5] {
		_, err := m.take(id)
		m.wants("Take of "+strconv.Quote(id), err, adapter.ErrNoRecord)
	}
	m.wants("Save of what the store has lost", m.saveAs(later("id 1")), nil)
	_, err = m.take("id 1")
	m.wants("Take of what was saved again", err, nil)
}

// later is a record of an incarnation that was saved before.
func later(privateID string) *adapter.Record {
	return &adapter.Record{PrivateID: privateID, SocketID: "s", Incarnation: "first"}
}

func forgetRemoves(tr *trial) {
	namespace := tr.namespace()
	m, keeper := tr.node().keeping(namespace, ample)
	other := tr.node().joinLog(namespace, ample)
	offset := m.tellEach(1)[0].Offset
	m.save("p")
	m.save("q")
	for _, id := range []string{"p", "p", "never was"} {
		m.forget(keeper, id)
		_, err := other.find(id, offset)
		m.wants("Find after Forget", err, adapter.ErrNoRecord)
	}
	m.wants("Save of what was forgotten", m.saveAs(later("p")), adapter.ErrTaken)
	_, err := other.find("q", offset)
	m.wants("Find of another record", err, nil)
}

// forget ends the check if Forget fails.
func (m *logMember) forget(keeper adapter.RecordKeeper, name string) {
	m.Helper()
	m.must("Forget", m.tryForget(keeper, name))
}

func (m *logMember) tryForget(keeper adapter.RecordKeeper, name string) error {
	return m.call(func(ctx context.Context) error { return keeper.Forget(ctx, later(m.secret(name))) })
}

func lateSave(tr *trial) {
	namespace := tr.namespace()
	m, _ := tr.node().keeping(namespace, ample)
	other := tr.node().joinLog(namespace, ample)
	m.save("p")
	_, err := other.take("p")
	m.wants("Take", err, nil)
	m.wants("Save of what was taken", m.saveAs(later("p")), adapter.ErrTaken)
	_, err = other.take("p")
	m.wants("a second Take", err, adapter.ErrNoRecord)
}

func otherIncarnation(tr *trial) {
	m, _, want := tr.succeeded()
	m.wants("Save of the first", m.saveAs(later("p")), adapter.ErrTaken)
	if got, err := m.takeAs(want); err != nil || !sameRecord(got, want) {
		tr.Errorf("Take: got %+v and %v, want %+v", got, err, want)
	}
}

func forgetOfAnother(tr *trial) {
	m, keeper, want := tr.succeeded()
	m.wants("Forget of the first", m.tryForget(keeper, "p"), adapter.ErrTaken)
	if missing := m.renew(keeper, "p"); !slices.Equal(missing, []int{0}) {
		tr.Errorf("Renew of the first: %v are missing, want [0]", missing)
	}
	if got, err := m.takeAs(want); err != nil || !sameRecord(got, want) {
		tr.Errorf("Take: got %+v and %v, want %+v", got, err, want)
	}
}

// succeeded returns a node on which a client was, and the record "p" that another
// node has saved since the client has come to that one.
func (tr *trial) succeeded() (first *logMember, keeper adapter.RecordKeeper, second *adapter.Record) {
	tr.Helper()
	namespace := tr.namespace()
	first, keeper = tr.node().keeping(namespace, ample)
	other := tr.node().joinLog(namespace, ample)
	first.save("p")
	_, err := other.take("p")
	first.wants("Take", err, nil)
	second = &adapter.Record{PrivateID: "p", SocketID: "s", Incarnation: "second", First: true, Rooms: []string{"r"}}
	first.wants("Save of the second", other.saveAs(second), nil)
	return first, keeper, second
}

func outlivesItsNode(tr *trial) {
	namespace := tr.namespace()
	gone, _ := tr.node().keeping(namespace, ample)
	gone.save("p")
	tr.must("Close", gone.close())
	_, err := tr.node().joinLog(namespace, ample).take("p")
	gone.wants("Take on another node", err, nil)
}
