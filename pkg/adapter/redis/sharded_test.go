package redis

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/roomcast/roomcast/pkg/adapter"
	"github.com/roomcast/roomcast/pkg/adapter/redis/internal/bus"
	"github.com/roomcast/roomcast/pkg/packet"
)

// shardedLink returns the form of a link to namespace that has no connection.
func shardedLink(opts ShardedOptions, namespace string, rooms ...string) *sharded {
	s := idle(opts.Options, namespace, shardedForm(opts.SubscriptionMode)).form.(*sharded)
	for _, room := range rooms {
		if _, err := s.occupy(room); err != nil {
			panic(err)
		}
	}
	return s
}

const someID = "0123456789abcdefAAAA"

func broadcastTo(rooms ...string) *adapter.Message {
	return &adapter.Message{Kind: adapter.KindBroadcast, Broadcast: &adapter.Broadcast{
		Packet: packet.Packet{Type: packet.Event, Data: []byte(`["e"]`)}, Rooms: rooms}}
}

// Node.js servers do not look at the member that holds it.
func TestSharded_ATraceIsAMemberOfItsOwn(t *testing.T) {
	plain, traced := broadcastTo("r"), broadcastTo("r")
	traced.Broadcast.Trace = "00-1"
	var bodies [2]map[string]any
	for i, m := range []*adapter.Message{plain, traced} {
		o := newOutgoing()
		if err := shardedLink(ShardedOptions{}, "/a").write(o, m); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(o.Body, &bodies[i]); err != nil {
			t.Fatal(err)
		}
	}
	if got := fmt.Sprint(bodies[1]["roomcast"]); got != "map[trace:00-1 version:1]" {
		t.Errorf("the member is %s", got)
	}
	delete(bodies[1], "roomcast")
	if !reflect.DeepEqual(bodies[0], bodies[1]) {
		t.Errorf("without it %v is sent, and without a trace %v", bodies[1], bodies[0])
	}
}

func TestSharded_BroadcastsTravelOnTheChannelOfTheirMode(t *testing.T) {
	const common, room, own, tag = "socket.io#/a#", "socket.io#/a#r#", "socket.io#/a#" + someID + "#", "socket.io-roomcast-ids#/a#AAAA#"
	modes := map[string]ShardedOptions{
		"dynamic":  {},
		"static":   {SubscriptionMode: Static},
		"private":  {SubscriptionMode: DynamicPrivate},
		"interest": {Options: Options{InterestRouting: true}},
	}
	for name, want := range map[string][4]string{ // to all, to a room, to an id, to two
		"dynamic":  {common, room, common, common},
		"static":   {common, common, common, common},
		"private":  {common, room, own, common},
		"interest": {common, room, tag, common},
	} {
		for i, rooms := range [][]string{nil, {"r"}, {someID}, {"r", someID}} {
			o := newOutgoing()
			if err := shardedLink(modes[name], "/a").encode(o, broadcastTo(rooms...)); err != nil || o.Channel != want[i] || o.Body[0] != '{' {
				t.Errorf("%s, to %q: got %q, %v, want %q", name, rooms, o.Channel, err, want[i])
			}
		}
	}
}

func TestSharded_RequestsTravelAsNodeSendsThemOrOnOurOwnChannel(t *testing.T) {
	call := broadcastTo("r").Broadcast.Packet
	for name, c := range map[string]struct {
		m    adapter.Message
		want string
	}{
		"join":       {adapter.Message{Kind: adapter.KindRequest, Request: &adapter.Request{Action: adapter.ActionJoin, Rooms: []string{"r"}}}, "socket.io#/a#"},
		"a call":     {adapter.Message{Kind: adapter.KindRequest, Request: &adapter.Request{ID: "1", Action: adapter.ActionCall, Rooms: []string{"r"}, Packet: call}}, "socket.io#/a#"},
		"rooms":      {adapter.Message{Kind: adapter.KindRequest, Request: &adapter.Request{ID: "1", Action: adapter.ActionRooms}}, "socket.io-roomcast#/a#"},
		"to a node":  {adapter.Message{Kind: adapter.KindRequest, To: "x", Request: &adapter.Request{ID: "1", Action: adapter.ActionRelease, Rooms: []string{someID}}}, "socket.io-roomcast#/a#x#"},
		"a response": {adapter.Message{Kind: adapter.KindResponse, To: "x", Response: &adapter.Response{ID: "1", Action: adapter.ActionRooms}}, "socket.io-roomcast#/a#x#"},
		"a goodbye":  {adapter.Message{Kind: adapter.KindGoodbye}, "socket.io-roomcast#/a#"},
	} {
		o := newOutgoing()
		if err := shardedLink(ShardedOptions{}, "/a").encode(o, &c.m); err != nil || o.Channel != c.want {
			t.Errorf("%s: got %q, %v, want %q", name, o.Channel, err, c.want)
		}
	}
}

