package server_test

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	gosync "sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/roomcast/roomcast/internal/testutil/rawclient"
	"github.com/roomcast/roomcast/pkg/adapter/memory"
	"github.com/roomcast/roomcast/pkg/server"
)

// The storm: emitters on two nodes, and clients that are cut off all the time and
// come back to either.
const (
	stormNodes    = 2
	stormEmitters = 4 // on each node
	stormClients  = 6
	stormCuts     = 40 // of each client
)

// storm is what the clients of a storm share.
type storm struct {
	servers []*server.Server
	urls    []string
	kept    []*store
	saved   gosync.Map // private id → chan struct{}: a value for each record that was kept
	fragile gosync.Map // private id → *rawclient.Client that is cut off when its record is taken
	over    atomic.Bool
}

// TestRecoveryStress_NothingIsLostAndNothingComesTwice counts the events of each
// emitter at each client: none may be missing, come twice, or come out of order.
func TestRecoveryStress_NothingIsLostAndNothingComesTwice(t *testing.T) {
	for name, lags := range map[string]bool{"in step": false, "one node lags": true} {
		t.Run(name, func(t *testing.T) {
			w := newStorm(t)
			var emitting, wandering, helping gosync.WaitGroup
			helping.Go(w.announce)
			if lags {
				helping.Go(w.lag)
			}
			clients := make([]*stormClient, stormClients)
			for i := range clients {
				clients[i] = w.arrive(t, i)
			}
			for node := range stormNodes {
				for i := range stormEmitters {
					emitting.Go(func() { w.emit(t, node, node*stormEmitters+i) })
				}
			}
			for i, c := range clients {
				wandering.Go(func() { c.roam(rand.New(rand.NewPCG(3, uint64(i)))) })
			}
			wandering.Wait()
			w.over.Store(true)
			emitting.Wait()
			for _, c := range clients {
				c.finish()
			}
			for _, kept := range w.kept {
				kept.saved <- ""
			}
			helping.Wait()
			var recovered, broken uint64
			for _, s := range w.servers {
				stats := s.Stats().Recoveries
				recovered += stats["complete"]
				broken += stats["unknown"]
				eventually(t, "no socket catches up", func() bool {
					held, offsets := server.Held(s.Of("/"))
					return held == 0 && offsets == 0
				})
			}
			t.Logf("%d recoveries, and %d attempts that broke off", recovered, broken)
		})
	}
}

func newStorm(t *testing.T) *storm {
	w := &storm{}
	bus := memory.New()
	for range stormNodes {
		kept := newStore(bus)
		kept.intervene(w.breakOff)
		s, url := kept.serve(t, server.Options{Recovery: &server.Recovery{MaxPackets: 1_000_000}})
		w.servers, w.urls, w.kept = append(w.servers, s), append(w.urls, url), append(w.kept, kept)
	}
	return w
}

// announce tells clients that their record is kept, until an empty private id comes.
func (w *storm) announce() {
	var each gosync.WaitGroup
	for _, kept := range w.kept {
		each.Go(func() {
			for pid := <-kept.saved; pid != ""; pid = <-kept.saved {
				w.records(pid) <- struct{}{}
			}
		})
	}
	each.Wait()
}

func (w *storm) records(pid string) chan struct{} {
	c, _ := w.saved.LoadOrStore(pid, make(chan struct{}, 10))
	return c.(chan struct{})
}

// breakOff cuts a client off in the middle of coming back.
func (w *storm) breakOff(step, pid string) error {
	if step == "taken" {
		if c, ok := w.fragile.LoadAndDelete(pid); ok {
			reset(c.(*rawclient.Client).Conn().NetConn())
			for range rand.IntN(1000) {
				runtime.Gosched()
			}
		}
	}
	return nil
}

// lag lets the second node's deliveries through in fits and starts.
func (w *storm) lag() {
	for !w.over.Load() {
		w.kept[1].lag()
		for range 10 {
			runtime.Gosched()
		}
		<-time.After(3 * time.Millisecond)
		w.kept[1].open()
		<-time.After(time.Millisecond)
	}
}

