package adaptertest

import (
	"bytes"
	"slices"
	"strings"

	"github.com/roomcast/roomcast/pkg/adapter"
	"github.com/roomcast/roomcast/pkg/packet"
)

var contentChecks = []check{
	{"Content_EveryKind", "each kind of message arrives as that kind, with its body", everyKind},
	{"Content_Selection", "a broadcast's rooms and excepted rooms arrive, whatever characters they have", selection},
	{"Content_Flags", "a broadcast's volatile and uncompressed flags, acknowledgement id and namespace arrive", flags},
	{"Content_JSON", "a packet's data arrives as the same JSON value: escapes, unicode, nesting, null", jsonValues},
	{"Content_Attachments", "attachments arrive in number, order and every byte, the empty one too", attachments},
	{"Content_Large", "a packet of 1 MiB arrives whole", large},
}

func everyKind(tr *trial) {
	nodes := tr.together(2, tr.topic())
	for _, want := range []*adapter.Message{
		{Kind: adapter.KindHello, Heartbeat: &adapter.Heartbeat{Tag: 0}},
		{Kind: adapter.KindHello, Heartbeat: &adapter.Heartbeat{Tag: last, Namespaces: []string{"/"}}},
		{Kind: adapter.KindHeartbeat, Heartbeat: &adapter.Heartbeat{Tag: 7, Namespaces: []string{"/", "/chat", "/日本"}, Application: "a shop"}},
		{Kind: adapter.KindHeartbeat, Heartbeat: &adapter.Heartbeat{Tag: 7, Address: "http://10.0.0.7:3000", Proof: []byte("\x00any\xffbytes")}},
		{Kind: adapter.KindGoodbye},
	} {
		nodes[0].publish(want)
		got := nodes[1].next()
		if got.Kind != want.Kind || (got.Heartbeat == nil) != (want.Heartbeat == nil) {
			tr.Errorf("kind %d arrived as kind %d with heartbeat %v", want.Kind, got.Kind, got.Heartbeat)
			continue
		}
		if h, w := got.Heartbeat, want.Heartbeat; h != nil &&
			(h.Tag != w.Tag || h.Application != w.Application || h.Address != w.Address || !bytes.Equal(h.Proof, w.Proof) || !slices.Equal(h.Namespaces, w.Namespaces)) {
			tr.Errorf("heartbeat %v arrived as %v", *w, *h)
		}
	}
}

// sent publishes a broadcast in a namespace of its own and compares what arrives
// at a node that has its rooms.
func (tr *trial) sent(want *adapter.Broadcast) {
	tr.Helper()
	namespace := tr.namespace()
	want.Packet.Namespace = namespace
	if want.Packet.Data == nil {
		want.Packet.Data = []byte(`["event",1]`)
	}
	want.Packet.Type = packet.Event
	sender, receiver := tr.node().join(namespace), tr.node().join(namespace)
	if observer, ok := receiver.link.(adapter.RoomObserver); ok {
		for _, room := range want.Rooms {
			receiver.occupy(observer, room)
		}
	}
	sender.publish(&adapter.Message{Kind: adapter.KindBroadcast, Broadcast: want})
	tr.compare(receiver.next(), want)
}

func selection(tr *trial) {
	odd := []string{"a room", "a#b", "a*", "[x]", "日本", `"quoted"\`, strings.Repeat("long", 64)}
	tr.sent(&adapter.Broadcast{})
	tr.sent(&adapter.Broadcast{Rooms: []string{"one"}})
	tr.sent(&adapter.Broadcast{Rooms: []string{"one", "two"}, Except: []string{"three"}})
	tr.sent(&adapter.Broadcast{Except: []string{"three", "four"}})
	tr.sent(&adapter.Broadcast{Rooms: odd, Except: odd})
}

func flags(tr *trial) {
	tr.sent(&adapter.Broadcast{Volatile: true})
	tr.sent(&adapter.Broadcast{Uncompressed: true})
	tr.sent(&adapter.Broadcast{Volatile: true, Uncompressed: true, Rooms: []string{"one"}})
	tr.sent(&adapter.Broadcast{Packet: packet.Packet{HasID: true, ID: 0}})
	tr.sent(&adapter.Broadcast{Packet: packet.Packet{HasID: true, ID: 1<<53 - 1}})
}

func jsonValues(tr *trial) {
	for _, data := range []string{
		`["event"]`,
		`["event",null,true,false,0,-1,1.5,-2.25e10,9007199254740991,""]`,
		`["event","a\"\\\/\b\f\n\r\t\u0000\u001f é 日本 🚀 \u2028"]`,
		`["event",{"a":{"b":[[],{},[{"":""}]]}, "key with \" and é": [1,2]}]`,
		`["event",` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + `]`,
	} {
		tr.sent(&adapter.Broadcast{Packet: packet.Packet{Data: []byte(data)}})
	}
}

func attachments(tr *trial) {
	every := make([]byte, 256)
	for i := range every {
		every[i] = byte(i)
	}
	const data = `["event",{"_placeholder":true,"num":0},{"in":[{"_placeholder":true,"num":1}]},{"_placeholder":true,"num":2}]`
	tr.sent(&adapter.Broadcast{Packet: packet.Packet{
		Data:        []byte(data),
		Attachments: [][]byte{every, {}, bytes.Repeat(every, 300)},
	}})
}

func large(tr *trial) {
	const size = 1 << 20
	text := strings.Repeat("0123456789abcdef", size/16)
	tr.sent(&adapter.Broadcast{Packet: packet.Packet{Data: []byte(`["event","` + text + `"]`)}})
	tr.sent(&adapter.Broadcast{Packet: packet.Packet{
		Data:        []byte(`["event",{"_placeholder":true,"num":0}]`),
		Attachments: [][]byte{[]byte(text)},
	}})
}
