package server_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/roomcast/roomcast/internal/testutil/rawclient"
	"github.com/roomcast/roomcast/pkg/server"
)

// lagging runs two nodes with one log: the second's deliveries can be made to lag.
func lagging(t testing.TB) (ahead *server.Server, url string, kept *store, behind *server.Server, behindURL string, late *store) {
	t.Helper()
	ahead, url, kept = recovering(t, server.Options{})
	late = newStore(kept.Adapter)
	behind, behindURL = late.serve(t, server.Options{})
	return ahead, url, kept, behind, behindURL, late
}

// The client knows more than the node to which it comes back has delivered.
func TestRecoveryLog_ClientAheadOfItsNode(t *testing.T) {
	for name, test := range map[string]struct {
		known, missed, later func(ahead *server.Server, id string) error
	}{
		"to all": {
			known:  func(s *server.Server, _ string) error { return s.Emit("known") },
			missed: func(s *server.Server, _ string) error { return s.Emit("missed") },
			later:  func(s *server.Server, _ string) error { return s.Emit("later") },
		},
		"nothing missed": {
			known: func(s *server.Server, _ string) error { return s.Emit("known") },
			later: func(s *server.Server, _ string) error { return s.Emit("later") },
		},
		"to its room": {
			known:  func(s *server.Server, _ string) error { return s.To("room").Emit("known") },
			missed: func(s *server.Server, _ string) error { return s.To("room").Emit("missed") },
			later:  func(s *server.Server, _ string) error { return s.To("room").Emit("later") },
		},
		"the log ends with what is not for the client": {
			known: func(s *server.Server, id string) error { return s.To(id).Emit("known") },
			missed: func(s *server.Server, id string) error {
				return errors.Join(s.To("room").Emit("missed"), s.To("elsewhere").Emit("not for the client"))
			},
			later: func(s *server.Server, _ string) error { return s.To("room").Emit("later") },
		},
		"only others' events were missed": {
			known:  func(s *server.Server, id string) error { return s.To(id).Emit("known") },
			missed: func(s *server.Server, _ string) error { return s.To("elsewhere").Emit("not for the client") },
			later:  func(s *server.Server, _ string) error { return s.Emit("later") },
		},
	} {
		for delivered := range 5 { // of what the client knows or has missed, before it comes back
			t.Run(fmt.Sprintf("%s, after %d deliveries", name, delivered), func(t *testing.T) {
				ahead, url, kept, behind, behindURL, late := lagging(t)
				w := wander(t, url, "/", nil)
				w.Send(`21["join",["room"]]`)
				w.Expect(`31[]`)
				late.lag()
				errs(t, ahead.Emit("first"), test.known(ahead, w.sid))
				w.events(`2["first"]`, `2["known"]`)
				w.cut(kept)
				var want []string
				sent := 2
				if test.missed != nil {
					errs(t, test.missed(ahead, w.sid))
					sent++
					if !strings.HasPrefix(name, "only") {
						want = []string{`2["missed"]`}
					}
				}
				late.flow(t, min(delivered, sent))
				w.Client = rawclient.Dial(t, behindURL, nil)
				w.Send("0" + w.credentials())
				eventually(t, "the socket as a receiver", func() bool { return len(behind.Of("/").Sockets()) == 1 })
				errs(t, test.later(ahead, w.sid)) // kept aside
				late.open()
				if missed, recovered := w.welcome(); !recovered || fmt.Sprint(missed) != fmt.Sprint(want) {
					t.Fatalf("recovered: %v, missed %q, want %q", recovered, missed, want)
				}
				errs(t, test.later(ahead, w.sid), ahead.Emit("last"))
				w.events(`2["later"]`, `2["later"]`, `2["last"]`)
			})
		}
	}
}

