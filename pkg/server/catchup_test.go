package server_test

import (
	"fmt"
	"slices"
	gosync "sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/roomcast/roomcast/internal/testutil/rawclient"
	"github.com/roomcast/roomcast/pkg/adapter"
	"github.com/roomcast/roomcast/pkg/server"
)

// A node that has joined after the client was cut off has delivered nothing yet, and its
// deliveries begin at an offset of another topic.
func TestCatchUp_OnANodeThatHasDeliveredNothing(t *testing.T) {
	servers, urls, ways := streaming(t, 1, server.Options{Recovery: &server.Recovery{}})
	w := wander(t, urls[0], "/", nil)
	emit(t, servers[0], 1)
	w.events(`2["n",1]`)
	ways[0].kept(t, w.pid, "a record", func(*adapter.Record) bool { return true })
	w.Close()
	eventually(t, "the end", func() bool { return len(servers[0].Of("/").Sockets()) == 0 })
	emit(t, servers[0], 2, 3)
	way := ways[0].stream.node()
	late, url := start(t, server.Options{Adapter: way, Recovery: &server.Recovery{}, CloseTimeout: 100 * time.Millisecond})
	meet(t, append(servers, late))
	w.recovers(url, `2["n",2]`, `2["n",3]`)
	emit(t, servers[0], 4)
	w.events(`2["n",4]`)
	w.ExpectNothing("/")
}

// The client knows, or has missed, more than its node has delivered; in between are
// entries of other topics. However far the node is, each event comes once.
func TestCatchUp_NodeLagsOnALogOfManyTopics(t *testing.T) {
	for delivered := range 2 {
		for _, missed := range []int{0, 2} {
			t.Run(fmt.Sprintf("%d delivered, %d missed", delivered, missed), func(t *testing.T) {
				servers, urls, ways := streaming(t, 2, server.Options{Recovery: &server.Recovery{}})
				w := wander(t, urls[0], "/", nil)
				if delivered == 0 {
					ways[1].lag(true)
				}
				noise := func() { errs(t, servers[0].Of("/noise").Emit("n")) }
				noise()
				emit(t, servers[0], 1)
				noise()
				w.events(`2["n",1]`)
				ways[0].kept(t, w.pid, "a record", func(*adapter.Record) bool { return true })
				w.Close()
				eventually(t, "the end", func() bool { return len(servers[0].Of("/").Sockets()) == 0 })
				var want []string
				for n := range missed {
					emit(t, servers[0], 2+n)
					noise()
					want = append(want, fmt.Sprintf(`2["n",%d]`, 2+n))
				}
				w.Client = rawclient.Dial(t, urls[1], nil)
				w.Send("0" + w.credentials())
				eventually(t, "the socket as a receiver", func() bool { return len(servers[1].Of("/").Sockets()) == 1 })
				emit(t, servers[0], 9)
				ways[1].lag(false)
				if got, recovered := w.welcome(); !recovered || !slices.Equal(got, want) {
					t.Fatalf("recovered: %v, missed %q, want %q", recovered, got, want)
				}
				w.events(`2["n",9]`)
				w.ExpectNothing("/")
			})
		}
	}
}

// A client whose offset is of an earlier session, in which it has not been for long,
// gets nothing that was not meant for the socket of its record.
func TestCatchUp_OffsetFromBeforeTheSession(t *testing.T) {
	servers, urls, ways := streaming(t, 2, server.Options{Recovery: &server.Recovery{}})
	w := wander(t, urls[0], "/", nil)
	emit(t, servers[0], 1)
	w.events(`2["n",1]`)
	w.Send("1")
	eventually(t, "the end", func() bool { return len(servers[0].Of("/").Sockets()) == 0 })
	emit(t, servers[0], 2)
	eventually(t, "the delivery", func() bool { return ways[0].idle() })
	w.Client = rawclient.Dial(t, urls[0], nil)
	w.enter()
	ways[0].kept(t, w.pid, "a record", func(*adapter.Record) bool { return true })
	w.Close()
	eventually(t, "the end", func() bool { return len(servers[0].Of("/").Sockets()) == 0 })
	w.recovers(urls[1])
	emit(t, servers[0], 3)
	w.events(`2["n",3]`)
}

// What is behind what the client waits for is not taken for known.
func TestCatchUp_WhatIsDeliveredInsteadIsNotLost(t *testing.T) {
	servers, urls, ways := streaming(t, 2, server.Options{Recovery: &server.Recovery{}})
	w := wander(t, urls[0], "/", nil)
	ways[1].lag(true)
	emit(t, servers[0], 1)
	w.events(`2["n",1]`)
	ways[0].kept(t, w.pid, "a record", func(*adapter.Record) bool { return true })
	w.Close()
	eventually(t, "the end", func() bool { return len(servers[0].Of("/").Sockets()) == 0 })
	ways[1].drop() // the node never delivers what its client knows
	w.Client = rawclient.Dial(t, urls[1], nil)
	w.Send("0" + w.credentials())
	eventually(t, "the socket as a receiver", func() bool { return len(servers[1].Of("/").Sockets()) == 1 })
	emit(t, servers[0], 2)
	ways[1].lag(false)
	if got, recovered := w.welcome(); !recovered || len(got) > 0 {
		t.Fatalf("recovered: %v, missed %q", recovered, got)
	}
	w.events(`2["n",2]`)
}

