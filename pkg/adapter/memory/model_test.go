package memory_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/roomcast/roomcast/pkg/adapter"
	"github.com/roomcast/roomcast/pkg/adapter/memory"
)

// model is what log and records shall be, without any thought of cost: everything
// that ever was, looked through from the beginning.
type model struct {
	retention adapter.Retention
	log       []modelEntry
	records   []modelRecord
}

type modelEntry struct {
	offset, text string
	at           time.Time
	size         int
}

type modelRecord struct {
	id, node string
	at       time.Time
	gone     bool
}

// missed is what follows the entry with index i, and false if some of it is gone.
func (m *model) missed(i int, now time.Time) (texts []string, ok bool) {
	bytes := 0
	for _, e := range slices.Backward(m.log[i+1:]) {
		if bytes += e.size; int64(bytes) > m.retention.MaxLogBytes || now.Sub(e.at) >= m.retention.Window {
			return nil, false
		}
		texts = append(texts, e.text)
	}
	slices.Reverse(texts)
	return texts, true
}

func (m *model) save(id, node string, now time.Time) {
	m.take(id, now)
	m.records = append(m.records, modelRecord{id: id, node: node, at: now})
	kept := 0
	for i := range m.records {
		r := &m.records[len(m.records)-1-i]
		if r.node == node && !r.gone {
			if kept++; kept > m.retention.MaxRecords {
				r.gone = true
			}
		}
	}
}

func (m *model) find(id string, now time.Time) *modelRecord {
	for i := range m.records {
		if r := &m.records[i]; r.id == id && !r.gone && now.Sub(r.at) < m.retention.Window {
			return r
		}
	}
	return nil
}

func (m *model) take(id string, now time.Time) bool {
	r := m.find(id, now)
	if r == nil {
		return false
	}
	r.gone = true
	return true
}

// trial drives an adapter and a model by the same random steps.
type trial struct {
	*testing.T
	*rand.Rand
	model
	links map[string]adapter.RecoveryLink
	got   map[string]*journal
}

func (tr *trial) node() string { return strconv.Itoa(tr.IntN(len(tr.links))) }

func (tr *trial) step(i int) {
	switch tr.IntN(8) {
	case 0, 1, 2:
		tr.publish(i)
	case 3:
		node, id := tr.node(), strconv.Itoa(tr.IntN(12))
		save(tr, tr.links[node], id)
		tr.save(id, node, time.Now())
	case 4:
		id := strconv.Itoa(tr.IntN(12))
		_, err := tr.links[tr.node()].Take(tr.Context(), &adapter.Record{PrivateID: id})
		if want := tr.take(id, time.Now()); (err == nil) != want {
			tr.Errorf("step %d: take %s: got %v, want it there: %t", i, id, err, want)
		}
	case 5:
		<-time.NewTimer(time.Duration(tr.IntN(15)) * time.Second).C
	default:
		tr.compare(i)
	}
}

func (tr *trial) publish(i int) {
	m := event(fmt.Sprintf("%d %0*d", i, tr.IntN(300), 0))
	node := tr.node()
	publish(tr, tr.links[node], m)
	own := tr.got[node]
	m.Offset, m.From = own.offsets[len(own.offsets)-1], adapter.NodeID(node)
	tr.log = append(tr.log, modelEntry{m.Offset, string(m.Broadcast.Packet.Data), time.Now(), m.Size()})
}

// compare looks for a record and for what followed an offset.
func (tr *trial) compare(step int) {
	if len(tr.log) == 0 {
		return
	}
	link, now, id := tr.links[tr.node()], time.Now(), strconv.Itoa(tr.IntN(12))
	i := max(0, len(tr.log)-1-tr.IntN(40))
	want, ok := tr.missed(i, now)
	got, err := missed(tr, link, tr.log[i].offset)
	if (err == nil) != ok || (ok && !slices.Equal(got, want)) {
		tr.Errorf("step %d: after entry %d of %d: got %d and %v, want %d, %t", step, i, len(tr.log), len(got), err, len(want), ok)
	}
	wantErr := adapter.ErrNoOffset
	if tr.find(id, now) == nil {
		wantErr = adapter.ErrNoRecord
	} else if ok {
		wantErr = nil
	}
	if _, err := link.Find(tr.Context(), id, tr.log[i].offset); !errors.Is(err, wantErr) {
		tr.Errorf("step %d: find %s: got %v, want %v", step, id, err, wantErr)
	}
}

func TestRecovery_IsTheNaiveModel(t *testing.T) {
	for seed := range uint64(30) {
		synctest.Test(t, func(t *testing.T) {
			tr := &trial{T: t, Rand: rand.New(rand.NewPCG(seed, 0)), links: map[string]adapter.RecoveryLink{}, got: map[string]*journal{}}
			tr.retention = adapter.Retention{Window: time.Minute, MaxRecords: 4, MaxRecordBytes: 1000, MaxLogBytes: 10_000}
			backend := memory.New()
			for i := range 3 {
				node := strconv.Itoa(i)
				tr.got[node] = &journal{}
				tr.links[node] = joinLog(t, backend, "/", adapter.NodeID(node), tr.retention, tr.got[node].deliver)
			}
			for i := range 400 {
				tr.step(i)
				synctest.Wait()
			}
			for node, got := range tr.got {
				if len(got.texts) != len(tr.log) {
					t.Errorf("seed %d: node %s got %d of %d", seed, node, len(got.texts), len(tr.log))
				}
			}
			if t.Failed() {
				t.Logf("seed %d", seed)
			}
		})
	}
}
