//go:build integration

package integration

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	goredis "github.com/redis/go-redis/v9"

	"github.com/roomcast/roomcast/pkg/server"
)

// A message of the sharded and the streams adapter is a map: who, of which namespace,
// of what type, and data, which is a map as well.
const (
	messageHead = "\x84\xa3uid\xa1u\xa3nsp\xa1/\xa4type"
	noRooms     = "\xa4opts\x82\xa5rooms\x90\xa6except\x90"
	noEvent     = "\xa6packet\x83\xa4type\x02\xa4data\x91\xa1n\xa3nsp\xa1/"
)

// deceit is a message in its parts.
type deceit struct {
	kind string // its type, in MessagePack
	data string // in MessagePack
}

func (d deceit) message() string { return messageHead + d.kind + "\xa4data" + d.data }

// entry is the message as fields of a stream.
func (d deceit) entry() map[string]any {
	return map[string]any{"uid": "u", "nsp": "/", "type": fmt.Sprint(d.kind[0]), "data": base64.StdEncoding.EncodeToString([]byte(d.data))}
}

// durable says whether it is of a type that is written to a stream.
func (d deceit) durable() bool {
	return d.kind[0] >= 3 && d.kind[0] <= 6 && !strings.Contains(d.data, "requestId")
}

// deceits announce what they do not have, or nest without end, in each of their parts.
func deceits() map[string]deceit {
	all := make(map[string]deceit)
	lie := func(name, value string) {
		rooms := "\xa4opts\x82\xa5rooms" + value + "\xa6except\x90"
		all["broadcast to rooms: "+name] = deceit{"\x03", "\x82" + rooms + noEvent}
		all["broadcast: "+name] = deceit{"\x03", "\x82" + noRooms + "\xa6packet\x83\xa4type\x02\xa4data\x92\xa1e" + value + "\xa3nsp\xa1/"}
		all["call: "+name] = deceit{"\x03", "\x83" + noRooms + "\xa9requestId\xa1r\xa6packet\x83\xa4type\x02\xa4data\x92\xa1e" + value + "\xa3nsp\xa1/"}
		all["join: "+name] = deceit{"\x04", "\x82" + noRooms + "\xa5rooms" + value}
		all["leave: "+name] = deceit{"\x05", "\x82" + noRooms + "\xa5rooms" + value}
		all["disconnect: "+name] = deceit{"\x06", "\x82" + rooms + "\xa5close\xc2"}
		all["fetch: "+name] = deceit{"\x07", "\x82" + rooms + "\xa9requestId\xa1r"}
		all["fetched: "+name] = deceit{"\x08", "\x82\xa9requestId\xa1r\xa7sockets" + value}
		all["event: "+name] = deceit{"\x09", "\x82\xa9requestId\xa1r\xa6packet\x92\xa1e" + value}
		all["receivers: "+name] = deceit{"\x0b", "\x82\xa9requestId\xa1r\xabclientCount" + value}
		all["unknown: "+name] = deceit{"\x04", "\x83" + noRooms + "\xa5rooms\x90\xa4else" + value}
		all["roomcast: "+name] = deceit{"\x04", "\x83" + noRooms + "\xa5rooms\x90\xa8roomcast" + value}
		all["data: "+name] = deceit{"\x03", value}
	}
	for name, head := range heads {
		lie(name+" of 4G", head)
	}
	lie("200,000 nested arrays", strings.Repeat("\x91", 200_000))
	return all
}

// What lies about its parts is dropped and counted, on each channel, and without memory
// for what was announced.
func TestHostile_LiesInMessagesOfTheOtherAdapters(t *testing.T) {
	for _, k := range []kind{sharded, streams} {
		t.Run(string(k), func(t *testing.T) {
			b := besiege(t, k, server.Options{})
			channels := []string{"socket.io#/#", "socket.io#/#room#"}
			for _, n := range b.nodes {
				channels = append(channels, "socket.io#/#"+n.NodeID()+"#")
			}
			b.unharmed(t)
			heapBefore, before, heard := heap(), dropped(b.nodes), uint64(0)
			messages := garbage()
			for name, d := range deceits() {
				messages[name] = d.message()
			}
			for name, open := range map[string]string{"arrays": "[", "objects": `{"a":`} {
				messages["JSON "+name] = `{"uid":"u","nsp":"/","type":9,"data":{"packet":["e",` + strings.Repeat(open, 200_000)
			}
			for _, message := range messages {
				for _, channel := range channels {
					heard += b.hearing(t, k, channel, message)
				}
			}
			b.unharmed(t)
			b.expectCounted(t, before, heard, heapBefore)
		})
	}
}

