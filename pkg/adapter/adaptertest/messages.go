package adaptertest

import (
	"bytes"
	"encoding/json"
	"reflect"
	"slices"
	"strconv"

	"github.com/roomcast/roomcast/pkg/adapter"
	"github.com/roomcast/roomcast/pkg/packet"
)

// last is the number of a message that ends a series.
const last = 1<<24 - 1

// numbered returns a small message that carries a number below 2^24.
func numbered(number uint32) *adapter.Message {
	return &adapter.Message{
		Kind:      adapter.KindHeartbeat,
		Heartbeat: &adapter.Heartbeat{Tag: number, Namespaces: []string{"/"}},
	}
}

// series returns the messages first to first+n-1.
func series(first uint32, n int) []*adapter.Message {
	messages := make([]*adapter.Message, n)
	for i := range messages {
		messages[i] = numbered(first + uint32(i))
	}
	return messages
}

// addressed is numbered for one node alone.
func addressed(to adapter.NodeID, number uint32) *adapter.Message {
	m := numbered(number)
	m.To = to
	return m
}

// event returns a broadcast that carries a number.
func event(namespace string, number uint32, rooms ...string) *adapter.Message {
	data := []byte(`["event",` + strconv.Itoa(int(number)) + `]`)
	return &adapter.Message{
		Kind: adapter.KindBroadcast,
		Broadcast: &adapter.Broadcast{
			Packet: packet.Packet{Type: packet.Event, Namespace: namespace, Data: data},
			Rooms:  rooms,
		},
	}
}

// numberOf returns the number of a message made here, and 0 for another one.
func numberOf(m *adapter.Message) uint32 {
	switch {
	case m.Heartbeat != nil:
		return m.Heartbeat.Tag
	case m.Broadcast != nil:
		var args []any
		if json.Unmarshal(m.Broadcast.Packet.Data, &args) != nil || len(args) < 2 {
			return 0
		}
		number, _ := args[1].(float64)
		return uint32(number)
	}
	return 0
}

// sameJSON compares values: a backend may write numbers and spaces in its own way.
func sameJSON(a, b []byte) bool {
	if bytes.Equal(a, b) {
		return true
	}
	var x, y any
	return json.Unmarshal(a, &x) == nil && json.Unmarshal(b, &y) == nil && reflect.DeepEqual(x, y)
}

// compare reports each difference between the broadcast that was published and
// the one that has arrived.
func (tr *trial) compare(got *adapter.Message, want *adapter.Broadcast) {
	tr.Helper()
	if got.Kind != adapter.KindBroadcast || got.Broadcast == nil {
		tr.Errorf("got kind %d with broadcast %v, want a broadcast", got.Kind, got.Broadcast)
		return
	}
	b := got.Broadcast
	differs := func(what string, got, want any) {
		tr.Helper()
		if !reflect.DeepEqual(got, want) {
			tr.Errorf("%s arrived as %.100v, want %.100v", what, got, want)
		}
	}
	differs("the packet's type", b.Packet.Type, want.Packet.Type)
	differs("the namespace", b.Packet.Namespace, want.Packet.Namespace)
	differs("the acknowledgement id", b.Packet.ID, want.Packet.ID)
	differs("having an acknowledgement id", b.Packet.HasID, want.Packet.HasID)
	differs("volatile", b.Volatile, want.Volatile)
	differs("uncompressed", b.Uncompressed, want.Uncompressed)
	differs("the rooms", slices.Sorted(slices.Values(b.Rooms)), slices.Sorted(slices.Values(want.Rooms)))
	differs("the excepted rooms", slices.Sorted(slices.Values(b.Except)), slices.Sorted(slices.Values(want.Except)))
	tr.compareData(&b.Packet, &want.Packet)
}

func (tr *trial) compareData(got, want *packet.Packet) {
	tr.Helper()
	if !sameJSON(got.Data, want.Data) {
		tr.Errorf("the data arrived as %.100s (%d bytes), want %.100s (%d bytes)", got.Data, len(got.Data), want.Data, len(want.Data))
	}
	if len(got.Attachments) != len(want.Attachments) {
		tr.Errorf("got %d attachments, want %d", len(got.Attachments), len(want.Attachments))
		return
	}
	for i := range want.Attachments {
		if !bytes.Equal(got.Attachments[i], want.Attachments[i]) {
			tr.Errorf("attachment %d arrived as %.100x, want %.100x", i, got.Attachments[i], want.Attachments[i])
		}
	}
}
