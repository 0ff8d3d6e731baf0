//go:build integration

package integration

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/roomcast/roomcast/internal/testutil/redisserver"
	"github.com/roomcast/roomcast/pkg/adapter"
	"github.com/roomcast/roomcast/pkg/adapter/redis"
	"github.com/roomcast/roomcast/pkg/packet"
	"github.com/roomcast/roomcast/pkg/server"
)

// besieged is a cluster of two nodes that expect Node.js servers, with a listener in
// "room" each, on a Redis to which an attacker writes.
type besieged struct {
	addr      string
	nodes     []*node
	listeners []*listener
	attacker  *goredis.Client
	good      int // how often they were unharmed
}

func besiege(t *testing.T, k kind, options server.Options) *besieged {
	t.Helper()
	b := &besieged{addr: redisserver.Addr(t)}
	for range 2 {
		options.Adapter = over(t, k, b.addr, redis.Options{NodeJS: true})
		n := startNodeOn(t, options)
		b.nodes, b.listeners = append(b.nodes, n), append(b.listeners, listen(t, n, "room"))
	}
	awaitMembers(t, b.nodes)
	b.attacker = goredis.NewClient(&goredis.Options{Addr: b.addr})
	t.Cleanup(func() { _ = b.attacker.Close() })
	return b
}

func (b *besieged) publish(t *testing.T, channel, message string) {
	t.Helper()
	if err := b.attacker.Publish(t.Context(), channel, message).Err(); err != nil {
		t.Fatal(err)
	}
}

// unharmed checks that what the nodes emit to each other arrives, soon, and that
// nobody was disconnected.
func (b *besieged) unharmed(t *testing.T) {
	t.Helper()
	begin := time.Now()
	for i, n := range b.nodes {
		if err := n.To("room").Emit("n", fmt.Sprint("good ", i), b.good); err != nil {
			t.Fatal(err)
		}
	}
	for _, l := range b.listeners {
		for i := range b.nodes {
			l.await(t, fmt.Sprint("good ", i), b.good)
		}
		l.expectConnected(t)
	}
	b.good++
	if took := time.Since(begin); took > 1500*time.Millisecond {
		t.Errorf("the next good messages took %v", took)
	}
	for _, n := range b.nodes {
		if stats := n.Stats(); stats.Panics != 0 {
			t.Errorf("%d panics", stats.Panics)
		}
	}
}

// heads are MessagePack heads that announce 4 billion of something.
var heads = map[string]string{
	"array": "\xdd\xff\xff\xff\xff", "map": "\xdf\xff\xff\xff\xff", "text": "\xdb\xff\xff\xff\xff", "binary": "\xc6\xff\xff\xff\xff", "extension": "\xc9\xff\xff\xff\xff\x01",
}