// hearing publishes a message and returns how many nodes have heard it.
func (b *besieged) hearing(t *testing.T, k kind, channel, message string) uint64 {
	t.Helper()
	publish := b.attacker.Publish
	if k == sharded {
		publish = b.attacker.SPublish
	}
	n, err := publish(t.Context(), channel, message).Result()
	if err != nil {
		t.Fatal(err)
	}
	return uint64(n)
}

// expectCounted checks that so many messages were counted as dropped since before,
// and took no memory.
func (b *besieged) expectCounted(t *testing.T, before, want, heapBefore uint64) {
	t.Helper()
	eventually(t, "all lies to be counted", func() bool { return dropped(b.nodes)-before >= want })
	if got := dropped(b.nodes) - before; got != want || want == 0 {
		t.Errorf("%d of %d lies were counted", got, want)
	}
	if grown := int64(heap()) - int64(heapBefore); grown > 64<<20 {
		t.Errorf("the heap grew by %d MiB", grown>>20)
	}
}

// What others write to the stream, with fields that are missing, odd, or lie, is counted
// and passed over once by each node; the next good entry arrives.
func TestHostile_LiesInEntriesOfTheStream(t *testing.T) {
	b := besiege(t, streams, server.Options{})
	b.unharmed(t)
	heapBefore, before := heap(), dropped(b.nodes)
	entries := map[string]map[string]any{
		"nothing of ours": {"hello": "world"},
		"no sender":       {"nsp": "/", "type": "3", "data": `{"opts":{"rooms":[],"except":[]},"packet":{"type":2,"data":["x"]}}`},
		"no namespace":    {"uid": "u", "type": "3", "data": "{}"},
		"no type":         {"uid": "u", "nsp": "/", "data": "{}"},
		"no data":         {"uid": "u", "nsp": "/", "type": "3"},
		"type no number":  {"uid": "u", "nsp": "/", "type": "three", "data": "{}"},
		"type negative":   {"uid": "u", "nsp": "/", "type": "-3", "data": "{}"},
		"type of 4G":      {"uid": "u", "nsp": "/", "type": "4294967299", "data": "{}"},
		"no base64":       {"uid": "u", "nsp": "/", "type": "3", "data": "§§§"},
		"nested JSON":     {"uid": "u", "nsp": "/", "type": "3", "data": `{"packet":` + strings.Repeat("[", 200_000)},
	}
	for name, message := range garbage() {
		if message != "" {
			entries["plain "+name] = map[string]any{"uid": "u", "nsp": "/", "type": "3", "data": message}
		}
		entries["base64 "+name] = map[string]any{"uid": "u", "nsp": "/", "type": "3", "data": base64.StdEncoding.EncodeToString([]byte(message))}
	}
	for name, d := range deceits() {
		if d.durable() {
			entries[name] = d.entry()
		}
	}
	for name, fields := range entries {
		if err := b.attacker.XAdd(t.Context(), &goredis.XAddArgs{Stream: "socket.io", Values: fields}).Err(); err != nil {
			t.Fatalf("add %s: %v", name, err)
		}
	}
	b.unharmed(t)
	b.expectCounted(t, before, uint64(len(entries)*len(b.nodes)), heapBefore)
}

// Another type of value under the stream's name makes the adapter say that it is
// degraded. When it is gone, everything works again.
func TestHostile_StreamThatIsNone(t *testing.T) {
	b := besiege(t, streams, server.Options{})
	b.unharmed(t)
	if err := b.attacker.Set(t.Context(), "socket.io", "no stream", 0).Err(); err != nil {
		t.Fatal(err)
	}
	awaitBus(t, "degraded", b.nodes...)
	if err := b.attacker.Del(t.Context(), "socket.io").Err(); err != nil {
		t.Fatal(err)
	}
	awaitBus(t, "up", b.nodes...)
	b.unharmed(t)
}
