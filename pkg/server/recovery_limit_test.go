package server_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/roomcast/roomcast/internal/testutil/rawclient"
	"github.com/roomcast/roomcast/pkg/adapter"
	"github.com/roomcast/roomcast/pkg/packet"
	"github.com/roomcast/roomcast/pkg/server"
)

// Each limit is tried at its value and one beyond it.

func TestRecoveryLimit_MaxPackets(t *testing.T) {
	s, url, kept := recovering(t, server.Options{Recovery: &server.Recovery{MaxPackets: 10}})
	for _, missed := range []int{10, 11} {
		w := lost(t, s, url, kept)
		var want []string
		for n := range missed {
			errs(t, s.To("elsewhere").Emit("not counted"), s.Emit("n", n))
			want = append(want, fmt.Sprintf(`2["n",%d]`, n))
		}
		if missed == 10 {
			w.recovers(url, want...)
		} else {
			w.afresh(url)
		}
		w.Close()
		receive(t, kept.saved)
	}
	if got := s.Stats().Recoveries; got["complete"] != 1 || got["too_much"] != 1 {
		t.Errorf("counted are %v", got)
	}
}

// More bytes than half of the send queue are not sent at once.
func TestRecoveryLimit_MissedBytes(t *testing.T) {
	const queue = 64 << 10
	s, url, kept := recovering(t, server.Options{MaxSendQueueBytes: queue})
	for _, test := range []struct {
		bytes    int
		recovers bool
	}{{queue/2 - 4096, true}, {queue/2 + 1, false}} {
		w := lost(t, s, url, kept)
		for range 8 {
			errs(t, s.Emit("text", strings.Repeat("x", test.bytes/8)))
		}
		missed, recovered := w.back(url)
		if recovered != test.recovers || recovered && len(missed) != 8 {
			t.Errorf("after %d bytes: recovered %v, missed %d events", test.bytes, recovered, len(missed))
		}
		w.Close()
		receive(t, kept.saved)
	}
}

func TestRecoveryLimit_MaxRecords(t *testing.T) {
	s, url, kept := recovering(t, server.Options{Recovery: &server.Recovery{MaxRecords: 3}})
	sync(s.Of("/chat"))
	var away []*wanderer
	for n := range 5 {
		namespace := []string{"/", "/chat"}[n%2] // all namespaces together
		w := wander(t, url, namespace, nil)
		errs(t, s.Of(namespace).Emit("n", n))
		w.event()
		w.cut(kept)
		away = append(away, w)
	}
	for _, w := range away[:2] { // the oldest
		w.afresh(url)
	}
	for _, w := range away[2:] {
		if _, recovered := w.back(url); !recovered {
			t.Error("one of the newest MaxRecords clients started afresh")
		}
	}
}

func TestRecoveryLimit_MaxRecordBytes(t *testing.T) {
	const most = 2000
	s, url, kept := recovering(t, server.Options{Recovery: &server.Recovery{MaxRecordBytes: most}})
	connected := sockets(s.Of("/"))
	for _, beyond := range []int{0, 1} {
		w := wander(t, url, "/", nil)
		socket := receive(t, connected)
		errs(t, socket.Join(t.Context(), "room"), s.Emit("n", 1))
		w.events(`2["n",1]`)
		record := adapter.Record{
			PrivateID: w.pid, SocketID: w.sid, Node: adapter.NodeID(s.NodeID()), Since: w.offset, // of the same length
			Rooms: []string{"room", w.sid}, Data: []byte(`""`),
		}
		server.SetData(socket, strings.Repeat("x", most-record.Size()+beyond))
		w.cut(kept)
		if missed, recovered := w.back(url); recovered != (beyond == 0) {
			t.Errorf("%d bytes beyond the limit: recovered %v, missed %q", beyond, recovered, missed)
		}
		receive(t, connected)
		w.Close()
		receive(t, kept.saved)
	}
}

func TestRecoveryLimit_MaxLogBytes(t *testing.T) {
	for _, beyond := range []int{0, 1} {
		s, url, kept := recovering(t, server.Options{Recovery: &server.Recovery{MaxLogBytes: 5 * loggedSize(t)}})
		w := wander(t, url, "/", nil)
		emit(t, s, 0)
		w.events(`2["n",0]`)
		w.cut(kept)
		numbers := slices.Repeat([]int{1}, 5+beyond)
		emit(t, s, numbers...)
		if missed, recovered := w.back(url); recovered != (beyond == 0) || recovered && len(missed) != 5 {
			t.Errorf("%d events in a log for 5: recovered %v, missed %q", len(numbers), recovered, missed)
		}
	}
}

// loggedSize is what an event of emit takes in the log.
func loggedSize(t *testing.T) int64 {
	t.Helper()
	s, url, _ := recovering(t, server.Options{})
	w := wander(t, url, "/", nil)
	emit(t, s, 1)
	w.events(`2["n",1]`)
	m := adapter.Message{From: adapter.NodeID(s.NodeID()), Offset: w.offset,
		Broadcast: &adapter.Broadcast{Packet: packet.Packet{Namespace: "/", Data: []byte(`["n",1]`)}}}
	return int64(m.Size())
}

// Rooms that are no longer allowed are not restored in part.
func TestRecoveryLimit_RoomsBeyondTheNodesLimit(t *testing.T) {
	s, url, kept := recovering(t, server.Options{})
	strict := newStore(kept.Adapter)
	_, strictURL := strict.serve(t, server.Options{MaxRoomsPerSocket: 1})
	other := wander(t, strictURL, "/", nil)
	w := wander(t, url, "/", nil)
	w.Send(`21["join",["a","b"]]`)
	w.Expect(`31[]`)
	emit(t, s, 1)
	w.events(`2["n",1]`)
	other.events(`2["n",1]`) // so that it is nothing new to who comes there now
	w.cut(kept)
	w.afresh(strictURL)
	errs(t, s.To("a", "b").Emit("no"), s.To(w.sid).Emit("yes"))
	w.events(`2["yes"]`)
}

// What is kept aside while a client catches up is bounded.
func TestRecoveryLimit_WhatIsKeptAside(t *testing.T) {
	s, url, kept := recovering(t, server.Options{MaxSendQueueBytes: 64 << 10, RequestTimeout: time.Minute})
	s.Of("/").Use(func(_ context.Context, socket *server.Socket) error {
		if socket.Recovered() {
			return s.Emit("attempt")
		}
		return nil
	})
	w := lost(t, s, url, kept)
	emit(t, s, 1)
	reading, release := make(chan struct{}), make(chan struct{})
	taken := false // steps of one attempt come one after the other
	kept.intervene(func(step, _ string) error {
		if step == "take" {
			taken = true
		} else if step == "read" && taken {
			taken = false
			close(reading)
			<-release
		}
		return nil
	})
	w.Client = rawclient.Dial(t, url, nil)
	w.Send("0" + w.credentials())
	receive(t, reading)
	kept.intervene(nil)
	for n := 0; n < 100 && len(s.Of("/").Sockets()) > 0; n++ {
		errs(t, s.Emit("text", strings.Repeat("x", 4<<10)))
	}
	eventually(t, "the end of a client for which too much is kept aside", func() bool { return len(s.Of("/").Sockets()) == 0 })
	close(release)
	if before := w.ExpectClose(); len(before) > 0 {
		t.Errorf("before the close came %d packets", len(before))
	}
}
