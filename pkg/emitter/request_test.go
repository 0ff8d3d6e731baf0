package emitter_test

import (
	"context"
	"errors"
	"math"
	"reflect"
	"testing"

	"github.com/roomcast/roomcast/pkg/adapter"
	"github.com/roomcast/roomcast/pkg/adapter/memory"
	"github.com/roomcast/roomcast/pkg/emitter"
	"github.com/roomcast/roomcast/pkg/packet"
)

func TestRequest_EveryNodeIsAskedAndNobodyIsToAnswer(t *testing.T) {
	selection := func(e *emitter.Emitter) emitter.Broadcast { return e.Of("/chat").To("a", "b").Except("c") }
	tests := map[string]struct {
		ask  func(context.Context, *emitter.Emitter) error
		want adapter.Request
	}{
		"Join": {
			func(ctx context.Context, e *emitter.Emitter) error { return selection(e).Join(ctx, "d", "e") },
			adapter.Request{Action: adapter.ActionJoin, Rooms: []string{"a", "b"}, Except: []string{"c"}, Targets: []string{"d", "e"}},
		},
		"Leave": {
			func(ctx context.Context, e *emitter.Emitter) error { return selection(e).Leave(ctx, "d") },
			adapter.Request{Action: adapter.ActionLeave, Rooms: []string{"a", "b"}, Except: []string{"c"}, Targets: []string{"d"}},
		},
		"Disconnect": {
			func(ctx context.Context, e *emitter.Emitter) error { return selection(e).Disconnect(ctx, false) },
			adapter.Request{Action: adapter.ActionDisconnect, Rooms: []string{"a", "b"}, Except: []string{"c"}},
		},
		"Disconnect and close all": {
			func(ctx context.Context, e *emitter.Emitter) error { return e.Of("/chat").All().Disconnect(ctx, true) },
			adapter.Request{Action: adapter.ActionDisconnect, Close: true},
		},
		"ServerSideEmit": {
			func(ctx context.Context, e *emitter.Emitter) error {
				return e.Of("/chat").ServerSideEmit(ctx, "reload", "rules")
			},
			adapter.Request{Action: adapter.ActionEvent, Packet: packet.Packet{
				Type: packet.Event, Namespace: "/chat", Data: []byte(`["reload","rules"]`),
			}},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			bus := memory.New()
			nodes := []*listener{listen(t, bus, "n1", "/chat"), listen(t, bus, "n2", "/chat")}
			if err := tt.ask(t.Context(), newEmitter(t, bus)); err != nil {
				t.Fatal(err)
			}
			for _, node := range nodes {
				m := node.next(adapter.KindRequest)
				if !reflect.DeepEqual(*m.Request, tt.want) || m.To != "" {
					t.Errorf("got %+v to %q, want %+v to all", *m.Request, m.To, tt.want)
				}
			}
		})
	}
}

func TestRequest_RoomsMayBeReusedByTheCaller(t *testing.T) {
	bus := memory.New()
	there := listen(t, bus, "n1", "/")
	e := newEmitter(t, bus)
	rooms := []string{"d"}
	if err := e.To("a").Join(t.Context(), rooms...); err != nil {
		t.Fatal(err)
	}
	rooms[0] = "overwritten"
	if got := there.next(adapter.KindRequest).Request.Targets; !reflect.DeepEqual(got, []string{"d"}) {
		t.Errorf("got the rooms %q, want d", got)
	}
}

func TestRequest_WithoutRoomsNobodyIsAsked(t *testing.T) {
	bus := memory.New()
	there := listen(t, bus, "n1", "/")
	e := newEmitter(t, bus)
	if err := errors.Join(e.To("a").Join(t.Context()), e.To("a").Leave(t.Context())); err != nil {
		t.Error(err)
	}
	there.expectOnly(e)
}

func TestServerSideEmit_ReservedNamesAndBadArgumentsAreRefused(t *testing.T) {
	bus := memory.New()
	there := listen(t, bus, "n1", "/")
	e := newEmitter(t, bus)
	for _, event := range []string{"connect", "connection", "new_namespace"} {
		if err := e.Of("/").ServerSideEmit(t.Context(), event); !errors.Is(err, emitter.ErrReservedEvent) {
			t.Errorf("%s: got %v, want ErrReservedEvent", event, err)
		}
	}
	if err := e.Of("/").ServerSideEmit(t.Context(), "event", math.Inf(1)); !errors.Is(err, packet.ErrEncode) {
		t.Errorf("got %v, want packet.ErrEncode", err)
	}
	there.expectOnly(e)
	// What no client may be sent, a node may.
	if err := e.Of("/").ServerSideEmit(t.Context(), "disconnect"); err != nil {
		t.Errorf("a name that is reserved for clients: %v", err)
	}
}
