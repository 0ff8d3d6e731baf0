package server_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	gosync "sync"
	"testing"
	"time"

	"github.com/roomcast/roomcast/internal/testutil/rawclient"
	"github.com/roomcast/roomcast/pkg/adapter/memory"
	"github.com/roomcast/roomcast/pkg/server"
)

// besiegeRecovering is besiege for a node with recovery.
func besiegeRecovering(t *testing.T, options server.Options) (*victim, *store) {
	t.Helper()
	kept := newStore(memory.New())
	options.Adapter = kept
	if options.Recovery == nil {
		options.Recovery = &server.Recovery{}
	}
	return besiege(t, options), kept
}

// claims connects with an auth payload as it is, and says whether that made the
// client who w was.
func (w *wanderer) claims(url, auth string) bool {
	w.t.Helper()
	c := rawclient.Dial(w.t, url, w.dial)
	defer c.Close()
	c.Send("0" + w.prefix + auth)
	sid, pid, ok := w.connected(c.Next())
	if !ok || sid == "" || pid == "" || (sid == w.sid) != (pid == w.pid) {
		w.t.Fatalf("the reply to %.100s is %q %q", auth, sid, pid)
	}
	return sid == w.sid
}

func TestHostileRecovery_MadeUpCredentialsAreAFreshStart(t *testing.T) {
	v, kept := besiegeRecovering(t, server.Options{})
	w := lost(t, v.server, v.url, kept)
	epoch := w.offset[:strings.LastIndex(w.offset, "-")]
	quoted := func(text string) string { q, _ := json.Marshal(text); return string(q) }
	pid, offset := quoted(w.pid), quoted(w.offset)
	claims := map[string]string{
		"no pid":               `{"offset":` + offset + `}`,
		"no offset":            `{"pid":` + pid + `}`,
		"empty pid":            `{"pid":"","offset":` + offset + `}`,
		"empty offset":         `{"pid":` + pid + `,"offset":""}`,
		"id as pid":            `{"pid":` + quoted(w.sid) + `,"offset":` + offset + `}`,
		"swapped":              `{"pid":` + offset + `,"offset":` + pid + `}`,
		"other case":           `{"PID":` + pid + `,"Offset":` + offset + `}`,
		"pid twice":            `{"pid":` + pid + `,"offset":` + offset + `,"pid":"x"}`,
		"pid with a zero":      `{"pid":` + quoted(w.pid+"\x00") + `,"offset":` + offset + `}`,
		"half an emoji":        `{"pid":"\ud83d","offset":"\ude00"}`,
		"nested":               `{"auth":{"pid":` + pid + `,"offset":` + offset + `}}`,
		"pid of a megabyte":    `{"pid":"` + strings.Repeat("x", 900_000) + `","offset":` + offset + `}`,
		"offset of a megabyte": `{"pid":` + pid + `,"offset":"` + strings.Repeat("9", 900_000) + `"}`,
		"padded offset":        `{"pid":` + pid + `,"offset":"` + strings.Repeat(`\u0000`, 1000) + `"}`,
	}
	for _, value := range []string{`null`, `true`, `1`, `1e400`, `[]`, `["x"]`, `{}`, `{"pid":"x"}`, `[` + pid + `]`} {
		claims["pid "+value] = `{"pid":` + value + `,"offset":` + offset + `}`
		claims["offset "+value] = `{"pid":` + pid + `,"offset":` + value + `}`
	}
	for _, text := range []string{
		"*", "?", "[a-z]*", w.pid[:len(w.pid)-1] + "?", w.pid[:10] + "*", "\\", "{" + w.pid + "}", w.pid + "\r\nFLUSHALL\r\n", "$", "+", "-", ">", "0", "0-0",
		"$6\r\nFLUSHA\r\n", "../" + w.pid, "/#" + w.pid, "' OR 1=1 --", "%00", " " + w.pid, strings.ToLower(w.pid), w.pid + w.pid,
	} {
		claims["pid "+text] = `{"pid":` + quoted(text) + `,"offset":` + offset + `}`
	}
	for _, text := range []string{
		"*", "$", "+", "-", ">", "(" + w.offset, "0", "0-0", "0-1", "18446744073709551615-18446744073709551615", epoch, epoch + "-", epoch + "-0", epoch + "--1",
		epoch + "-+1", epoch + "-01", epoch + "-1e0", epoch + "-1 ", epoch + "-2", epoch + "-99999999999999999999", epoch + "-18446744073709551616",
		w.offset + "-1", w.offset + "\x00", " " + w.offset, strings.ToLower(w.offset), w.offset + "\r\nFLUSHALL\r\n",
	} {
		if text != w.offset && text != epoch+"-0" { // that one is before the session's begin
			claims["offset "+text] = `{"pid":` + pid + `,"offset":` + quoted(text) + `}`
		}
	}
	for name, auth := range claims {
		if w.claims(v.url, auth) {
			t.Errorf("%s: recovered with %.200s", name, auth)
		}
	}
	if !w.claims(v.url, w.credentials()) {
		t.Error("after all that the client itself starts afresh")
	}
	eventually(t, "an end of the attackers", func() bool { return v.sessions() == 1 })
}

