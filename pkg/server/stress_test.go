package server_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	gosync "sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/roomcast/roomcast/pkg/server"
)

// The crowd of the stress test. Residents stay in their rooms, so that what they
// must get is known exactly; nomads join, leave, vanish and come back all the
// time, and must get nothing twice, out of order, or after they have left.
const (
	crowdNodes     = 3
	crowdRooms     = 5
	crowdResidents = 18
	crowdNomads    = 9
	crowdMessages  = 400 // of each resident
	crowdMoves     = 150 // of each nomad
)

// said is a message of the crowd.
type said struct {
	Sender int    // its number; a nomad that comes back has a new one
	Number int    // counts a sender's messages
	Room   string // where it went
	Begin  int64  // the moment, on the crowd's clock, before it was emitted
}

// crowd is the world of the stress test.
type crowd struct {
	t       *testing.T
	urls    []string
	clock   atomic.Int64
	numbers atomic.Int64 // of nomads
}

// TestStress_CrowdOnThreeNodes compares what clients get with what a model says.
func TestStress_CrowdOnThreeNodes(t *testing.T) {
	servers, urls := cluster(t, crowdNodes)
	w := &crowd{t: t, urls: urls}
	w.numbers.Store(crowdResidents)
	for _, s := range servers {
		w.serve(s.Of("/"))
	}
	residents := make([]*resident, crowdResidents)
	for i := range residents {
		residents[i] = w.settle(i)
	}
	var nomads, speaking, listening gosync.WaitGroup
	for i := range crowdNomads {
		nomads.Go(func() { w.roam(rand.New(rand.NewPCG(1, uint64(i)))) })
	}
	for i, r := range residents {
		listening.Go(func() { r.listen() })
		speaking.Go(func() { r.speak(rand.New(rand.NewPCG(2, uint64(i)))) })
	}
	speaking.Wait()
	nomads.Wait()
	listening.Wait()
	for i, s := range servers {
		if n, want := len(s.Of("/").Sockets()), crowdResidents/crowdNodes; n > want {
			eventually(t, fmt.Sprintf("node %d without nomads", i), func() bool { return len(s.Of("/").Sockets()) == want })
		}
	}
}

// serve registers what the crowd does.
func (w *crowd) serve(ns *server.Namespace) {
	joining(ns)
	server.On(ns, "leave", func(_ context.Context, s *server.Socket, room string) error { s.Leave(room); return nil })
	server.On(ns, "say", func(_ context.Context, s *server.Socket, m said) error {
		m.Begin = w.clock.Add(1)
		return s.To(m.Room).Emit("said", m)
	})
	server.On(ns, "end", func(_ context.Context, s *server.Socket, sender int) error {
		return s.Broadcast().Emit("ended", sender)
	})
}

func roomName(n int) string { return fmt.Sprintf("room%d", n) }

// guest is a client of the crowd. What it gets beside the answers to its own
// requests goes to heard.
type guest struct {
	w      *crowd
	conn   *websocket.Conn
	asked  int
	last   map[int]int // the last message of each sender
	heard  func(event string, argument json.RawMessage)
	writes gosync.Mutex
}

func (w *crowd) visit(url string) (*guest, error) {
	dialer := websocket.Dialer{HandshakeTimeout: patience}
	conn, response, err := dialer.Dial("ws"+strings.TrimPrefix(url, "http")+"/socket.io/?"+socketQuery, nil)
	if err != nil {
		return nil, err
	}
	_ = response.Body.Close()
	g := &guest{w: w, conn: conn, last: make(map[int]int), heard: func(string, json.RawMessage) {}}
	if err := g.write("40"); err != nil {
		return nil, err
	}
	for {
		text, err := g.read()
		if err != nil || strings.HasPrefix(text, `40{"sid"`) {
			return g, err
		}
	}
}

func (g *guest) write(text string) error {
	g.writes.Lock()
	defer g.writes.Unlock()
	_ = g.conn.SetWriteDeadline(time.Now().Add(patience))
	return g.conn.WriteMessage(websocket.TextMessage, []byte(text))
}

// read returns the next packet and answers pings.
func (g *guest) read() (string, error) {
	for {
		_ = g.conn.SetReadDeadline(time.Now().Add(patience))
		_, data, err := g.conn.ReadMessage()
		if err != nil || string(data) != "2" {
			return string(data), err
		}
		if err := g.write("3"); err != nil {
			return "", err
		}
	}
}

// take checks a packet: each sender's messages come in order, none of them twice.
func (g *guest) take(text string) {
	data, ok := strings.CutPrefix(text, "42")
	var event string
	var argument json.RawMessage
	if !ok || json.Unmarshal([]byte(data), &[]any{&event, &argument}) != nil {
		g.w.t.Errorf("got the packet %q", text)
		return
	}
	if event == "said" {
		var m said
		if err := json.Unmarshal(argument, &m); err != nil {
			g.w.t.Errorf("%q: %v", argument, err)
		}
		if last, known := g.last[m.Sender]; known && m.Number <= last {
			g.w.t.Errorf("message %d of sender %d came after %d", m.Number, m.Sender, last)
		}
		g.last[m.Sender] = m.Number
	}
	g.heard(event, argument)
}

// ask sends an event and takes what comes until its acknowledgement.
func (g *guest) ask(event, argument string) error {
	g.asked++
	if err := g.write(fmt.Sprintf(`42%d[%q,%s]`, g.asked, event, argument)); err != nil {
		return err
	}
	for {
		text, err := g.read()
		switch {
		case err != nil:
			return err
		case text == fmt.Sprintf("43%d[]", g.asked):
			return nil
		}
		g.take(text)
	}
}

