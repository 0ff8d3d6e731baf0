package adapter_test

import (
	"bytes"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/roomcast/roomcast/pkg/adapter"
	"github.com/roomcast/roomcast/pkg/packet"
)

// heldBy returns the bytes of memory that n things of fill take, each.
func heldBy(n int, fill func(i int) any) int {
	var before, after runtime.MemStats
	things := make([]any, n)
	runtime.GC()
	runtime.ReadMemStats(&before)
	for i := range things {
		things[i] = fill(i)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	runtime.KeepAlive(things)
	return int(after.HeapAlloc-before.HeapAlloc) / n
}

func lines(n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = strings.Repeat("r", 16)
	}
	return list
}

// Bounds in bytes mean something only if the estimate is near what Go takes.
func TestSize_IsNearTheMemoryTaken(t *testing.T) {
	tests := map[string]func(int) any{
		"small broadcast": func(int) any {
			return &adapter.Message{Kind: adapter.KindBroadcast, Broadcast: &adapter.Broadcast{
				Packet: packet.Packet{Data: []byte(`["event",1]`)},
			}}
		},
		"broadcast to rooms": func(int) any {
			return &adapter.Message{Kind: adapter.KindBroadcast, Broadcast: &adapter.Broadcast{
				Packet: packet.Packet{Data: make([]byte, 1000), Attachments: [][]byte{make([]byte, 100), make([]byte, 100)}}, Rooms: lines(20),
			}}
		},
		"request": func(int) any {
			m := request(&adapter.Request{Action: adapter.ActionJoin, Rooms: lines(3), Targets: lines(3)})
			return &m
		},
		"response": func(int) any {
			sockets := make([]adapter.Socket, 10)
			for i := range sockets {
				sockets[i] = adapter.Socket{ID: strings.Repeat("i", 20), Rooms: lines(2), Handshake: make([]byte, 500), Data: make([]byte, 50)}
			}
			m := response(&adapter.Response{Action: adapter.ActionFetch, Sockets: sockets})
			return &m
		},
		"record": func(i int) any {
			return &adapter.Record{PrivateID: fmt.Sprintf("%020d", i), SocketID: fmt.Sprintf("%020d", i), Rooms: lines(5), Data: make([]byte, 500)}
		},
	}
	for name, fill := range tests {
		t.Run(name, func(t *testing.T) {
			taken, size := heldBy(2000, fill), fill(0).(interface{ Size() int }).Size()
			if taken > size*5/4 || size > taken*2 {
				t.Errorf("%d bytes are taken, Size says %d", taken, size)
			}
		})
	}
}

func TestSize_CountsEveryVariablePart(t *testing.T) {
	part := bytes.Repeat([]byte{' '}, 1000)
	text := string(part)
	p := packet.Packet{Namespace: text, Data: part, Attachments: [][]byte{part}}
	for name, tt := range map[string]struct {
		sized interface{ Size() int }
		parts int
	}{
		"names":     {&adapter.Message{From: adapter.NodeID(text), To: adapter.NodeID(text), Offset: text}, 3},
		"broadcast": {&adapter.Message{Broadcast: &adapter.Broadcast{Packet: p, Rooms: []string{text}, Except: []string{text}}}, 5},
		"heartbeat": {&adapter.Message{Heartbeat: &adapter.Heartbeat{Namespaces: []string{text, text}}}, 2},
		"request": {&adapter.Message{Request: &adapter.Request{
			ID: text, Packet: p, Rooms: []string{text}, Except: []string{text}, Targets: []string{text},
		}}, 7},
		"response": {&adapter.Message{Response: &adapter.Response{
			ID: text, Rooms: []string{text}, Answer: &p,
			Sockets: []adapter.Socket{{ID: text, Rooms: []string{text}, Handshake: part, Data: part}},
		}}, 9},
		"record": {&adapter.Record{PrivateID: text, SocketID: text, Node: adapter.NodeID(text), Since: text, Rooms: []string{text}, Data: part}, 6},
	} {
		t.Run(name, func(t *testing.T) {
			if got, want := tt.sized.Size()/1000, tt.parts; got != want {
				t.Errorf("%d parts of 1000 bytes are counted as %d", want, tt.sized.Size())
			}
		})
	}
}
