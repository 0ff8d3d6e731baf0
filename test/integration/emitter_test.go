//go:build integration

package integration

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/roomcast/roomcast/internal/testutil/rawclient"
	"github.com/roomcast/roomcast/internal/testutil/redisserver"
	"github.com/roomcast/roomcast/pkg/adapter"
	"github.com/roomcast/roomcast/pkg/adapter/redis"
	"github.com/roomcast/roomcast/pkg/emitter"
	"github.com/roomcast/roomcast/pkg/server"
)

// startEmitter makes an emitter for classic pub/sub with a Redis client of its own. It is
// closed when the test ends.
func startEmitter(t testing.TB, redisAddr string, options redis.Options) *emitter.Emitter {
	t.Helper()
	return startEmitterOn(t, overRedis(t, redisAddr, options))
}

// startEmitterOn makes an emitter, which is closed when the test ends.
func startEmitterOn(t testing.TB, bus adapter.Adapter) *emitter.Emitter {
	t.Helper()
	e, err := emitter.New(bus, emitter.Options{Logger: errorLog(t.Output())})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeEmitter(t, e) })
	return e
}

func closeEmitter(t testing.TB, e *emitter.Emitter) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := e.Close(ctx); err != nil {
		t.Errorf("close the emitter: %v", err)
	}
}

// stage is a cluster of two nodes and a server of the reference, each with a client
// in the rooms "lobby", "listeners" and "own-N", and an emitter.
type stage struct {
	nodes   []*node
	clients []*rawclient.Client
	emitter *emitter.Emitter
}

func newStage(t *testing.T, k kind) *stage {
	t.Helper()
	addr := redisserver.Addr(t)
	s := &stage{}
	var urls []string
	for range 2 {
		n := startNodeOn(t, server.Options{Adapter: over(t, k, addr, redis.Options{NodeJS: true})})
		s.nodes = append(s.nodes, n)
		urls = append(urls, n.url)
	}
	urls = append(urls, startReference(t, 1, referenceOptions{Redis: "redis://" + addr, Adapter: k})[0].url)
	awaitMembers(t, s.nodes)
	for i, url := range urls {
		c, _ := rawclient.Join(t, url, "/", nil)
		c.Send(fmt.Sprintf(`20["join",["lobby","listeners","own-%d"]]`, i))
		if answer := c.Next(); !strings.HasPrefix(answer, "30[") { // that of the reference has a null
			t.Fatalf("got %q for the join", answer)
		}
		s.clients = append(s.clients, c)
	}
	s.emitter = startEmitterOn(t, over(t, k, addr, redis.Options{}))
	return s
}

// must is for what an emitter returns.
func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// awaitRoom waits until room has count sockets in the cluster.
func (s *stage) awaitRoom(t *testing.T, room string, count int) {
	t.Helper()
	eventually(t, fmt.Sprintf("%d sockets in the room %q", count, room), func() bool {
		sockets, err := s.nodes[0].To(room).FetchSockets(t.Context())
		must(t, err)
		return len(sockets) == count
	})
}

// onEachKind runs test with each adapter for Redis.
func onEachKind(t *testing.T, test func(t *testing.T, k kind)) {
	for _, k := range []kind{classic, sharded, streams} {
		t.Run(string(k), func(t *testing.T) { test(t, k) })
	}
}

func TestEmitter_ReachesTheSelectedClientsOfBothKindsOfServers(t *testing.T) {
	onEachKind(t, reachSelectedClients)
}

func reachSelectedClients(t *testing.T, k kind) {
	s := newStage(t, k)
	e, ctx := s.emitter, t.Context()
	must(t, e.Emit(ctx, "all", 1))
	must(t, e.To("lobby", "own-0").Except("own-1").Emit(ctx, "some", map[string]any{"x": []int{1, 2}}))
	must(t, e.To("own-1").Emit(ctx, "one"))
	must(t, e.To("lobby").Compress(false).Emit(ctx, "file", []byte("abc")))
	must(t, e.Of("/chat").Emit(ctx, "to nobody"))
	must(t, e.Of("/").ServerSideEmit(ctx, "tell servers", "reload", 7))
	for i, c := range s.clients {
		c.Expect(`2["all",1]`)
		if i == 1 {
			c.Expect(`2["one"]`)
		} else {
			c.Expect(`2["some",{"x":[1,2]}]`)
		}
		c.Expect(`51-["file",{"_placeholder":true,"num":0}]`, "binary:abc", `2["servers were told","reload",7]`)
	}
}