// A node was killed, and all its clients come back at once: each reads the log once, and
// misses nothing.
func TestCatchUp_StormReadsTheLogOncePerClient(t *testing.T) {
	clients := 1000
	if testing.Short() {
		clients = 100
	}
	servers, urls, ways := streaming(t, 3, server.Options{Recovery: &server.Recovery{}})
	var all []*wanderer
	for range clients {
		all = append(all, wander(t, urls[0], "/", nil))
	}
	emit(t, servers[0], 1)
	for _, w := range all {
		w.events(`2["n",1]`)
	}
	eventually(t, "all records", func() bool { return ways[0].saves.Load() >= int64(clients) })
	errs(t, servers[0].Shutdown(t.Context()))
	ways[0].kill()
	emit(t, servers[1], 2, 3)
	eventually(t, "the delivery", func() bool { return ways[1].idle() && ways[2].idle() })
	began := time.Now()
	var back gosync.WaitGroup
	slots := make(chan struct{}, 100)
	for i, w := range all {
		slots <- struct{}{}
		back.Go(func() {
			w.recovers(urls[1+i%2], `2["n",2]`, `2["n",3]`)
			<-slots
		})
	}
	back.Wait()
	t.Logf("%d clients were back after %v", clients, time.Since(began))
	if n := ways[1].reads.Load() + ways[2].reads.Load(); n > int64(clients) {
		t.Errorf("%d clients have read the log %d times", clients, n)
	}
	emit(t, servers[1], 4)
	for _, w := range all {
		w.events(`2["n",4]`)
	}
}

// What cuts a node off from its backend often cuts clients off too, who are quick: they
// are patient with the node for a moment.
func TestCatchUp_BackendIsAwayForAMoment(t *testing.T) {
	for away, recovers := range map[time.Duration]bool{0: true, 600 * time.Millisecond: true, 3 * time.Second: false} {
		t.Run(away.String(), func(t *testing.T) {
			inStreamBubble(t, server.Options{Recovery: &server.Recovery{}}, func(t *testing.T, s *server.Server, way *streamNode, dial rawclient.Dialer) {
				w := wander(t, pipeURL, "/", dial)
				emit(t, s, 1)
				w.events(`2["n",1]`)
				time.Sleep(time.Second)
				w.Close()
				synctest.Wait()
				way.away.Store(true)
				time.AfterFunc(away, func() { way.away.Store(false) })
				began := time.Now()
				_, recovered := w.back(pipeURL)
				if took := time.Since(began); recovered != recovers || took > outageEnds(away) {
					t.Errorf("recovered: %v after %v", recovered, took)
				}
				for _, newcomer := range []string{"0", `0{"pid":"x","offset":"1-0"}`} {
					began := time.Now()
					c := rawclient.Dial(t, pipeURL, dial)
					c.Send(newcomer)
					c.Next()
					if took := time.Since(began); took > 0 && !(away > 2*time.Second && newcomer != "0") {
						t.Errorf("a new client waited for %v", took)
					}
				}
				way.away.Store(false)
			})
		})
	}
}

// outageEnds is when a client has its answer at the latest.
func outageEnds(away time.Duration) time.Duration {
	return min(away+100*time.Millisecond, 2*time.Second)
}

// An error of no outage is tried once more, and then it is a fresh start.
func TestCatchUp_StepThatFailsIsTriedTwice(t *testing.T) {
	for failures, recovers := range map[int64]bool{1: true, 2: false} {
		inStreamBubble(t, server.Options{Recovery: &server.Recovery{}}, func(t *testing.T, s *server.Server, way *streamNode, dial rawclient.Dialer) {
			w := wander(t, pipeURL, "/", dial)
			emit(t, s, 1)
			w.events(`2["n",1]`)
			time.Sleep(time.Second)
			w.Close()
			synctest.Wait()
			way.broken.Store(failures)
			if _, recovered := w.back(pipeURL); recovered != recovers {
				t.Errorf("after %d failures recovered: %v", failures, recovered)
			}
		})
	}
}

// The record was taken: it is there again before the client knows that it is back.
func TestCatchUp_RecordIsThereWhenTheClientIsBack(t *testing.T) {
	inStreamBubble(t, server.Options{Recovery: &server.Recovery{}}, func(t *testing.T, s *server.Server, way *streamNode, dial rawclient.Dialer) {
		w := wander(t, pipeURL, "/", dial)
		emit(t, s, 1)
		w.events(`2["n",1]`)
		time.Sleep(time.Second)
		for range 3 {
			before := way.record(w.pid)
			w.Close()
			w.recovers(pipeURL)
			if r := way.record(w.pid); r == nil || r.Incarnation == before.Incarnation {
				t.Errorf("the record is %+v after %+v", r, before)
			}
		}
	})
}
