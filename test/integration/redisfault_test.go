//go:build integration

package integration

import (
	"context"
	"runtime"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/roomcast/roomcast/internal/testutil/redisserver"
	"github.com/roomcast/roomcast/pkg/adapter/redis"
	"github.com/roomcast/roomcast/pkg/server"
)

// backLimit is how soon after Redis accepts connections again the nodes must hear
// each other.
const backLimit = 2 * time.Second

// Redis is killed and comes back. No client notices: what its own node emits
// arrives all the time, and what others emit arrives again soon after the return,
// from then on without a loss.
func TestRedis_KilledAndStartedAgainDisconnectsNobody(t *testing.T) {
	redisServer := redisserver.Start(t)
	var nodes []*node
	for range 3 {
		nodes = append(nodes, startNode(t, redisServer.Addr(), server.Options{}))
	}
	awaitMembers(t, nodes)
	var listeners [][]*listener // of each node
	for _, n := range nodes {
		var here []*listener
		for i := range 20 {
			rooms := [][]string{nil, {"room"}, {"room", "other"}}[i%3]
			here = append(here, listen(t, n, rooms...))
		}
		listeners = append(listeners, here)
	}
	speakers := speak(t, nodes, 30*time.Millisecond, everybody)
	hearEachOther(t, speakers, listeners)

	for round, events := range []int{70, 140} {
		redisServer.Kill()
		noticed := awaitBus(t, "degraded", nodes...)
		listeners[0][0].await(t, speakers[0].name, speakers[0].emitted()+events) // the outage, of two and of four seconds
		redisServer.Restart()
		start := time.Now()
		hearEachOther(t, speakers, listeners)
		back := time.Since(start)
		t.Logf("round %d: noticed after %v, remote delivery %v after the return", round, noticed, back)
		if back > backLimit {
			t.Errorf("remote delivery took %v after Redis was back, want at most %v", back, backLimit)
		}
		awaitBus(t, "up", nodes...)
		expectNothingLost(t, speakers, listeners)
	}
	for i, speaker := range speakers {
		for j, here := range listeners {
			for _, l := range here {
				if i == j {
					last := speaker.emitted()
					l.await(t, speaker.name, last)
					l.expectAll(t, speaker.name, 0, last)
				}
				l.expectNoneTwice(t, speaker.name)
				l.expectConnected(t)
			}
		}
	}
}

// hearEachOther waits until every listener has heard something that each speaker
// says after the call.
func hearEachOther(t *testing.T, speakers []*speaker, listeners [][]*listener) {
	t.Helper()
	for _, s := range speakers {
		from := s.emitted() + 1
		for _, here := range listeners {
			for _, l := range here {
				l.await(t, s.name, from)
			}
		}
	}
}

// expectNothingLost lets every speaker say fifty more things and checks that each
// listener hears them all.
func expectNothingLost(t *testing.T, speakers []*speaker, listeners [][]*listener) {
	t.Helper()
	first := make([]int, len(speakers))
	for i, s := range speakers {
		first[i] = s.emitted() + 1
	}
	for i, s := range speakers {
		last := first[i] + 50
		for _, here := range listeners {
			for _, l := range here {
				l.await(t, s.name, last)
				l.expectAll(t, s.name, first[i], last)
			}
		}
	}
}

// A node whose Redis does not run serves its own clients, says that it is
// degraded, and joins the others when Redis comes.
func TestRedis_AbsentAtTheStart(t *testing.T) {
	redisServer := redisserver.Start(t)
	redisServer.Kill()
	var nodes []*node
	for range 2 {
		start := time.Now()
		bus := overRedis(t, redisServer.Addr(), redis.Options{InterestRouting: true})
		nodes = append(nodes, startNodeOn(t, server.Options{Adapter: bus}))
		t.Logf("the node was made in %v", time.Since(start))
	}
	listeners := [][]*listener{{listen(t, nodes[0])}, {listen(t, nodes[1])}}
	rooms := make(chan error, len(nodes))
	for i, n := range nodes {
		if h := n.Health(); h.Bus != "degraded" || !h.Ready {
			t.Errorf("health is %+v, want ready and degraded", h)
		}
		// With interest routing a join waits for the cluster, which is not there, but not
		// for long.
		s := socketOf(t, n, listeners[i][0].id)
		go func() { rooms <- s.Join(context.Background(), "early") }()
	}
	for range nodes {
		if err := receive(t, "Join to give up", rooms); err == nil {
			t.Error("Join says that other nodes' broadcasts arrive")
		}
	}
	speakers := speak(t, nodes, 10*time.Millisecond, func(n *node) server.Broadcast { return n.To("early") })
	for i, s := range speakers {
		listeners[i][0].await(t, s.name, 50)
		listeners[i][0].expectAll(t, s.name, 0, 50)
	}

	redisServer.Restart()
	start := time.Now()
	hearEachOther(t, speakers, listeners)
	back := time.Since(start)
	t.Logf("remote delivery %v after Redis came", back)
	if back > backLimit {
		t.Errorf("remote delivery took %v after Redis came, want at most %v", back, backLimit)
	}
	awaitBus(t, "up", nodes...)
	awaitMembers(t, nodes)
	expectNothingLost(t, speakers, listeners)
}