func TestSharded_NodeJSIsToldOnceHowManyACallReaches(t *testing.T) {
	s := shardedLink(ShardedOptions{Options: Options{NodeJS: true}}, "/")
	const asked = `{"uid":"0011223344556677","nsp":"/","type":3,"data":{"opts":{"rooms":[],"except":[],"flags":{}},"packet":{"type":2,"data":["e"],"nsp":"/"},"requestId":"q"}}`
	m, err := s.open(bus.Arrival{Kind: routeNamespace, Channel: "socket.io#/#", Payload: asked})
	if err != nil || m == nil || m.Request == nil || m.Request.Action != adapter.ActionCall {
		t.Fatalf("got %+v, %v, want a call", m, err)
	}
	answer := packet.Packet{Type: packet.Ack, Data: []byte(`["yes"]`)}
	var got []string
	for _, r := range []adapter.Response{
		{ID: "q", Action: adapter.ActionCall, Receivers: 1},
		{ID: "q", Action: adapter.ActionCall, Answer: &answer},
		{ID: "q", Action: adapter.ActionCall, Done: true},
	} {
		o := newOutgoing()
		if err := s.encode(o, &adapter.Message{Kind: adapter.KindResponse, To: m.From, Response: &r}); err != nil {
			t.Fatal(err)
		}
		got = append(got, o.Channel)
	}
	if want := "[socket.io#/#0011223344556677# socket.io#/#0011223344556677# ]"; fmt.Sprint(got) != want {
		t.Errorf("got responses on %q, want %s", got, want)
	}
	err = s.Publish(t.Context(), &adapter.Message{Kind: adapter.KindResponse, To: "nodejs:what", Response: &adapter.Response{}})
	if !errors.Is(err, adapter.ErrMalformed) {
		t.Errorf("to nobody: got %v, want ErrMalformed", err)
	}
}