func TestEmitter_MovesAndDisconnectsTheClientsOfBothKindsOfServers(t *testing.T) {
	onEachKind(t, moveAndDisconnectClients)
}

func moveAndDisconnectClients(t *testing.T, k kind) {
	s := newStage(t, k)
	e, ctx := s.emitter, t.Context()
	must(t, e.To("lobby").Except("own-1").Join(ctx, "new", "newer"))
	s.awaitRoom(t, "newer", 2)
	// To two rooms, because that goes to every node: nobody says when a node that has got its first member of a room
	// hears what is emitted to that room alone.
	must(t, e.To("new", "newer").Emit(ctx, "welcome"))
	s.clients[0].Expect(`2["welcome"]`)
	s.clients[2].Expect(`2["welcome"]`)

	must(t, e.To("own-2").Leave(ctx, "new"))
	s.awaitRoom(t, "new", 1)
	must(t, e.To("new", "empty").Emit(ctx, "again"))
	s.clients[0].Expect(`2["again"]`)

	must(t, e.To("new", "own-2").Disconnect(ctx, false))
	s.clients[0].Expect(`1`)
	s.clients[2].Expect(`1`)
	must(t, e.Emit(ctx, "who is left?"))
	s.clients[1].Expect(`2["who is left?"]`)
	must(t, e.Of("/").All().Disconnect(ctx, true))
	if before := s.clients[1].ExpectClose(); len(before) == 0 || before[0] != "41" {
		t.Errorf("got %q before the end of the connection, want a DISCONNECT", before)
	}
}

func TestEmitter_CloseHandsOverWhatIsQueued(t *testing.T) {
	const events = 5000
	onEachKind(t, func(t *testing.T, k kind) {
		addr := redisserver.Addr(t)
		n := startNodeOn(t, server.Options{Adapter: over(t, k, addr, redis.Options{})})
		l := listen(t, n, "room")
		e := startEmitterOn(t, over(t, k, addr, redis.Options{}))
		for i := range events {
			must(t, e.To("room").Emit(t.Context(), "n", "emitter", i))
		}
		closeEmitter(t, e)
		l.await(t, "emitter", events-1)
		l.expectAll(t, "emitter", 0, events-1)
	})
}

// Redis is killed: the emitter does not wait, says when its queue is full, and goes
// on when Redis is back.
func TestEmitter_RedisKilledAndStartedAgain(t *testing.T) {
	redisServer := redisserver.Start(t)
	n := startNode(t, redisServer.Addr(), server.Options{})
	l := listen(t, n, "room")
	e := startEmitter(t, redisServer.Addr(), redis.Options{PublishQueueBytes: 64 << 10})
	number := 0
	say := func() error {
		number++
		return e.To("room").Emit(t.Context(), "n", "emitter", number, strings.Repeat("x", 1<<10))
	}
	must(t, say())
	l.await(t, "emitter", number)

	redisServer.Kill()
	start := time.Now()
	var err error
	for range 200 {
		if err = errors.Join(err, say()); errors.Is(err, emitter.ErrQueueFull) {
			break
		}
	}
	if !errors.Is(err, emitter.ErrQueueFull) {
		t.Errorf("got %v with a full queue, want ErrQueueFull", err)
	}
	if waited := time.Since(start); waited > time.Second {
		t.Errorf("the emitter waited %v for a Redis that is away", waited)
	}

	redisServer.Restart()
	back := number + 1
	eventually(t, "the emitter to be heard again", func() bool {
		_ = say() // the queue may still be full
		l.mu.Lock()
		defer l.mu.Unlock()
		heard := l.heard["emitter"]
		return heard[len(heard)-1] >= back
	})
	l.expectNoneTwice(t, "emitter")
	l.expectConnected(t)
}

func TestEmitter_RedisAbsentAtTheStart(t *testing.T) {
	redisServer := redisserver.Start(t)
	redisServer.Kill()
	e := startEmitter(t, redisServer.Addr(), redis.Options{})
	start := time.Now()
	must(t, e.Emit(t.Context(), "n", "emitter", 0))
	if waited := time.Since(start); waited > 2*time.Second {
		t.Errorf("the emitter waited %v for a Redis that is away", waited)
	}
	redisServer.Restart()
	l := listen(t, startNode(t, redisServer.Addr(), server.Options{}))
	number := 0
	eventually(t, "the emitter to be heard", func() bool {
		number++
		must(t, e.Emit(t.Context(), "n", "emitter", number))
		l.mu.Lock()
		defer l.mu.Unlock()
		return len(l.heard["emitter"]) > 0
	})
}
