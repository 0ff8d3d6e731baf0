package redis

import (
	"context"
	"encoding/binary"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/roomcast/roomcast/pkg/adapter"
	"github.com/roomcast/roomcast/pkg/adapter/redis/internal/bus"
	"github.com/roomcast/roomcast/pkg/adapter/redis/internal/stream"
	"github.com/roomcast/roomcast/pkg/adapter/redis/internal/wire"
	"github.com/roomcast/roomcast/pkg/packet"
)

// loneLink is a link on "/" of node "self" without a connection, and what it delivers.
type loneLink struct {
	*streamLink
	delivered []*adapter.Message
}

func newLoneLink(t testing.TB, opts StreamsOptions, r *adapter.Retention) *loneLink {
	t.Helper()
	client := goredis.NewClient(&goredis.Options{Addr: "127.0.0.1:1"})
	t.Cleanup(func() { _ = client.Close() })
	opts.Logger = slog.New(slog.DiscardHandler)
	a, err := NewStreams(client, opts)
	if err != nil {
		t.Fatal(err)
	}
	lone := &loneLink{}
	l := &streamLink{
		link:    newLink(a.Adapter, nil, "/", "self", func(m *adapter.Message) { lone.delivered = append(lone.delivered, m) }),
		streams: a, log: &sharedLog{Log: &stream.Log{Config: stream.Config{Name: "socket.io"}}}, retention: r,
	}
	l.form = l.link.form.(*streamForm)
	l.sequence.Patience, l.sequence.Introduction = time.Hour, time.Hour
	l.sequence.Deliver = l.take
	l.away = func() bool { return true } // there is no connection
	lone.streamLink = l
	return lone
}

// texts are the events that were delivered, with their offsets.
func (l *loneLink) texts() (texts []string) {
	for _, m := range l.delivered {
		text := fmt.Sprintf("kind %d", m.Kind)
		if m.Broadcast != nil {
			text = string(m.Broadcast.Packet.Data) + m.Offset
		}
		texts = append(texts, text)
	}
	return texts
}

func (l *loneLink) expect(t *testing.T, want ...string) {
	t.Helper()
	if got := l.texts(); !slices.Equal(got, want) {
		t.Errorf("delivered %q, want %q", got, want)
	}
	l.delivered = nil
}

func saying(text string) *adapter.Message {
	return &adapter.Message{Kind: adapter.KindBroadcast, Broadcast: &adapter.Broadcast{
		Packet: packet.Packet{Type: packet.Event, Namespace: "/", Data: []byte(`["` + text + `"]`)}}}
}

// entered is m as an entry of a node, with a number.
func entered(t testing.TB, id string, from adapter.NodeID, m *adapter.Message, number uint64) *stream.Entry {
	t.Helper()
	e, err := wire.NewEntry(from, "/", m, number)
	if err != nil {
		t.Fatal(err)
	}
	return &stream.Entry{ID: id, UID: e.UID, Topic: e.Topic, Type: e.Type, Data: e.Data, Own: e.Own}
}

// called is m as it comes over pub/sub in our own form.
func called(t testing.TB, from adapter.NodeID, m *adapter.Message, number uint64) received {
	t.Helper()
	m = m.Clone()
	m.From = from
	body, err := m.AppendBinary(binary.AppendUvarint(nil, number))
	if err != nil {
		t.Fatal(err)
	}
	return received{arrival: bus.Arrival{Kind: routeTopic, Channel: "private", Payload: string(body)}}
}

var goodbye = &adapter.Message{Kind: adapter.KindGoodbye}

func TestStreamLink_MessagesOfOneSenderComeByTwoWaysInOrder(t *testing.T) {
	l := newLoneLink(t, StreamsOptions{}, &adapter.Retention{})
	l.handle(received{entry: entered(t, "1-0", "a", saying("1"), 1)})
	l.handle(called(t, "a", goodbye, 3))
	l.handle(received{entry: entered(t, "5-0", "a", saying("5"), 5)})
	l.handle(received{entry: entered(t, "5-1", "b", saying("behind"), 0)})
	l.expect(t, `["1"]1-0`)
	l.handle(called(t, "a", goodbye, 2))
	l.expect(t, "kind 4", "kind 4")
	l.handle(called(t, "a", goodbye, 4))
	l.expect(t, "kind 4", `["5"]5-0`, `["behind"]5-1`)
	if again := l.expire(time.Now()); !again.IsZero() {
		t.Errorf("something is held until %v", again)
	}
}

func TestStreamLink_WhatPubSubHasLostIsNotWaitedForWhileItIsAway(t *testing.T) {
	l := newLoneLink(t, StreamsOptions{}, &adapter.Retention{})
	l.handle(received{entry: entered(t, "3-0", "a", saying("3"), 3)})
	l.expect(t)
	l.expire(time.Now())
	l.expect(t, `["3"]3-0`)
}

func TestStreamLink_OffsetsAreThoseOfBroadcastsThatAreKept(t *testing.T) {
	volatile := saying("volatile")
	volatile.Broadcast.Volatile = true
	join := &adapter.Message{Kind: adapter.KindRequest, Request: &adapter.Request{Action: adapter.ActionJoin, Targets: []string{"r"}}}
	for name, c := range map[string]struct {
		retention *adapter.Retention
		want      []string
	}{
		"JoinRecoverable": {&adapter.Retention{}, []string{"1-0", "", "", "4-0"}},
		"Join":            {nil, []string{"", "", ""}},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLoneLink(t, StreamsOptions{}, c.retention)
			l.handle(received{entry: entered(t, "1-0", "a", saying("1"), 1)})
			l.handle(received{entry: entered(t, "2-0", "a", volatile, 2)})
			l.handle(received{entry: entered(t, "3-0", "a", join, 3)})
			l.handle(received{entry: entered(t, "4-0", "self", saying("own"), 9)})
			var offsets []string
			for _, m := range l.delivered {
				offsets = append(offsets, m.Offset)
			}
			if !slices.Equal(offsets, c.want) {
				t.Errorf("got offsets %q, want %q", offsets, c.want)
			}
		})
	}
}