// Nothing that came before the session's begin can be had with an older offset.
func TestHostileRecovery_OlderOffsetGivesNothingOfOthers(t *testing.T) {
	s, url, kept := recovering(t, server.Options{})
	first := wander(t, url, "/", nil)
	emit(t, s, 1, 2, 3)
	first.events(`2["n",1]`)
	w := wander(t, url, "/", nil)
	emit(t, s, 4)
	w.events(`2["n",4]`)
	w.cut(kept)
	emit(t, s, 5)
	w.offset = first.offset
	w.recovers(url, `2["n",4]`, `2["n",5]`)
	w.Close()
	first.Close()
}

func TestHostileRecovery_PrivateIDOfAConnectedClient(t *testing.T) {
	s, url, kept := recovering(t, server.Options{})
	w := wander(t, url, "/", nil)
	emit(t, s, 1)
	w.events(`2["n",1]`)
	for range 3 {
		if w.claims(url, w.credentials()) {
			t.Fatal("a second client is who the first one is")
		}
	}
	emit(t, s, 2)
	w.events(`2["n",2]`)
	w.cut(kept)
	w.recovers(url)
	if w.claims(url, w.credentials()) {
		t.Fatal("a second client is who the recovered one is")
	}
	w.Close()
}

// Many come at once with one private id, to two nodes: one of them is the client.
func TestHostileRecovery_PrivateIDUsedByManyAtOnce(t *testing.T) {
	s, url, kept := recovering(t, server.Options{})
	other := newStore(kept.Adapter)
	node, otherURL := other.serve(t, server.Options{})
	for round := range 10 {
		w := lost(t, s, url, kept)
		emit(t, s, round)
		var mu gosync.Mutex
		var wins []string
		var attempts gosync.WaitGroup
		for i := range 16 {
			attempts.Go(func() {
				c := rawclient.Dial(t, []string{url, otherURL}[i%2], nil)
				c.Send("0" + w.credentials())
				missed := ""
				for {
					_, data, err := c.Conn().ReadMessage()
					if err != nil {
						return // another attempt was faster
					}
					packet, _ := cutOffset(strings.TrimPrefix(string(data), "4"))
					if sid, _, ok := w.connected(packet); ok {
						if sid == w.sid {
							mu.Lock()
							wins = append(wins, missed)
							mu.Unlock()
						} else if missed != "" {
							t.Errorf("an attempt that failed got %s", missed)
						}
						return
					}
					missed += packet
				}
			})
		}
		attempts.Wait()
		if want := fmt.Sprintf(`2["n",%d]`, round); len(wins) != 1 || wins[0] != want {
			t.Fatalf("%d attempts recovered, having missed %q; want one and %s", len(wins), wins, want)
		}
		holders := 0
		for _, ns := range []*server.Namespace{s.Of("/"), node.Of("/")} {
			for _, socket := range ns.Sockets() {
				if socket.ID() == w.sid {
					holders++
				}
			}
		}
		if holders != 1 {
			t.Fatalf("%d sockets have the id", holders)
		}
	}
}

