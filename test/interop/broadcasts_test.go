//go:build integration

package interop

import (
	"encoding/json"
	"reflect"
	"testing"

	"github.com/roomcast/roomcast/pkg/adapter"
	"github.com/roomcast/roomcast/pkg/packet"
)

// Whatever a Node.js server emits reaches the nodes as it was meant, in order.
func TestNodeJS_BroadcastsOfNodeReachUs(t *testing.T) {
	inEachMix(t, func(t *testing.T, c mix) {
		binary := packet.Packet{Data: []byte(`["part",{"b":{"_placeholder":true,"num":0}}]`), Attachments: [][]byte{{0, 255}}}
		text := packet.Packet{Data: []byte(`["text",1,null,"😀"]`)}
		p, id := c.peers[0], "twenty characters id"
		said := []struct {
			selection map[string]any
			event     string // as text, or "binary"
			want      adapter.Broadcast
		}{
			{nil, "text", adapter.Broadcast{Packet: text}},
			{map[string]any{"rooms": []string{"a"}}, "text", adapter.Broadcast{Rooms: []string{"a"}, Packet: text}},
			{map[string]any{"rooms": []string{"a", "b"}, "except": []string{"c"}}, "binary", adapter.Broadcast{Rooms: []string{"a", "b"}, Except: []string{"c"}, Packet: binary}},
			{map[string]any{"rooms": []string{id}}, "binary", adapter.Broadcast{Rooms: []string{id}, Packet: binary}},
			{map[string]any{"rooms": []string{"a"}, "volatile": true}, "text", adapter.Broadcast{Rooms: []string{"a"}, Volatile: true, Packet: text}},
			{map[string]any{"except": []string{"c"}, "compress": false}, "text", adapter.Broadcast{Except: []string{"c"}, Uncompressed: true, Packet: text}},
		}
		occupy(t, c.members, "a", id)
		for _, s := range said {
			p.call(t, nil, "emit", s.selection, s.event)
		}
		for _, m := range c.members {
			heard := m.await(t, &m.broadcasts, len(said), func(*adapter.Message) bool { return true })
			for i, s := range said {
				got := heard[i].Broadcast
				if !sameNames(got.Rooms, s.want.Rooms) || !sameNames(got.Except, s.want.Except) || got.Volatile != s.want.Volatile || got.Uncompressed != s.want.Uncompressed {
					t.Errorf("%s: broadcast %d is %+v, want %+v", m.id, i, got, s.want)
				}
				if string(got.Packet.Data) != string(s.want.Packet.Data) || !reflect.DeepEqual(got.Packet.Attachments, s.want.Packet.Attachments) {
					t.Errorf("%s: broadcast %d says %s with %v, want %s with %v", m.id, i, got.Packet.Data, got.Packet.Attachments, s.want.Packet.Data, s.want.Packet.Attachments)
				}
			}
		}
	})
}

// occupy says that the nodes have members of rooms, where they want to know.
func occupy(t *testing.T, members []*member, rooms ...string) {
	t.Helper()
	for _, m := range members {
		o, ok := m.link.(adapter.RoomObserver)
		if !ok {
			continue
		}
		for _, room := range rooms {
			if err := o.RoomOccupied(t.Context(), room); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func sameNames(a, b []string) bool { return len(a) == 0 && len(b) == 0 || reflect.DeepEqual(a, b) }

// What a node publishes reaches the clients of Node.js servers that it is meant for,
// once and in order.
func TestNodeJS_OurBroadcastsReachClientsOfNode(t *testing.T) {
	inEachMix(t, func(t *testing.T, c mix) {
		m := c.members[0]
		say := func(b adapter.Broadcast, data string, attachments ...[]byte) {
			t.Helper()
			b.Packet = packet.Packet{Type: packet.Event, Namespace: "/", Data: []byte(data), Attachments: attachments}
			if err := m.link.Publish(t.Context(), &adapter.Message{Kind: adapter.KindBroadcast, Broadcast: &b}); err != nil {
				t.Fatal(err)
			}
		}
		first, second := c.peers[0], c.peers[1]
		say(adapter.Broadcast{}, `["n",1,null,"😀"]`)
		say(adapter.Broadcast{Rooms: []string{"room of n1"}}, `["n",2]`)
		say(adapter.Broadcast{Rooms: []string{first.id}}, `["n",3]`)
		say(adapter.Broadcast{Rooms: []string{"room of n1", "room of n2", first.id}, Except: []string{second.id}}, `["n",4]`)
		say(adapter.Broadcast{Rooms: []string{"nowhere"}}, `["n",5]`)
		say(adapter.Broadcast{Uncompressed: true}, `["n",6]`)
		say(adapter.Broadcast{Except: []string{"room of n1"}}, `["n",7,{"b":{"_placeholder":true,"num":0}}]`, []byte{0, 255})
		say(adapter.Broadcast{}, `["last"]`)
		for p, want := range map[*peer]string{
			first:  `[["n",1,null,"😀"],["n",2],["n",3],["n",4],["n",6],["last"]]`,
			second: `[["n",1,null,"😀"],["n",6],["n",7,{"b":{"type":"Buffer","data":[0,255]}}],["last"]]`,
		} {
			var heard json.RawMessage
			if p.call(t, &heard, "heard", "last"); string(heard) != want {
				t.Errorf("the client of %s heard\n%s, want\n%s", p.name, heard, want)
			}
		}
		say(adapter.Broadcast{Volatile: true}, `["fleeting"]`) // while the clients are idle
		for _, p := range c.peers {
			p.call(t, nil, "heard", "fleeting")
		}
	})
}