// lies are requests and responses whose parts announce what they do not have, or nest
// without end.
func lies() map[string]string {
	all := make(map[string]string)
	lie := func(name, value string) {
		all["request: rooms: "+name] = "\x84\xa3uid\xa1u\xa4type\x02\xa4opts\x82\xa5rooms" + value + "\xa6except\x90\xa5rooms\x91\xa1a"
		all["request: targets: "+name] = "\x84\xa3uid\xa1u\xa4type\x02\xa4opts\x82\xa5rooms\x90\xa6except\x90\xa5rooms" + value
		all["request: event: "+name] = "\x84\xa3uid\xa1u\xa9requestId\xa1r\xa4type\x06\xa4data\x92\xa1e" + value
		all["request: call: "+name] = "\x85\xa3uid\xa1u\xa9requestId\xa1r\xa4type\x07\xa6packet\x83\xa4type\x02\xa4data\x92\xa1e" + value + "\xa3nsp\xa1/\xa4opts\x82\xa5rooms\x90\xa6except\x90"
		all["request: type: "+name] = "\x83\xa3uid\xa1u\xa9requestId\xa1r\xa4type" + value
		all["request: unknown: "+name] = "\x84\xa3uid\xa1u\xa9requestId\xa1r\xa4type\x01\xa4else" + value
		all["request: roomcast: "+name] = "\x84\xa3uid\xa1u\xa9requestId\xa1r\xa4type\x01\xa8roomcast" + value
		all["response: sockets: "+name] = "\x82\xa9requestId\xa1r\xa7sockets" + value
		all["response: rooms: "+name] = "\x82\xa9requestId\xa1r\xa5rooms" + value
		all["response: answer: "+name] = "\x83\xa9requestId\xa1r\xa4type\x09\xa6packet" + value
		all["response: count: "+name] = "\x83\xa9requestId\xa1r\xa4type\x08\xabclientCount" + value
	}
	for name, head := range heads {
		lie(name+" of 4G", head)
	}
	lie("200,000 nested arrays", strings.Repeat("\x91", 200_000))
	lie("200,000 nested arrays that end", strings.Repeat("\x91", 200_000)+"\xc0")
	delete(all, "request: unknown: 200,000 nested arrays that end") // is passed over, which takes no depth
	for name, open := range map[string]string{"arrays": "[", "objects": `{"a":`} {
		all["request: JSON "+name] = `{"uid":"u","requestId":"r","type":6,"data":["e",` + strings.Repeat(open, 200_000)
		all["response: JSON "+name] = `{"requestId":"r","sockets":` + strings.Repeat(open, 200_000)
	}
	return all
}

// What lies about its parts on the channels of requests and responses is dropped and
// counted, without memory for what was announced.
func TestHostile_LiesInRequestsAndResponses(t *testing.T) {
	b := besiege(t, classic, server.Options{})
	channels := []string{"socket.io-request#/#", "socket.io-response#/#"}
	for _, n := range b.nodes {
		channels = append(channels, "socket.io-response#/#"+n.NodeID()+"#")
	}
	b.unharmed(t)
	heapBefore, before, heard := heap(), dropped(b.nodes), 0
	for name, message := range lies() {
		for _, channel := range channels {
			if !strings.Contains(channel, name[:len("request")]) && !strings.HasPrefix(name, "response") {
				continue // an odd request can be an even response
			}
			n, err := b.attacker.Publish(t.Context(), channel, message).Result()
			if err != nil {
				t.Fatal(err)
			}
			heard += int(n)
		}
	}
	b.unharmed(t)
	if counted := dropped(b.nodes) - before; counted != uint64(heard) {
		t.Errorf("%d of %d lies were counted", counted, heard)
	}
	if grown := int64(heap()) - int64(heapBefore); grown > 64<<20 {
		t.Errorf("the heap grew by %d MiB", grown>>20)
	}
}

// Requests that are well formed and ask for too much.
func TestHostile_RequestsThatAskForTooMuch(t *testing.T) {
	b := besiege(t, classic, server.Options{})
	for _, l := range b.listeners {
		l.mute.Store(true)
	}
	var names strings.Builder
	for i := range 100_000 {
		fmt.Fprintf(&names, `"%d",`, i)
	}
	many := strings.TrimSuffix(names.String(), ",")
	heapBefore := heap()
	for name, message := range map[string]string{
		"100,000 rooms to join":   `{"uid":"u","type":2,"opts":{"rooms":["room"],"except":[]},"rooms":[` + many + `]}`,
		"100,000 rooms to leave":  `{"uid":"u","type":3,"opts":{"rooms":["room"],"except":["nobody"]},"rooms":[` + many + `]}`,
		"in any of 100,000 rooms": `{"uid":"u","type":2,"opts":{"rooms":[` + many + `],"except":[]},"rooms":["x"]}`,
		"fetch of 100,000 rooms":  `{"uid":"u","requestId":"r","type":5,"opts":{"rooms":[` + many + `],"except":[]}}`,
		"a billion rooms":         "\x84\xa3uid\xa1u\xa4type\x02\xa4opts\x82\xa5rooms\x90\xa6except\x90\xa5rooms\xdd\x3b\x9a\xca\x00\xa1a",
		"a timeout of 1e308":      `{"uid":"u","requestId":"r","type":7,"opts":{"rooms":[],"except":[],"flags":{"timeout":1e308}},"packet":{"type":2,"nsp":"/","data":["ask"]}}`,
		"a timeout below nothing": `{"uid":"u","requestId":"r","type":7,"opts":{"rooms":[],"except":[],"flags":{"timeout":-1e308}},"packet":{"type":2,"nsp":"/","data":["ask"]}}`,
		"centuries, as of a node": `{"uid":"u","requestId":"r","type":1,"roomcast":{"version":1,"timeout":9223372036854775807}}`,
	} {
		t.Run(name, func(t *testing.T) {
			b.publish(t, "socket.io-request#/#", message)
			b.unharmed(t)
		})
	}
	for i, l := range b.listeners {
		if got := socketOf(t, b.nodes[i], l.id).Rooms(); len(got) > 3 || !slices.Contains(got, "room") {
			t.Errorf("a socket is in %d rooms", len(got))
		}
	}
	if grown := int64(heap()) - int64(heapBefore); grown > 64<<20 {
		t.Errorf("the heap grew by %d MiB", grown>>20)
	}
}

