//go:build integration

package integration

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/roomcast/roomcast/internal/testutil/redisserver"
	"github.com/roomcast/roomcast/internal/testutil/tcpproxy"
	"github.com/roomcast/roomcast/pkg/adapter/redis"
	"github.com/roomcast/roomcast/pkg/server"
)

// What the stress consists of. STREAMS_STRESS is how many seconds it lasts, and
// STREAMS_SEED makes it choose as it did before.
const (
	stressTime      = 12 * time.Second
	stressWanderers = 24
	stressNodes     = 3
)

// outpost is a node with a way to Redis of its own.
type outpost struct {
	*node
	proxy  *tcpproxy.Proxy
	client *goredis.Client
	herald *herald
}

// herald says numbered things through one node.
type herald struct {
	name   string
	number int // of the last that was accepted
	dead   atomic.Bool
	stop   context.CancelFunc
	ended  chan struct{}
}

// stress is a cluster that is being tormented.
type stress struct {
	t         *testing.T
	redis     *redisserver.Server
	admin     *goredis.Client
	wanderers []*wanderer
	work      sync.WaitGroup
	heralds   []*herald
	chance    *rand.Rand
	deeds     map[string]int
	opened    int // nodes
	openings  sync.WaitGroup

	mu    sync.Mutex
	posts []*outpost // those that live
}

// open starts a node. Its herald is the one with that number.
func (s *stress) open(number int, seed uint64) {
	p, err := s.newOutpost()
	if err != nil {
		s.t.Error(err)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	p.herald = s.speak(p, fmt.Sprintf("h%d", number), rand.New(rand.NewPCG(seed, 1)))
	s.heralds = append(s.heralds, p.herald)
	s.posts = append(s.posts, p)
}

func (s *stress) newOutpost() (*outpost, error) {
	proxy, err := tcpproxy.Launch(s.redis.Addr())
	if err != nil {
		return nil, err
	}
	s.t.Cleanup(proxy.Close)
	p := &outpost{proxy: proxy, client: goredis.NewClient(&goredis.Options{Addr: proxy.Addr()})}
	log := errorLog(s.t.Output())
	bus, err := redis.NewStreams(p.client, redis.StreamsOptions{MaxLen: 1_000_000, Options: redis.Options{Logger: log}})
	if err != nil {
		return nil, err
	}
	options := mortal()
	options.Adapter, options.Recovery, options.Logger = bus, new(server.Recovery), log
	options.PingInterval, options.PingTimeout = time.Second, time.Second
	if p.node, err = newNode(options); err != nil {
		return nil, err
	}
	n := p.Of(crossroads)
	server.Handle(n, "enter", func(ctx context.Context, s *server.Socket, rooms []string) (int, error) {
		if err := s.Join(ctx, rooms...); err != nil {
			return 0, err
		}
		return len(rooms), s.Emit("entered")
	})
	server.Handle(n, "rooms", func(_ context.Context, s *server.Socket, _ int) ([]string, error) { return s.Rooms(), nil })
	return p, nil
}

// speak says things to everybody, to rooms, and to single wanderers.
func (s *stress) speak(p *outpost, name string, chance *rand.Rand) *herald {
	ctx, stop := context.WithCancel(s.t.Context())
	h := &herald{name: name, stop: stop, ended: make(chan struct{})}
	s.work.Go(func() {
		defer close(h.ended)
		for ctx.Err() == nil {
			for range 1 + chance.IntN(4) {
				to := s.audience(chance)
				said := saying{h.name, h.number + 1, to}
				b := p.Of(crossroads).All()
				if to != "" {
					b = b.To(to)
				}
				if b.Emit("said", said.String()) == nil {
					h.number++
				}
			}
			rest(ctx, time.Duration(chance.IntN(20))*time.Millisecond)
		}
	})
	return h
}

func (s *stress) audience(chance *rand.Rand) string {
	switch n := chance.IntN(6); {
	case n < 2:
		return ""
	case n < 5:
		return fmt.Sprintf("room%d", chance.IntN(4))
	}
	if id := s.wanderers[chance.IntN(len(s.wanderers))].here.Load(); id != nil {
		return *id
	}
	return "room0"
}

// somewhere is the URL of a node that lives.
func (s *stress) somewhere() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.posts[rand.IntN(len(s.posts))].url
}

