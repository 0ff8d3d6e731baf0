package emitter_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"reflect"
	"testing"
	"time"

	"github.com/roomcast/roomcast/pkg/adapter"
	"github.com/roomcast/roomcast/pkg/adapter/memory"
	"github.com/roomcast/roomcast/pkg/emitter"
	"github.com/roomcast/roomcast/pkg/packet"
)

func TestEmit_EveryNodeGetsTheBroadcastThatWasMeant(t *testing.T) {
	all := func(e *emitter.Emitter) emitter.Namespace { return e.Of("/chat") }
	event := packet.Packet{Type: packet.Event, Namespace: "/chat", Data: []byte(`["event",1]`)}
	tests := map[string]struct {
		emit func(context.Context, emitter.Namespace) error
		want adapter.Broadcast
	}{
		"all": {
			func(ctx context.Context, n emitter.Namespace) error { return n.Emit(ctx, "event", 1) },
			adapter.Broadcast{Packet: event},
		},
		"rooms": {
			func(ctx context.Context, n emitter.Namespace) error {
				return n.To("a", "b").To("c").Except("d").Except("e").Emit(ctx, "event", 1)
			},
			adapter.Broadcast{Packet: event, Rooms: []string{"a", "b", "c"}, Except: []string{"d", "e"}},
		},
		"flags": {
			func(ctx context.Context, n emitter.Namespace) error {
				return n.Volatile().Compress(false).Emit(ctx, "event", 1)
			},
			adapter.Broadcast{Packet: event, Volatile: true, Uncompressed: true},
		},
		"compression is the default": {
			func(ctx context.Context, n emitter.Namespace) error {
				return n.Compress(false).Compress(true).Emit(ctx, "event", 1)
			},
			adapter.Broadcast{Packet: event},
		},
		"binary": {
			func(ctx context.Context, n emitter.Namespace) error {
				return n.Except("x").Emit(ctx, "event", []byte{1, 2})
			},
			adapter.Broadcast{Except: []string{"x"}, Packet: packet.Packet{
				Type: packet.Event, Namespace: "/chat",
				Data: []byte(`["event",{"_placeholder":true,"num":0}]`), Attachments: [][]byte{{1, 2}},
			}},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			bus := memory.New()
			nodes := []*listener{listen(t, bus, "n1", "/chat"), listen(t, bus, "n2", "/chat")}
			if err := tt.emit(t.Context(), all(newEmitter(t, bus))); err != nil {
				t.Fatal(err)
			}
			for _, node := range nodes {
				m := node.next(adapter.KindBroadcast)
				if !reflect.DeepEqual(*m.Broadcast, tt.want) || m.From != "emitter" || m.To != "" {
					t.Errorf("got %+v from %q to %q, want %+v from the emitter to all", *m.Broadcast, m.From, m.To, tt.want)
				}
			}
		})
	}
}

func TestEmit_TheEmittersOwnMethodsConcernTheDefaultNamespace(t *testing.T) {
	bus := memory.New()
	there, elsewhere := listen(t, bus, "n1", "/"), listen(t, bus, "n1", "/chat")
	e := newEmitter(t, bus)
	if err := errors.Join(e.Emit(t.Context(), "all"), e.To("a").Emit(t.Context(), "room")); err != nil {
		t.Fatal(err)
	}
	if got := there.next(adapter.KindBroadcast).Broadcast; string(got.Packet.Data) != `["all"]` || got.Packet.Namespace != "/" {
		t.Errorf("got %+v", got)
	}
	if got := there.next(adapter.KindBroadcast).Broadcast; !reflect.DeepEqual(got.Rooms, []string{"a"}) {
		t.Errorf("got the rooms %q, want a", got.Rooms)
	}
	if n := len(elsewhere.received); n != 0 {
		t.Errorf("another namespace got %d messages", n)
	}
}