func TestSharded_ChannelAndContentMustAgree(t *testing.T) {
	const (
		common    = "socket.io#/a#"
		responses = "socket.io#/a#self#"
		answer    = `{"uid":"0011223344556677","nsp":"/a","type":11,"data":{"requestId":"q","clientCount":1}}`
		hello     = `{"uid":"0011223344556677","nsp":"/a","type":1}`
		join      = `{"uid":"0011223344556677","nsp":"/a","type":4,"data":{"opts":{"rooms":["r"],"except":[]},"rooms":["x"]}}`
	)
	message := func(uid, namespace string, rooms ...string) string {
		list := `"` + strings.Join(rooms, `","`) + `"`
		if len(rooms) == 0 {
			list = ""
		}
		return fmt.Sprintf(`{"uid":%q,"nsp":%q,"type":3,"data":{"opts":{"rooms":[%s],"except":[],"flags":{}},"packet":{"type":2,"data":["e"],"nsp":%[2]q}}}`, uid, namespace, list)
	}
	for _, c := range []struct {
		name      string
		a         bus.Arrival
		delivered bool
		err       error
	}{
		{"to all", bus.Arrival{Kind: routeNamespace, Channel: common, Payload: message("n", "/a")}, true, nil},
		{"own", bus.Arrival{Kind: routeNamespace, Channel: common, Payload: message("self", "/a")}, false, nil},
		{"another namespace", bus.Arrival{Kind: routeNamespace, Channel: common, Payload: message("n", "/b")}, false, errForeign},
		{"to a room", bus.Arrival{Kind: routeRoom, Channel: common + "r#", Payload: message("n", "/a", "r")}, true, nil},
		{"to a room, on the common channel", bus.Arrival{Kind: routeNamespace, Channel: common, Payload: message("n", "/a", "r")}, true, nil},
		{"to a room that is not here", bus.Arrival{Kind: routeNamespace, Channel: common, Payload: message("n", "/a", "q")}, false, nil},
		{"to an id", bus.Arrival{Kind: routeTag, Channel: "socket.io-roomcast-ids#/a#AAAA#", Payload: message("n", "/a", someID)}, true, nil},
		{"to an id that is not here", bus.Arrival{Kind: routeTag, Channel: "socket.io-roomcast-ids#/a#AAAA#", Payload: message("n", "/a", "x"+someID[1:])}, false, nil},
		{"to an id, on another tag", bus.Arrival{Kind: routeTag, Channel: "socket.io-roomcast-ids#/a#BBBB#", Payload: message("n", "/a", someID)}, false, errForeign},
		{"to a room, on a tag", bus.Arrival{Kind: routeTag, Channel: "socket.io-roomcast-ids#/a#AAAA#", Payload: message("n", "/a", "r")}, false, errForeign},
		{"to two, on a room's", bus.Arrival{Kind: routeRoom, Channel: common + "r#", Payload: message("n", "/a", "r", "q")}, false, errForeign},
		{"a request, on a room's", bus.Arrival{Kind: routeRoom, Channel: common + "r#", Payload: join}, false, errForeign},
		{"a request", bus.Arrival{Kind: routeNamespace, Channel: common, Payload: join}, true, nil},
		{"an answer nobody waits for", bus.Arrival{Kind: routeNamespace, Channel: common, Payload: answer}, false, nil},
		{"a broadcast among answers", bus.Arrival{Kind: routeResponses, Channel: responses, Payload: message("n", "/a")}, false, errForeign},
		{"a heartbeat", bus.Arrival{Kind: routeNamespace, Channel: common, Payload: hello}, false, nil},
		{"text", bus.Arrival{Kind: routeNamespace, Channel: common, Payload: "hello"}, false, adapter.ErrMalformed},
	} {
		opts := ShardedOptions{Options: Options{InterestRouting: true}}
		m, err := shardedLink(opts, "/a", "r", someID).open(c.a)
		if (m != nil) != c.delivered || !errors.Is(err, c.err) {
			t.Errorf("%s: delivered %v, %v, want %v, %v", c.name, m != nil, err, c.delivered, c.err)
		}
	}
	inMix := shardedLink(ShardedOptions{Options: Options{NodeJS: true}}, "/a")
	for _, a := range []bus.Arrival{{Kind: routeResponses, Channel: responses, Payload: answer}, {Kind: routeNamespace, Channel: common, Payload: answer}} {
		if m, err := inMix.open(a); err != nil || m == nil || m.To != "self" || m.From != "0011223344556677" {
			t.Errorf("an answer on %q: got %+v, %v", a.Channel, m, err)
		}
	}
}

func TestSharded_LinksHaveTheAbilitiesOfTheirMode(t *testing.T) {
	for _, c := range []struct {
		opts          ShardedOptions
		rooms, counts bool
	}{
		{ShardedOptions{}, true, false},
		{ShardedOptions{Options: Options{NodeJS: true}}, true, true},
		{ShardedOptions{SubscriptionMode: Static}, false, false},
		{ShardedOptions{SubscriptionMode: Static, Options: Options{NodeJS: true}}, false, true},
		{ShardedOptions{SubscriptionMode: DynamicPrivate}, true, false},
	} {
		link := shardedLink(c.opts, "/").typed()
		_, rooms := link.(adapter.RoomObserver)
		_, counts := link.(adapter.NodeCounter)
		if rooms != c.rooms || counts != c.counts {
			t.Errorf("%+v: observes rooms %v, counts %v, want %v, %v", c.opts, rooms, counts, c.rooms, c.counts)
		}
	}
}

// Sharded pub/sub has no patterns, so each id is a room to be told of.
func TestSharded_DynamicPrivateCannotTakeIDsTogether(t *testing.T) {
	link := shardedLink(ShardedOptions{SubscriptionMode: DynamicPrivate}, "/").typed().(adapter.RoomObserver)
	if err := link.SocketIDs(t.Context(), "AAAA"); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("got %v, want ErrUnsupported", err)
	}
}