// kill ends a node without a goodbye, and starts another one in its place.
func (s *stress) kill() {
	s.mu.Lock()
	if len(s.posts) < 2 {
		s.mu.Unlock()
		return
	}
	i := s.chance.IntN(len(s.posts))
	p := s.posts[i]
	s.posts = append(s.posts[:i:i], s.posts[i+1:]...)
	s.mu.Unlock()
	p.herald.dead.Store(true)
	p.proxy.Refuse()
	p.die()
	s.bury(p)
	s.replace()
}

// replace has a new node started beside all that goes on.
func (s *stress) replace() {
	s.opened++
	number, seed := s.opened, s.chance.Uint64()
	s.openings.Go(func() { s.open(number, seed) })
}

// bury ends what is left of a node that was killed.
func (s *stress) bury(p *outpost) {
	p.herald.stop()
	s.work.Go(func() {
		<-p.herald.ended
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		_ = p.Shutdown(ctx) // what could not be written is lost, as its process would be
		p.web.Close()
		_ = p.client.Close()
	})
}

func (s *stress) post() *outpost {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.posts[s.chance.IntN(len(s.posts))]
}

// torment does evil until ctx ends: to a client every now and then, and about once in a
// second to Redis or a node.
func (s *stress) torment(ctx context.Context) {
	var next time.Time
	for rest(ctx, time.Second); ctx.Err() == nil; rest(ctx, time.Duration(s.chance.IntN(200))*time.Millisecond) {
		if time.Now().After(next) {
			s.deeds[s.strike(ctx)]++
			next = time.Now().Add(time.Duration(1200+s.chance.IntN(1600)) * time.Millisecond)
		}
		w := s.wanderers[s.chance.IntN(len(s.wanderers))]
		if s.chance.IntN(2) == 0 {
			s.deeds["clients cut"]++
			w.cut()
		} else {
			s.deeds["clients moved"]++
			w.move(ctx)
		}
	}
}

// strike says what it has done.
func (s *stress) strike(ctx context.Context) string {
	switch s.chance.IntN(10) {
	case 0, 1, 2, 3:
		s.kill()
		return "nodes killed"
	case 4:
		s.redis.Kill()
		rest(ctx, time.Duration(s.chance.IntN(500))*time.Millisecond)
		s.redis.Restart()
		return "Redis killed"
	case 5:
		_ = s.admin.ClientKillByFilter(ctx, "TYPE", "normal", "SKIPME", "yes").Err()
		return "all connections killed"
	case 6:
		_ = s.admin.ClientKillByFilter(ctx, "TYPE", "pubsub").Err()
		return "subscribers killed"
	case 7:
		s.post().proxy.Reset()
		return "nodes reset"
	default:
		s.isolate(ctx, s.post())
		return "nodes cut off"
	}
}

// isolate lets nothing pass between a node and Redis for a while.
func (s *stress) isolate(ctx context.Context, p *outpost) {
	p.proxy.Hold([]tcpproxy.Direction{tcpproxy.Requests, tcpproxy.Replies, tcpproxy.Both}[s.chance.IntN(3)])
	d := time.Duration(s.chance.IntN(2000)) * time.Millisecond
	s.work.Go(func() {
		rest(ctx, d)
		if !p.herald.dead.Load() {
			_ = p.proxy.Resume()
		}
	})
}