// What is not kept is not mistaken for what the client knows.
func TestRecoveryLog_LocalEventsComeWhileTheNodeLags(t *testing.T) {
	ahead, url, kept, behind, behindURL, late := lagging(t)
	w := wander(t, url, "/", nil)
	late.lag()
	emit(t, ahead, 1)
	w.events(`2["n",1]`)
	w.cut(kept)
	emit(t, ahead, 2)
	w.Client = rawclient.Dial(t, behindURL, nil)
	w.Send("0" + w.credentials())
	eventually(t, "the socket as a receiver", func() bool { return len(behind.Of("/").Sockets()) == 1 })
	socket := behind.Of("/").Sockets()[0]
	errs(t, behind.Of("/").Local().Emit("before"))
	late.flow(t, 1)
	errs(t, behind.Of("/").Local().Emit("between"))
	emit(t, ahead, 3)
	late.flow(t, 2)
	errs(t, behind.Of("/").Local().Emit("after"))
	asked := make(chan error, 1)
	go func() {
		_, err := server.Call[server.Args](t.Context(), socket, "ask")
		asked <- err
	}()
	if missed, recovered := w.welcome(); !recovered || fmt.Sprint(missed) != `[2["n",2]]` {
		t.Fatalf("recovered: %v, missed %q", recovered, missed)
	}
	w.Expect(`2["before",null]`, `2["between",null]`)
	w.events(`2["n",3]`)
	w.Expect(`2["after",null]`)
	question := w.Next()
	w.Send("3" + strings.TrimSuffix(strings.TrimPrefix(question, "2"), `["ask"]`) + "[]")
	errs(t, receive(t, asked))
	late.open()
	emit(t, ahead, 4)
	w.events(`2["n",4]`)
}

// A node whose deliveries do not come is no place to come back to, but costs nothing.
func TestRecoveryLog_NodeThatStaysBehindSendsNothing(t *testing.T) {
	recoveringInBubble(t, server.Options{}, func(t *testing.T, ahead *server.Server, kept *store, dial rawclient.Dialer) {
		late := newStore(kept.Adapter)
		behind, behindDial, stop := startOnPipes(t, server.Options{
			Adapter: late, Recovery: &server.Recovery{}, RequestTimeout: 50 * time.Millisecond,
		})
		defer stop()
		w := wander(t, pipeURL, "/", dial)
		late.lag()
		emit(t, ahead, 1)
		w.events(`2["n",1]`)
		w.cut(kept)
		emit(t, ahead, 2)
		for range 3 {
			w.Client = rawclient.Dial(t, pipeURL, behindDial)
			w.Send("0" + w.credentials())
			if before := w.ExpectClose(); len(before) > 0 {
				t.Errorf("before the close came %q", before)
			}
			eventually(t, "no sockets", func() bool { return len(behind.Of("/").Sockets()) == 0 })
		}
		late.open()
		w.recovers(pipeURL, `2["n",2]`)
	})
}

// Each step may fail: then the client starts afresh or its connection is closed,
// and never does it get a part.
func TestRecoveryLog_StepsThatFail(t *testing.T) {
	for _, step := range []string{"find", "missed", "read", "take", "second missed", "second read"} {
		t.Run(step, func(t *testing.T) {
			s, url, kept := recovering(t, server.Options{})
			attempts := 0
			s.Of("/").Use(func(_ context.Context, socket *server.Socket) error {
				if attempts++; attempts == 2 && strings.HasPrefix(step, "second") {
					emit(t, s, 3, 4)
					kept.intervene(func(this, _ string) error {
						if this == strings.TrimPrefix(step, "second ") {
							return errStore
						}
						return nil
					})
				}
				return nil
			})
			w := lost(t, s, url, kept)
			emit(t, s, 1, 2)
			if !strings.HasPrefix(step, "second") {
				kept.intervene(func(this, _ string) error {
					if this == step {
						return errStore
					}
					return nil
				})
			}
			if step == "take" || strings.HasPrefix(step, "second") {
				w.Client = rawclient.Dial(t, url, nil)
				w.Send("0" + w.credentials())
				for _, packet := range w.ExpectClose() {
					if !strings.HasPrefix(packet, "44") {
						t.Errorf("before the close came %q", packet)
					}
				}
				kept.intervene(nil)
				eventually(t, "no sockets", func() bool { return len(s.Of("/").Sockets()) == 0 })
				if missed, recovered := w.back(url); !recovered || len(missed) < 2 {
					t.Errorf("at the second attempt: recovered %v, missed %q", recovered, missed)
				}
			} else {
				w.afresh(url)
				kept.intervene(nil)
			}
			emit(t, s, 5)
			for w.event() != `2["n",5]` { // what the middleware emits comes first
			}
			w.ExpectNothing("/")
		})
	}
}