// A client that is away asks again and again, with large payloads: nothing of it stays.
func TestHostileRecovery_MemoryIsFlat(t *testing.T) {
	v, _ := besiegeRecovering(t, server.Options{})
	attack := func(n int) {
		for range n {
			c := rawclient.Dial(t, v.url, nil)
			c.Connect("/", `{"pid":"`+strings.Repeat("p", 450_000)+`","offset":"`+strings.Repeat("o", 450_000)+`"}`)
		}
	}
	attack(3)
	grows(t, 10<<20, func() { attack(40) }) // they stay connected; their credentials would be 36 MB
}

// Clients that come and go leave no more than MaxRecords records, none of them
// larger in memory than MaxRecordBytes. A client in a hundred namespaces leaves a
// hundred records.
func TestHostileRecovery_KeptRecordsCostWhatTheLimitsSay(t *testing.T) {
	const records, each, namespaces = 10_000, 2 << 10, 100
	s, url, kept := recovering(t, server.Options{Recovery: &server.Recovery{MaxRecordBytes: each}})
	pattern := s.OfFunc(func(context.Context, string, *server.Handshake) bool { return true })
	pattern.OnConnect(func(_ context.Context, s *server.Socket) error {
		server.SetData(s, strings.Repeat("d", each-450))
		return nil
	})
	sync(pattern)
	come := func(clients int) {
		for range clients {
			t.Run("client", func(t *testing.T) { // whose end gives up what the test keeps of it
				c := rawclient.Dial(t, url, nil)
				for n := range namespaces {
					c.Connect(fmt.Sprintf("/%d", n), "")
					c.ExpectNothing(fmt.Sprintf("/%d", n))
				}
				c.Close()
				for range namespaces {
					receive(t, kept.saved)
				}
			})
		}
		eventually(t, "an empty node", func() bool { return len(pattern.Sockets()) == 0 })
	}
	come(1)
	const aside = 2 << 20 // idle goroutines' stacks and the like
	grows(t, records*each+aside, func() { come(records / namespaces) })
	grows(t, 1<<20, func() { come(10) })
}

// Shutdown finds sockets that are held, records and a log, and emitters at work; it
// ends in time, and those who were connected come back to the other node.
func TestHostileRecovery_ShutdownInTheMiddle(t *testing.T) {
	kept := newStore(memory.New())
	s, url := kept.serve(t, server.Options{CloseTimeout: 100 * time.Millisecond})
	other := newStore(kept.Adapter)
	node, otherURL := other.serve(t, server.Options{})
	away, here := lost(t, s, url, kept), lost(t, s, url, kept)
	here.recovers(url)
	var emitting gosync.WaitGroup
	emitting.Go(func() {
		for s.Of("/").Emit("flood") == nil {
			<-time.After(time.Millisecond)
		}
	})
	holding, release := make(chan struct{}, 100), make(chan struct{})
	kept.intervene(func(step, _ string) error {
		if step == "taken" {
			holding <- struct{}{}
			<-release
		}
		return nil
	})
	held := rawclient.Dial(t, url, nil)
	held.Send("0" + away.credentials())
	receive(t, holding)
	stopped := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		stopped <- s.Shutdown(ctx)
	}()
	for _, packet := range here.ExpectClose() {
		if _, here.offset = cutOffset(strings.TrimPrefix(packet, "4")); here.offset == "" {
			t.Fatalf("got %q", packet)
		}
	}
	close(release)
	errs(t, receive(t, stopped))
	emitting.Wait()
	errs(t, node.Emit("after"))
	for _, w := range []*wanderer{here, away} {
		missed, recovered := w.back(otherURL)
		if !recovered || len(missed) == 0 || missed[len(missed)-1] != `2["after"]` {
			t.Errorf("recovered: %v, missed %d events", recovered, len(missed))
		}
	}
}
