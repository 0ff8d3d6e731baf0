//go:build integration

package integration

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"
)

// crossroads is the namespace in which wanderers meet.
const crossroads = "/crossroads"

// wanderer is a client whose connections end in all ways, and which comes back to any
// node with what it knows, as the official client does. Its lives are read when it has
// ended; the other methods are safe for concurrent use.
type wanderer struct {
	rooms []string
	place func() string // the URL of a node
	lives []*life

	private, offset string // what it knows
	here            atomic.Pointer[string]
	away            sync.WaitGroup // connections that were abandoned

	mu   sync.Mutex
	conn *websocket.Conn // the present one, or nil
}

// life is what a wanderer went through with one id.
type life struct {
	id         string
	entered    string // offset behind which it is in its rooms; empty before
	heard      []tale
	recoveries int
	bare       bool // it came back without its rooms
}

// tale is an event that has arrived.
type tale struct{ offset, text string }

func (w *wanderer) run(ctx context.Context) {
	defer w.away.Wait()
	for ctx.Err() == nil {
		w.sit(ctx)
		rest(ctx, rand.N(250*time.Millisecond))
	}
}

// rest returns after d, or when ctx ends.
func rest(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// sit is connected until the connection ends, in whatever way.
func (w *wanderer) sit(ctx context.Context) {
	dialer := websocket.Dialer{HandshakeTimeout: 2 * time.Second}
	url := "ws" + strings.TrimPrefix(w.place(), "http") + "/socket.io/?EIO=4&transport=websocket"
	conn, response, err := dialer.DialContext(ctx, url, nil)
	if err != nil {
		return
	}
	_ = response.Body.Close()
	w.hold(conn)
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	defer w.let(conn)
	w.send(conn, "40"+crossroads+","+w.credentials())
	visit := visit{wanderer: w, conn: conn}
	for {
		_ = conn.SetReadDeadline(time.Now().Add(patience))
		if w.holds() != conn {
			return
		}
		_, data, err := conn.ReadMessage()
		if err != nil || !visit.take(string(data)) {
			return
		}
	}
}

func (w *wanderer) credentials() string {
	if w.private == "" || w.offset == "" {
		return ""
	}
	return fmt.Sprintf(`{"pid":%q,"offset":%q}`, w.private, w.offset)
}

func (w *wanderer) hold(conn *websocket.Conn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.conn = conn
}

func (w *wanderer) holds() *websocket.Conn {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.conn
}

// let gives up the connection; one that was abandoned stays open.
func (w *wanderer) let(conn *websocket.Conn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.here.Store(nil)
	if w.conn == conn {
		w.conn = nil
		_ = conn.Close()
	}
	if l := w.life(); l == nil || l.entered == "" || l.bare { // nothing that could be relied on
		w.private = ""
	}
}

// cut resets the connection.
func (w *wanderer) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.conn == nil {
		return
	}
	if tcp, ok := w.conn.NetConn().(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = w.conn.Close()
}

// move leaves the connection open, without a word, and lets the wanderer go on
// elsewhere.
func (w *wanderer) move(ctx context.Context) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.conn == nil {
		return
	}
	conn := w.conn
	w.conn = nil
	_ = conn.SetReadDeadline(time.Now())
	w.away.Go(func() {
		rest(ctx, 4*time.Second)
		_ = conn.Close()
	})
}

func (w *wanderer) send(conn *websocket.Conn, text string) {
	_ = conn.SetWriteDeadline(time.Now().Add(patience))
	_ = conn.WriteMessage(websocket.TextMessage, []byte(text)) // who cannot write reads the reason
}

func (w *wanderer) life() *life {
	if len(w.lives) == 0 {
		return nil
	}
	return w.lives[len(w.lives)-1]
}

// visit is one connection.
type visit struct {
	*wanderer
	conn    *websocket.Conn
	life    *life  // since the answer to CONNECT
	waiting []tale // came before that
}

var spoken = regexp.MustCompile(`^\["(said|entered)",(?:"([^"]*)",)?"(\d+-\d+)"\]$`)

// take takes a frame, and says whether to go on.
func (v *visit) take(frame string) bool {
	frame = strings.TrimPrefix(frame, "4")
	kind, rest := frame[:1], strings.TrimPrefix(frame[1:], crossroads+",")
	switch {
	case frame == "2":
		v.send(v.conn, "3")
	case kind == "0" && len(rest) == len(frame)-1: // the open packet
	case kind == "0":
		return v.connected(rest)
	case kind == "2":
		return v.event(rest)
	case kind == "3":
		return v.answer(rest)
	default:
		return false
	}
	return true
}

func (v *visit) connected(payload string) bool {
	var reply struct{ SID, PID string }
	if json.Unmarshal([]byte(payload), &reply) != nil || reply.SID == "" {
		return false
	}
	v.life = v.wanderer.life()
	if v.life != nil && v.life.id == reply.SID {
		v.life.recoveries++
		v.send(v.conn, `42`+crossroads+`,1["rooms",0]`)
		v.here.Store(&v.life.id)
	} else {
		v.life = &life{id: reply.SID}
		v.lives = append(v.lives, v.life)
		v.offset = ""
		rooms, _ := json.Marshal(v.rooms)
		v.send(v.conn, fmt.Sprintf(`42%s,0["enter",%s]`, crossroads, rooms))
	}
	v.private = reply.PID
	for _, t := range v.waiting {
		v.hear(t)
	}
	v.waiting = nil
	return true
}

func (v *visit) event(text string) bool {
	parts := spoken.FindStringSubmatch(text)
	switch {
	case parts == nil:
		return false
	case parts[1] == "entered":
		parts[2] = "entered"
	}
	t := tale{offset: parts[3], text: parts[2]}
	if v.life == nil {
		v.waiting = append(v.waiting, t)
		return true
	}
	v.hear(t)
	return true
}

func (v *visit) hear(t tale) {
	v.offset = t.offset
	v.life.heard = append(v.life.heard, t)
	if t.text == "entered" {
		v.life.entered = t.offset
		v.here.Store(&v.life.id)
	}
}

// answer takes the rooms that the server knows after a recovery.
func (v *visit) answer(text string) bool {
	list, ok := strings.CutPrefix(text, "1")
	if !ok {
		return true
	}
	var answer [][]string
	if json.Unmarshal([]byte(list), &answer) != nil || len(answer) != 1 {
		return false
	}
	for _, room := range v.rooms {
		if !slices.Contains(answer[0], room) {
			v.life.bare = true
			return false
		}
	}
	return true
}
