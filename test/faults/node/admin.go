package node

import (
	"context"
	"encoding/json"
	"net/http"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/roomcast/roomcast/pkg/adapter"
	"github.com/roomcast/roomcast/pkg/server"
	"github.com/roomcast/roomcast/test/faults/client"
	"github.com/roomcast/roomcast/test/faults/tally"
)

// admin serves the bench's orders and questions. All answers are JSON.
func (n *node) admin() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /emit", n.emit)
	mux.HandleFunc("POST /flood", n.flood)
	mux.HandleFunc("POST /fetch", n.fetch)
	mux.HandleFunc("POST /ask", n.ask)
	mux.HandleFunc("POST /settle", n.settle)
	mux.HandleFunc("GET /state", func(w http.ResponseWriter, _ *http.Request) { answer(w, n.state()) })
	mux.HandleFunc("GET /readyz", n.ready)
	return mux
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // the bench has gone if it fails
}

// number reads a whole number from the request's query.
func number(r *http.Request, name string) int {
	v, _ := strconv.Atoi(r.URL.Query().Get(name)) // the bench writes it
	return v
}

// selected returns the sockets that a selection means.
func (n *node) selected(selection int) server.Broadcast {
	if selection == tally.Everybody {
		return n.main.All()
	}
	return n.main.To(Room(selection))
}

// emit sends one numbered message.
func (n *node) emit(w http.ResponseWriter, r *http.Request) {
	to := n.selected(number(r, "selection"))
	size := number(r, "size")
	n.emitting.Lock()
	defer n.emitting.Unlock()
	n.number++
	sent := Sent{Number: n.number, At: time.Now()}
	if err := to.Emit(client.Event, client.Text(n.config.Sender, n.number, size)); err != nil {
		sent.Number, sent.Error = 0, err.Error()
	}
	answer(w, sent)
}

// flood sends to a room at a rate for a while, without numbers, and answers when
// all has been sent that is due by then.
func (n *node) flood(w http.ResponseWriter, r *http.Request) {
	to := n.selected(number(r, "selection"))
	text := strings.Repeat("x", number(r, "size"))
	rate, span := number(r, "rate"), time.Duration(number(r, "milliseconds"))*time.Millisecond
	due := func(passed time.Duration) int { return int(min(passed, span).Seconds() * float64(rate)) }
	const step = 10 * time.Millisecond
	tick := time.NewTicker(step)
	defer tick.Stop()
	start, sent := time.Now(), 0
	for sent < due(span) {
		select {
		case <-r.Context().Done():
			return // the bench has gone
		case now := <-tick.C:
			for ; sent < due(now.Sub(start)); sent++ {
				_ = to.Emit("flood", text) // a full publish queue is counted
			}
		}
	}
	answer(w, sent)
}

// fetch asks all nodes for their sockets.
func (n *node) fetch(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), time.Duration(number(r, "milliseconds"))*time.Millisecond)
	defer cancel()
	sockets, err := n.main.All().FetchSockets(ctx)
	found := Found{Sockets: len(sockets), Rooms: make(map[string]int)}
	for _, s := range sockets {
		for _, room := range s.Rooms {
			if room != s.ID {
				found.Rooms[room]++
			}
		}
	}
	if err != nil {
		found.Error = err.Error()
	}
	answer(w, found)
}

// ask broadcasts to all and waits for their acknowledgements.
func (n *node) ask(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), time.Duration(number(r, "milliseconds"))*time.Millisecond)
	defer cancel()
	start := time.Now()
	answers, err := server.CallAll[string](ctx, n.main.All(), "ask", "well?").Wait()
	asked := Asked{Answers: len(answers), Took: time.Since(start)}
	if err != nil {
		asked.Error = err.Error()
	}
	answer(w, asked)
}

// shrinks is how many collections it takes until a stack that has grown is small
// again: each halves it.
const shrinks = 5

// settle does at once what a quiet hour does: it gives memory back that is not in
// use, so that what the system counts is what is needed.
func (n *node) settle(w http.ResponseWriter, _ *http.Request) {
	for range shrinks {
		runtime.GC()
	}
	debug.FreeOSMemory()
	answer(w, true)
}

func (n *node) ready(w http.ResponseWriter, _ *http.Request) {
	health := n.server.Health()
	if !health.Ready {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	answer(w, map[string]any{"ready": health.Ready, "bus": health.Bus, "nodes": health.Nodes})
}

func (n *node) state() State {
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	health, stats := n.server.Health(), n.server.Stats()
	s := State{
		Goroutines: busyGoroutines(), Heap: memory.HeapAlloc,
		Ready: health.Ready, Bus: health.Bus, Dropped: health.BusDropped, Others: len(health.Nodes),
		SlowConsumers: stats.SlowConsumers, Panics: stats.Panics, Recoveries: stats.Recoveries,
	}
	for _, sessions := range stats.Sessions {
		s.Sessions += sessions
	}
	if reporter, ok := n.bus.(adapter.Reporter); ok {
		status := reporter.Status()
		s.Interruptions, s.Gaps = status.Interruptions, status.Gaps
		s.LogGaps, s.LogResets, s.Repeated = status.LogGaps, status.LogResets, status.Repeated
	}
	return s
}