// emit sends one emitter's numbers until the storm is over: to all, to a room, or
// with nonsense between them that concerns nobody.
func (w *storm) emit(t *testing.T, node, emitter int) {
	s := w.servers[node]
	for n := 0; ; n++ {
		over := w.over.Load()
		b := s.Of("/").All()
		switch n % 4 {
		case 1:
			b = b.To("storm")
		case 2:
			b = b.To("storm", "nowhere").Except("elsewhere")
		case 3:
			_ = s.To("nowhere").Emit("nonsense")
		}
		if err := b.Emit("n", emitter, n, over); err != nil {
			t.Error(err)
		}
		if over {
			return
		}
		<-time.After(time.Duration(500+100*emitter) * time.Microsecond)
	}
}

// stormClient is a client of the storm.
type stormClient struct {
	t    *testing.T
	w    *storm
	node int
	*wanderer
	next  [stormNodes * stormEmitters]int // the number that is due, by emitter
	began [stormNodes * stormEmitters]bool
	ended int
}

func (w *storm) arrive(t *testing.T, i int) *stormClient {
	c := &stormClient{t: t, w: w, node: i % stormNodes}
	c.wanderer = wander(t, w.urls[c.node], "/", nil)
	c.Send(`21["join",["storm"]]`)
	c.Expect(`31[]`)
	return c
}

// roam is cut off again and again, after some events or in the middle of coming back.
func (c *stormClient) roam(random *rand.Rand) {
	for range stormCuts {
		for range 1 + random.IntN(20) {
			if !c.take() {
				return
			}
		}
		switch random.IntN(3) {
		case 0:
			reset(c.Conn().NetConn())
		case 1:
			_ = c.Conn().WriteControl(websocket.CloseMessage, nil, time.Now().Add(patience))
			c.drain()
		default:
			c.Close()
		}
		receive(c.t, c.w.records(c.pid))
		c.node = random.IntN(stormNodes)
		for random.IntN(4) == 0 {
			c.stumble()
		}
		c.Client = rawclient.Dial(c.t, c.w.urls[c.node], nil)
		c.Send("0" + c.credentials())
		if !c.takeUntilWelcome() {
			return
		}
	}
}

// drain takes what comes before the connection ends.
func (c *stormClient) drain() {
	for _, packet := range c.ExpectClose() {
		c.count(strings.TrimPrefix(packet, "4"))
	}
}

// stumble comes back, and is cut off in the moment in which its record is taken.
func (c *stormClient) stumble() {
	c.Client = rawclient.Dial(c.t, c.w.urls[c.node], nil)
	c.w.fragile.Store(c.pid, c.Client)
	c.Send("0" + c.credentials())
	receive(c.t, c.w.records(c.pid))
}

func (c *stormClient) takeUntilWelcome() bool {
	for {
		packet := c.Next()
		if sid, pid, ok := c.connected(packet); ok {
			if sid != c.sid || pid != c.pid {
				c.t.Errorf("a client started afresh")
				return false
			}
			return true
		}
		if !c.count(packet) {
			return false
		}
	}
}

// take reads one event.
func (c *stormClient) take() bool { return c.count(c.Next()) }

// count checks that an event is the one that is due from its emitter.
func (c *stormClient) count(packet string) bool {
	stripped, offset := cutOffset(packet)
	var emitter, number int
	var last bool
	if _, err := fmt.Sscanf(stripped, `2["n",%d,%d,%t]`, &emitter, &number, &last); err != nil || offset == "" {
		c.t.Errorf("got %q: %v", packet, err)
		return false
	}
	c.offset = offset
	if c.began[emitter] && number != c.next[emitter] {
		c.t.Errorf("from emitter %d came %d, want %d", emitter, number, c.next[emitter])
		return false
	}
	c.began[emitter], c.next[emitter] = true, number+1
	if last {
		c.ended++
	}
	return true
}

// finish reads to the last event of each emitter.
func (c *stormClient) finish() {
	for c.ended < len(c.next) && !c.t.Failed() {
		c.take()
	}
	if !c.t.Failed() {
		c.ExpectNothing("/")
	}
}