// Nodes, connections and Redis end at random under clients that come back. Each of those
// has heard what was for it once and in one order with all others, or has begun a new life.
func TestStreams_WhoComesBackHasHeardAllInOneOrder(t *testing.T) {
	length, seed := stressTime, uint64(time.Now().UnixNano())
	if n, err := strconv.Atoi(os.Getenv("STREAMS_STRESS")); err == nil {
		length = time.Duration(n) * time.Second
	}
	if n, err := strconv.ParseUint(os.Getenv("STREAMS_SEED"), 10, 64); err == nil {
		seed = n
	}
	t.Logf("STREAMS_SEED=%d", seed)
	r := redisserver.Start(t, "--appendonly", "yes", "--appendfsync", "always")
	s := &stress{
		t: t, redis: r, admin: goredis.NewClient(&goredis.Options{Addr: r.Addr()}),
		chance: rand.New(rand.NewPCG(seed, 0)), deeds: make(map[string]int),
	}
	defer s.admin.Close()
	for i := range stressWanderers {
		s.wanderers = append(s.wanderers, &wanderer{rooms: []string{fmt.Sprintf("room%d", i%4), "everywhere"}, place: s.somewhere})
	}
	for range stressNodes {
		s.replace()
	}
	s.openings.Wait()
	ctx, stop := context.WithCancel(t.Context())
	for _, w := range s.wanderers {
		s.work.Go(func() { w.run(ctx) })
	}
	storm, calm := context.WithTimeout(ctx, length)
	s.torment(storm)
	calm()
	s.finish(stop)
	s.judge()
}

// finish lets everybody hear the end, and ends everything.
func (s *stress) finish(stop context.CancelFunc) {
	s.t.Helper()
	s.openings.Wait()
	for _, p := range s.posts {
		_ = p.proxy.Resume()
	}
	s.awaitClients()
	for _, p := range s.posts {
		p.herald.stop()
		<-p.herald.ended
		h := p.herald
		h.number++
		if err := p.Of(crossroads).Emit("said", saying{h.name, h.number, ""}.String()); err != nil {
			s.t.Error(err)
		}
	}
	rest(s.t.Context(), 2*time.Second)
	s.expectEachOnce()
	stop()
	for _, p := range s.posts {
		s.bury(p)
	}
	s.work.Wait()
}

// awaitClients waits until everybody is back.
func (s *stress) awaitClients() {
	s.t.Helper()
	var nodes []*node
	for _, p := range s.posts {
		nodes = append(nodes, p.node)
	}
	awaitBus(s.t, "up", nodes...)
	for i, w := range s.wanderers {
		eventually(s.t, fmt.Sprintf("wanderer %d to be back", i), func() bool { return w.here.Load() != nil })
	}
}

// expectEachOnce checks that each wanderer has one socket in the cluster.
func (s *stress) expectEachOnce() {
	s.t.Helper()
	sockets := make(map[string]int)
	for _, p := range s.posts {
		for _, socket := range p.Of(crossroads).Sockets() {
			sockets[socket.ID()]++
		}
	}
	for i, w := range s.wanderers {
		if id := w.here.Load(); id == nil || sockets[*id] != 1 {
			s.t.Errorf("wanderer %d has not one socket", i)
		}
	}
}

// judge compares what was heard with the log.
func (s *stress) judge() {
	s.t.Helper()
	log := readLore(s.t, s.admin)
	log.expectInOrder(s.t, s.heralds)
	var lives, recoveries, heard, bare int
	for i, w := range s.wanderers {
		for j, life := range w.lives {
			lives++
			recoveries += life.recoveries
			heard += len(life.heard)
			if life.bare {
				bare++
			}
			who := fmt.Sprintf("wanderer %d in its life %d of %d with id %s and %d recoveries", i, j+1, len(w.lives), life.id, life.recoveries)
			log.expectWhole(s.t, who, w.rooms, life, j == len(w.lives)-1)
		}
	}
	s.t.Logf("%v: %d events in the log (%d written twice) of %d speakers, %d heard by %d clients in %d lives (%d of them without rooms), %d recoveries",
		s.deeds, len(log.said), log.repeats, len(s.heralds), heard, len(s.wanderers), lives, bare, recoveries)
	if recoveries == 0 {
		s.t.Error("nobody has recovered")
	}
}