func TestRecoveryLog_RecordThatCannotBeSavedIsAFreshStart(t *testing.T) {
	s, url, kept := recovering(t, server.Options{})
	w := wander(t, url, "/", nil)
	emit(t, s, 1)
	w.events(`2["n",1]`)
	failed := make(chan struct{})
	kept.intervene(func(step, _ string) error {
		if step == "save" {
			close(failed)
			return errStore
		}
		return nil
	})
	w.Close()
	receive(t, failed)
	kept.intervene(nil)
	w.afresh(url)
}

// While the log is read, slowly, events go on.
func TestRecoveryLog_SlowReadingLosesNothing(t *testing.T) {
	s, url, kept := recovering(t, server.Options{})
	w := lost(t, s, url, kept)
	emit(t, s, 1, 2, 3)
	next := 4
	kept.intervene(func(step, _ string) error {
		if step == "read" && next <= 20 {
			next++
			return s.Emit("n", next-1)
		}
		return nil
	})
	var want []string
	missed, recovered := w.back(url)
	for n := range len(missed) {
		want = append(want, fmt.Sprintf(`2["n",%d]`, n+1))
	}
	if !recovered || fmt.Sprint(missed) != fmt.Sprint(want) {
		t.Fatalf("recovered: %v, missed %q", recovered, missed)
	}
	emit(t, s, 21)
	for n := len(missed) + 1; n <= 21; n++ {
		w.events(fmt.Sprintf(`2["n",%d]`, n))
	}
}

// The client is cut off again while it catches up; nothing is lost by that.
func TestRecoveryLog_GoneWhileCatchingUp(t *testing.T) {
	s, url, kept := recovering(t, server.Options{})
	s.Of("/").Use(func(_ context.Context, socket *server.Socket) error {
		if socket.Recovered() {
			return s.Emit("attempt")
		}
		return nil
	})
	w := lost(t, s, url, kept)
	emit(t, s, 1, 2)
	var taken, done atomic.Bool
	kept.intervene(func(step, _ string) error {
		if step == "take" {
			taken.Store(true)
		} else if step == "read" && taken.Load() && done.CompareAndSwap(false, true) {
			w.Close()
			for receive(t, kept.saved) != w.pid {
			}
			emit(t, s, 3)
		}
		return nil
	})
	w.Client = rawclient.Dial(t, url, nil)
	w.Send("0" + w.credentials())
	eventually(t, "an attempt", func() bool { return s.Stats().Recoveries["complete"]+s.Stats().Recoveries["unknown"] > 0 })
	kept.intervene(nil)
	w.recovers(url, `2["n",1]`, `2["n",2]`, `2["attempt"]`, `2["n",3]`, `2["attempt"]`)
	emit(t, s, 4)
	w.events(`2["n",4]`)
}

// A socket that the program ends while it catches up is no half socket.
func TestRecoveryLog_DisconnectedWhileCatchingUp(t *testing.T) {
	for _, close := range []bool{false, true} {
		s, url, kept := recovering(t, server.Options{})
		s.Of("/").Use(func(_ context.Context, socket *server.Socket) error {
			if socket.Recovered() {
				return s.Emit("attempt")
			}
			return nil
		})
		w := lost(t, s, url, kept)
		emit(t, s, 1)
		var taken atomic.Bool
		kept.intervene(func(step, _ string) error {
			if step == "take" {
				taken.Store(true)
			} else if step == "read" && taken.Load() {
				for _, socket := range s.Of("/").Sockets() {
					socket.Disconnect(close)
				}
			}
			return nil
		})
		w.Client = rawclient.Dial(t, url, nil)
		w.Send("0" + w.credentials())
		w.ExpectClose()
		kept.intervene(nil)
		eventually(t, "no sockets", func() bool { return len(s.Of("/").Sockets()) == 0 })
		w.afresh(url)
	}
}