// resident is a guest whose rooms never change.
type resident struct {
	*guest
	number int
	rooms  map[string]bool
	counts map[int]int // messages of each resident that came
	ended  map[int]int // residents that have said everything, and how much of it was for us
}

func (w *crowd) settle(number int) *resident {
	w.t.Helper()
	g, err := w.visit(w.urls[number%crowdNodes])
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = g.conn.Close() })
	r := &resident{guest: g, number: number, rooms: map[string]bool{}, counts: map[int]int{}, ended: map[int]int{}}
	for _, n := range []int{number % crowdRooms, (number + 1 + number/crowdRooms) % crowdRooms} {
		r.rooms[roomName(n)] = true
	}
	for room := range r.rooms {
		if err := g.ask("join", `["`+room+`"]`); err != nil {
			w.t.Fatal(err)
		}
	}
	g.heard = r.note
	return r
}

func (r *resident) note(event string, argument json.RawMessage) {
	switch event {
	case "said":
		var m said
		_ = json.Unmarshal(argument, &m) // take has checked it
		if !r.rooms[m.Room] {
			r.w.t.Errorf("resident %d, who is in %v, got a message of %s", r.number, r.rooms, m.Room)
		}
		if m.Sender < crowdResidents {
			r.counts[m.Sender]++
		}
	case "ended":
		var sender int
		_ = json.Unmarshal(argument, &sender) // a wrong one is missing in the end
		r.ended[sender] = r.counts[sender]
	}
}

// speak sends the resident's messages; listen reads meanwhile.
func (r *resident) speak(random *rand.Rand) {
	for n := range crowdMessages {
		m, _ := json.Marshal(said{Sender: r.number, Number: n, Room: roomName(random.IntN(crowdRooms))})
		if err := r.write(`42["say",` + string(m) + `]`); err != nil {
			r.w.t.Errorf("resident %d: %v", r.number, err)
			return
		}
	}
	if err := r.write(fmt.Sprintf(`42["end",%d]`, r.number)); err != nil {
		r.w.t.Errorf("resident %d: %v", r.number, err)
	}
}

// listen takes messages until every other resident has ended, and compares how
// many came with how many there were: the senders' choices are repeated.
func (r *resident) listen() {
	for len(r.ended) < crowdResidents-1 {
		text, err := r.read()
		if err != nil {
			r.w.t.Errorf("resident %d, having heard the end of %d others: %v", r.number, len(r.ended), err)
			return
		}
		r.take(text)
	}
	want := map[int]int{}
	for sender := range crowdResidents {
		random := rand.New(rand.NewPCG(2, uint64(sender)))
		for range crowdMessages {
			if room := roomName(random.IntN(crowdRooms)); sender != r.number && r.rooms[room] {
				want[sender]++
			}
		}
	}
	maps.DeleteFunc(r.ended, func(_, n int) bool { return n == 0 })
	if !maps.Equal(r.ended, want) {
		r.w.t.Errorf("resident %d got, by sender, %v; want %v", r.number, r.ended, want)
	}
}

// roam moves a nomad about, on whichever node.
func (w *crowd) roam(random *rand.Rand) {
	var n *nomad
	for range crowdMoves {
		if n == nil {
			if n = w.arrive(random); n == nil {
				return
			}
		}
		if err := n.move(random); err != nil {
			w.t.Errorf("nomad %d: %v", n.number, err)
			return
		}
		if random.IntN(10) == 0 {
			n.vanish(random)
			n = nil
		}
	}
	if n != nil {
		n.vanish(random)
	}
}

// nomad is a guest that comes and goes.
type nomad struct {
	*guest
	number int
	said   int
	left   map[string]int64 // when, on the crowd's clock, it knew that it was out of a room
	in     map[string]bool
}

func (w *crowd) arrive(random *rand.Rand) *nomad {
	g, err := w.visit(w.urls[random.IntN(crowdNodes)])
	if err != nil {
		w.t.Error(err)
		return nil
	}
	n := &nomad{guest: g, number: int(w.numbers.Add(1)), left: map[string]int64{}, in: map[string]bool{}}
	g.heard = n.note
	return n
}

// note finds messages of rooms that the nomad had left before they were emitted.
func (n *nomad) note(event string, argument json.RawMessage) {
	if event != "said" {
		return
	}
	var m said
	_ = json.Unmarshal(argument, &m) // take has checked it
	left, was := n.left[m.Room]
	if !n.in[m.Room] && (!was || m.Begin > left) {
		n.w.t.Errorf("nomad %d got a message of %s, emitted at %d, that it left at %d", n.number, m.Room, m.Begin, left)
	}
}

func (n *nomad) move(random *rand.Rand) error {
	room := roomName(random.IntN(crowdRooms))
	switch random.IntN(4) {
	case 0, 1:
		n.in[room] = true // from now on messages may come
		return n.ask("join", `["`+room+`"]`)
	case 2:
		err := n.ask("leave", `"`+room+`"`)
		if n.in[room] {
			delete(n.in, room)
			n.left[room] = n.w.clock.Add(1)
		}
		return err
	}
	n.said++
	m, _ := json.Marshal(said{Sender: n.number, Number: n.said, Room: room})
	return n.ask("say", string(m))
}

// vanish ends the nomad, politely or not.
func (n *nomad) vanish(random *rand.Rand) {
	switch random.IntN(3) {
	case 0:
		_ = n.write("41")
	case 1:
		_ = n.conn.WriteControl(websocket.CloseMessage, nil, time.Now().Add(patience))
	}
	reset(n.conn.NetConn())
}