// While a call waits, somebody answers in the names of others, in every form. The call
// has the real answers among its own, and ends as it would have.
func TestHostile_ForgedAnswersToAPendingCall(t *testing.T) {
	b := besiege(t, classic, server.Options{})
	var asked atomic.Pointer[adapter.Message]
	bus := overRedis(t, b.addr, redis.Options{NodeJS: true})
	forger, err := bus.Join(t.Context(), "/", "forger", func(m *adapter.Message) {
		if m.Request != nil && m.Request.Action == adapter.ActionCall {
			asked.Store(m)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = forger.Close(context.Background()) })

	b.listeners[1].mute.Store(true)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	call := server.CallAll[string](ctx, b.nodes[0].Of("/").All(), "who")
	eventually(t, "the request", func() bool { return asked.Load() != nil })
	request := asked.Load()
	answer := &packet.Packet{Type: packet.Ack, Namespace: "/", Data: []byte(`[{"no":"text"}]`)}
	for range 100 {
		for _, r := range []adapter.Response{
			{ID: request.Request.ID, Action: adapter.ActionCall, Answer: answer},
			{ID: request.Request.ID, Action: adapter.ActionCall, Receivers: 1 << 30},
			{ID: request.Request.ID, Action: adapter.ActionFetch, Done: true, Sockets: []adapter.Socket{{ID: "x"}}},
			{ID: "another", Action: adapter.ActionCall, Done: true},
		} {
			if err := forger.Publish(ctx, &adapter.Message{To: request.From, Kind: adapter.KindResponse, Response: &r}); err != nil {
				t.Fatal(err)
			}
		}
		for _, text := range []string{
			`{"type":8,"requestId":%q,"clientCount":1073741824}`, `{"type":8,"requestId":%q,"clientCount":-1}`, `{"type":8,"requestId":%q,"clientCount":1e300}`,
			`{"type":9,"requestId":%q,"packet":[[[[]]]]}`, `{"type":9,"requestId":%q}`, `{"type":6,"requestId":%q,"data":7}`, `{"requestId":%q,"sockets":[{"id":"x","rooms":[1]}]}`,
		} {
			b.publish(t, "socket.io-response#/#", fmt.Sprintf(text, request.Request.ID))
		}
	}
	b.unharmed(t)
	for answer := range call.Each() {
		if answer == b.listeners[0].id {
			break // the real one, which is under way while others are forged
		}
	}
	cancel()
	answers, err := call.Wait()
	if err == nil || !slices.Contains(answers, b.listeners[0].id) {
		t.Errorf("%d answers, of which none is the real one; %v", len(answers), err)
	}
	b.listeners[1].mute.Store(false)
	ctx, cancel = context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	answers, _ = server.CallAll[string](ctx, b.nodes[0].Of("/").All(), "who").Wait() // the forger is counted and says nothing
	if slices.Sort(answers); len(answers) != 2 {
		t.Errorf("afterwards %q have answered", answers)
	}
	b.unharmed(t)
}