func TestStreamLink_OwnBroadcastIsNotDecoded(t *testing.T) {
	l := newLoneLink(t, StreamsOptions{}, &adapter.Retention{})
	own := saying("own")
	l.handle(received{entry: &stream.Entry{ID: "1-0", UID: "self", Topic: "/", Type: "3", Data: "nothing that could be read", Value: own}})
	if len(l.delivered) != 1 || l.delivered[0] != own || own.Offset != "1-0" {
		t.Errorf("delivered %q", l.texts())
	}
}

func TestStreamLink_WhatCannotBeReadIsCountedAndTheNextIsDelivered(t *testing.T) {
	l := newLoneLink(t, StreamsOptions{}, &adapter.Retention{})
	broken := []*stream.Entry{
		{UID: "a", Topic: "/", Type: "x", Data: "{}"},
		{UID: "a", Topic: "/", Type: "3", Data: "{"},
		{UID: "a", Topic: "/", Type: "3", Data: "/////"},
		{UID: "a", Topic: "/", Type: "3", Data: `{"packet":{"type":2,"data":7,"nsp":"/"},"opts":{"rooms":[],"except":[]}}`},
		{UID: "a", Topic: "/", Type: "3", Data: "{}", Own: "["},
	}
	for i, e := range broken {
		e.ID = fmt.Sprintf("%d-0", i+1)
		l.handle(received{entry: e})
	}
	for _, payload := range []string{"", "\x80", "\x01\xff", "\x01\x01\x01"} {
		l.handle(received{arrival: bus.Arrival{Kind: routeTopic, Payload: payload}})
		l.handle(received{arrival: bus.Arrival{Kind: routeRequests, Payload: payload}})
	}
	l.handle(received{entry: entered(t, "9-0", "a", saying("good"), 1)})
	l.expect(t, `["good"]9-0`)
	dropped := l.adapter.Status().Dropped
	if got, want := dropped["malformed"]+dropped["foreign"], uint64(len(broken)+8); got != want {
		t.Errorf("%d were counted, want %d: %v", got, want, dropped)
	}
}

func TestStreamLink_UnsignedCallsAreCounted(t *testing.T) {
	l := newLoneLink(t, StreamsOptions{Options: Options{HMACKey: []byte("sixteen bytes at least")}}, &adapter.Retention{})
	l.handle(called(t, "a", goodbye, 1))
	l.expect(t)
	if got := l.adapter.Status().Dropped["unsigned"]; got != 1 {
		t.Errorf("%d were counted, want 1", got)
	}
}

func TestStreamLink_NothingIsDeliveredAfterCloseThoughItsTimeWasOver(t *testing.T) {
	l := newLoneLink(t, StreamsOptions{}, &adapter.Retention{})
	begun, gate := make(chan struct{}), make(chan struct{})
	count := 0
	l.sequence.Deliver = l.take
	l.deliver = func(*adapter.Message) {
		if count++; count == 1 {
			close(begun)
			<-gate
		}
	}
	l.inbox = newStreamInbox(l.handle, l.expire)
	l.handle(received{entry: entered(t, "3-0", "a", saying("3"), 2)}) // is held for the call
	l.enter(entered(t, "4-0", "a", saying("4"), 3))
	l.inbox.put(called(t, "a", goodbye, 1))
	<-begun
	l.closed.Store(true)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := l.inbox.close(ctx); err == nil {
		t.Error("close does not wait for deliver")
	}
	close(gate)
	if err := l.inbox.close(t.Context()); err != nil {
		t.Error(err)
	}
	if count != 1 {
		t.Errorf("deliver was called %d times, and %d of them after Close", count, count-1)
	}
}

// The names were computed with Node.js.
func TestStreamsOptions_NamespacesAreSpreadAsInNodeJS(t *testing.T) {
	want := map[string][]string{
		"/":                        {"s-1", "s-2", "s-5", "s-15"},
		"/chat":                    {"s-1", "s-3", "s-4", "s-7"},
		"/a-rather-long-namespace": {"s-0", "s-0", "s-0", "s--4"},
		"/orders/eu/2026":          {"s-0", "s--1", "s--5", "s--10"},
		"/private/rooms/42":        {"s-0", "s-2", "s-6", "s-0"},
		"/äö€":                     {"s-1", "s-0", "s-5", "s-11"},
		"/😀":                       {"s-0", "s-1", "s-5", "s-2"},
		"/support-requests":        {"s--1", "s--2", "s--6", "s--15"},
	}
	for namespace, names := range want {
		for i, count := range []int{2, 5, 7, 16} {
			a := &StreamsAdapter{options: StreamsOptions{StreamName: "s", StreamCount: count}}
			if got := a.streamOf(namespace); got != names[i] {
				t.Errorf("%s of %d streams: got %q, want %q", namespace, count, got, names[i])
			}
		}
	}
	if a := (&StreamsAdapter{options: StreamsOptions{StreamName: "s", StreamCount: 1}}); a.streamOf("/chat") != "s" {
		t.Errorf("got %q for the only stream", a.streamOf("/chat"))
	}
}