func TestEmit_WhatOneGoroutineEmitsArrivesInOrder(t *testing.T) {
	const events = 500
	bus := memory.New()
	there := listen(t, bus, "n1", "/")
	e := newEmitter(t, bus)
	for i := range events {
		var err error
		if i%10 == 9 { // requests keep their place among the events
			err = e.To("r").Join(t.Context(), fmt.Sprint(i))
		} else {
			err = e.To("r").Emit(t.Context(), "event", i)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for i := range events {
		if i%10 == 9 {
			if got := there.next(adapter.KindRequest).Request.Targets; got[0] != fmt.Sprint(i) {
				t.Fatalf("got the request %q, want %d", got, i)
			}
			continue
		}
		if got, want := string(there.next(adapter.KindBroadcast).Broadcast.Packet.Data), fmt.Sprintf(`["event",%d]`, i); got != want {
			t.Fatalf("got %s, want %s", got, want)
		}
	}
}

// Where the nodes keep a log, an emitter's events are in it, so that clients that
// were away get them too.
func TestEmit_EventsAreLoggedWhereTheNodesKeepALog(t *testing.T) {
	bus := memory.New()
	received := make(chan *adapter.Message, 2)
	retention := adapter.Retention{Window: time.Minute, MaxRecords: 10, MaxRecordBytes: 1 << 10, MaxLogBytes: 1 << 20}
	link, err := bus.JoinRecoverable(t.Context(), "/", "n1", retention, func(m *adapter.Message) { received <- m })
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = link.Close(context.Background()) }()
	e := newEmitter(t, bus)
	if err := errors.Join(e.Emit(t.Context(), "heard"), e.To("a").Emit(t.Context(), "missed")); err != nil {
		t.Fatal(err)
	}
	var missed []string
	for m, err := range link.Missed(t.Context(), (<-received).Offset) {
		if err != nil {
			t.Fatal(err)
		}
		missed = append(missed, string(m.Broadcast.Packet.Data))
	}
	if want := []string{`["missed"]`}; !reflect.DeepEqual(missed, want) {
		t.Errorf("got %q after the first event, want %q", missed, want)
	}
}

func TestEmit_WhatCannotBeSentIsRefusedAndSendsNothing(t *testing.T) {
	parts := make([]any, 11)
	for i := range parts {
		parts[i] = []byte{byte(i)}
	}
	tests := map[string]struct {
		event string
		args  []any
		want  error
	}{
		"a reserved name":     {"disconnect", nil, emitter.ErrReservedEvent},
		"no JSON form":        {"event", []any{math.NaN()}, packet.ErrEncode},
		"eleven binary parts": {"event", parts, emitter.ErrTooManyAttachments},
	}
	bus := memory.New()
	there := listen(t, bus, "n1", "/")
	e := newEmitter(t, bus)
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if err := e.Emit(t.Context(), tt.event, tt.args...); !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
	there.expectOnly(e)
	if err := e.Emit(t.Context(), "event", parts[:10]...); err != nil {
		t.Errorf("ten binary parts: %v", err)
	}
}

func TestMaxAttachments_IsTheEmittersOption(t *testing.T) {
	e, err := emitter.New(memory.New(), emitter.Options{MaxAttachments: 1, Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Emit(t.Context(), "event", []byte{1}, []byte{2}); !errors.Is(err, emitter.ErrTooManyAttachments) {
		t.Errorf("got %v, want ErrTooManyAttachments", err)
	}
}

// Two selections that begin alike must not see each other's rooms, which a shared
// slice would make happen.
func TestBroadcast_IsImmutable(t *testing.T) {
	bus := memory.New()
	there := listen(t, bus, "n1", "/")
	e := newEmitter(t, bus)
	rooms := append(make([]string, 0, 8), "a")
	base := e.To(rooms...).Except("x")
	one, two := base.To("b").Except("y"), base.To("c").Except("z").Volatile()
	rooms[0] = "overwritten"
	for _, b := range []emitter.Broadcast{base, one, two} {
		if err := b.Emit(t.Context(), "event"); err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []string{"[a] [x] false", "[a b] [x y] false", "[a c] [x z] true"} {
		b := there.next(adapter.KindBroadcast).Broadcast
		if got := fmt.Sprint(b.Rooms, b.Except, b.Volatile); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}