// socketOf finds the socket of a client on its node.
func socketOf(t testing.TB, n *node, id string) *server.Socket {
	t.Helper()
	for _, s := range n.Of("/").Sockets() {
		if s.ID() == id {
			return s
		}
	}
	t.Fatalf("the node has no socket %s", id)
	return nil
}

// garbage is what another program might publish.
func garbage() map[string]string {
	return map[string]string{
		"empty":            "",
		"text":             "hello?",
		"random":           "\x93\xd4\x07\xc1\xff\x00\x82zzz",
		"array of 4G":      "\xdd\xff\xff\xff\xff",
		"map of 4G":        "\xdf\xff\xff\xff\xff",
		"string of 4G":     "\xdb\xff\xff\xff\xff",
		"binary of 4G":     "\xc6\xff\xff\xff\xff",
		"extension of 4G":  "\xc9\xff\xff\xff\xff\x01",
		"nested 4G":        "\x93\xa4evil\xdd\xff\xff\xff\xff",
		"nested arrays":    strings.Repeat("\x91", 200_000),
		"nested JSON":      strings.Repeat("[", 200_000),
		"nested in data":   "\x93\xa4evil\x83\xa4type\x02\xa4data\x92\xa1n" + strings.Repeat("\x91", 200_000) + "\x01\xa3nsp\xa1/\x83\xa5rooms\x90\xa6except\x90\xa5flags\x80",
		"no opts":          "\x92\xa4evil\x83\xa4type\x02\xa4data\x91\xa1n\xa3nsp\xa1/",
		"wrong opts":       "\x93\xa4evil\x83\xa4type\x02\xa4data\x91\xa1n\xa3nsp\xa1/\xa4opts",
		"wrong rooms":      "\x93\xa4evil\x83\xa4type\x02\xa4data\x91\xa1n\xa3nsp\xa1/\x83\xa5rooms\x2a\xa6except\x90\xa5flags\x80",
		"unknown type":     "\x93\xa4evil\x83\xa4type\x63\xa4data\x91\xa1n\xa3nsp\xa1/\x83\xa5rooms\x90\xa6except\x90\xa5flags\x80",
		"data is no array": "\x93\xa4evil\x83\xa4type\x02\xa4data\xa1n\xa3nsp\xa1/\x83\xa5rooms\x90\xa6except\x90\xa5flags\x80",
		"numbers for all":  "\x93\x01\x02\x03",
		"broken JSON":      `{"uid":"evil","type":`,
		"version 1, kind":  "\x01\x63",
		"version 1, 4G":    "\x01\x01\xff\xff\xff\xff\x0f",
		"truncated":        "\x93\xa4evil\x83\xa4type\x02\xa4da",
	}
}

// Garbage on every channel that the nodes listen to is dropped and counted; the
// next good message arrives.
func TestRedis_GarbageIsDroppedAndTheNextMessageArrives(t *testing.T) {
	nodes, redisAddr := startNodes(t)
	listeners := [][]*listener{{listen(t, nodes[0], "room")}, {listen(t, nodes[1], "room")}, {listen(t, nodes[2], "room")}}
	speakers := speak(t, nodes, 5*time.Millisecond, func(n *node) server.Broadcast { return n.To("room") })
	hearEachOther(t, speakers, listeners)

	client := goredis.NewClient(&goredis.Options{Addr: redisAddr})
	defer client.Close()
	channels, err := client.PubSubChannels(t.Context(), "*").Result()
	if err != nil {
		t.Fatal(err)
	}
	// Rooms and sockets' ids are heard through patterns, which have no list. What says that it is for all is for nobody
	// there, and its event is not read.
	toSocket := make(map[string]bool)
	for _, here := range listeners {
		channel := "socket.io#/#" + here[0].id + "#"
		channels, toSocket[channel] = append(channels, channel), true
	}
	before, published := dropped(nodes), uint64(0)
	heapBefore := heap()
	for _, channel := range channels {
		for name, message := range garbage() {
			heard, err := client.Publish(t.Context(), channel, message).Result()
			if err != nil {
				t.Fatalf("publish %s: %v", name, err)
			}
			if !toSocket[channel] || name != "nested in data" {
				published += uint64(heard)
			}
		}
	}
	eventually(t, "all garbage to be counted", func() bool { return dropped(nodes)-before >= published })
	hearEachOther(t, speakers, listeners)
	expectNothingLost(t, speakers, listeners)
	if grown := int64(heap()) - int64(heapBefore); grown > 64<<20 {
		t.Errorf("the heap grew by %d bytes", grown)
	}
	if counted := dropped(nodes) - before; counted != published {
		t.Errorf("%d of %d pieces of garbage were counted", counted, published)
	}
	for _, n := range nodes {
		if h := n.Health(); h.Bus != "up" {
			t.Errorf("health is %+v after garbage", h)
		}
	}
	for _, here := range listeners {
		here[0].expectConnected(t)
	}
}

// dropped counts what the nodes did not take for a message of theirs.
func dropped(nodes []*node) (sum uint64) {
	for _, n := range nodes {
		counts := n.Health().BusDropped
		sum += counts["malformed"] + counts["foreign"]
	}
	return sum
}

func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
