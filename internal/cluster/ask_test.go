package cluster

import (
	"context"
	"errors"
	"regexp"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/roomcast/roomcast/pkg/adapter"
	"github.com/roomcast/roomcast/pkg/adapter/memory"
)

// seconds returns a context that ends after n seconds.
func seconds(t *testing.T, n int) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Duration(n)*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func TestAsk_GathersTheAnswersOfAllNodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := memory.New()
		topic := join(t, start(t, hub), "/", nil)
		var want []string
		for range 3 {
			n := start(t, hub)
			want = append(want, string(n.ID()))
			joinWith(t, n, "/", Handler{Request: func(r *adapter.Request, answer func(*adapter.Response)) {
				go answer(&adapter.Response{Rooms: []string{string(n.ID())}, Done: true})
			}})
		}
		synctest.Wait()
		a := ask(t.Context(), t, topic, adapter.ActionRooms)
		a.succeeds()
		got := a.rooms()
		if slices.Sort(got); a.took != 0 || !slices.Equal(got, want) {
			t.Errorf("after %v got answers of %q, want %q at once", a.took, got, want)
		}
		if n := topic.node.pendingCalls(); n != 0 {
			t.Errorf("%d calls are left", n)
		}
	})
}

func TestAsk_WithNobodyElseEndsAtOnce(t *testing.T) {
	for action := adapter.ActionJoin; action <= adapter.ActionCall; action++ {
		synctest.Test(t, func(t *testing.T) {
			hub := memory.New()
			topic := join(t, start(t, hub), "/", nil)
			unknown := stranger(t, hub, "unknown")
			watch(t, hub, "elsewhere").say(&adapter.Message{
				Kind: adapter.KindHeartbeat, Heartbeat: &adapter.Heartbeat{Namespaces: []string{"/other"}},
			})
			synctest.Wait()
			a := ask(t.Context(), t, topic, action)
			a.succeeds()
			if a.took != 0 {
				t.Errorf("action %d took %v", action, a.took)
			}
			published := 1
			if action == adapter.ActionFetch || action == adapter.ActionRooms {
				published = 0
			}
			if got := len(unknown.arrived()); got != published {
				t.Errorf("action %d: %d requests were published, want %d", action, got, published)
			}
		})
	}
}

func TestAsk_DeadlineKeepsWhatCameAndNamesTheRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := memory.New()
		topic := join(t, start(t, hub), "/", nil)
		c, a, b := meet(t, hub, "c"), meet(t, hub, "a"), meet(t, hub, "b")
		synctest.Wait()
		call := ask(seconds(t, 3), t, topic, adapter.ActionRooms)
		b.answer(b.request(), adapter.Response{Rooms: []string{"of b"}, Done: true})
		a.request()
		time.Sleep(3*time.Second - time.Nanosecond)
		call.pending("before the deadline")
		call.ends(3 * time.Second)
		isPartial(t, call.err, context.DeadlineExceeded, 0, "a", "c")
		if got := call.rooms(); !slices.Equal(got, []string{"of b"}) {
			t.Errorf("received %q, want the answer of b", got)
		}
		c.answer(c.request(), adapter.Response{Rooms: []string{"late"}, Done: true})
		if got := call.rooms(); len(got) != 1 {
			t.Errorf("received %q after the call", got)
		}
	})
}

func TestAsk_AnswerAtTheDeadlineCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := memory.New()
		topic := join(t, start(t, hub), "/", nil)
		a := meet(t, hub, "a")
		synctest.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		received := 0
		call, err := topic.Begin(ctx, &adapter.Request{Action: adapter.ActionRooms}, func(*adapter.Response) { received++ })
		if err != nil {
			t.Fatal(err)
		}
		a.answer(a.request(), adapter.Response{Done: true})
		cancel()
		if err := call.Wait(ctx); err != nil || received != 1 {
			t.Errorf("got %v and %d answers, want the one that had come", err, received)
		}
	})
}

func TestAsk_CauseOfTheContextIsTheReason(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := memory.New()
		topic := join(t, start(t, hub), "/", nil)
		lost := meet(t, hub, "lost")
		meet(t, hub, "mute")
		synctest.Wait()
		cause := errors.New("the caller has had enough")
		ctx, cancel := context.WithCancelCause(t.Context())
		call := ask(ctx, t, topic, adapter.ActionFetch)
		lost.say(&adapter.Message{Kind: adapter.KindGoodbye})
		call.pending("while one is mute")
		cancel(cause)
		call.ends(0)
		isPartial(t, call.err, cause, 0, "lost", "mute")
		if errors.Is(call.err, ErrNodeLost) {
			t.Errorf("got %v, want the context's cause alone", call.err)
		}
	})
}

func TestAsk_WithoutDeadlineWaitsForRequestTimeout(t *testing.T) {
	for name, c := range map[string]struct {
		option, want time.Duration
	}{"default": {0, 5 * time.Second}, "set": {2 * time.Second, 2 * time.Second}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				hub := memory.New()
				topic := join(t, startWith(t, Options{Adapter: hub, RequestTimeout: c.option}), "/", nil)
				a := meet(t, hub, "a")
				synctest.Wait()
				call := ask(t.Context(), t, topic, adapter.ActionFetch)
				if got := a.request().Request.Timeout; got != c.want {
					t.Errorf("the others were told %v, want %v", got, c.want)
				}
				call.ends(c.want)
				isPartial(t, call.err, context.DeadlineExceeded, 0, "a")
			})
		})
	}
}

func TestAsk_TellsTheTimeThatIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := memory.New()
		topic := join(t, start(t, hub), "/", nil)
		a := meet(t, hub, "a")
		ctx := seconds(t, 4)
		time.Sleep(time.Second)
		a.announce("/")
		synctest.Wait()
		ask(ctx, t, topic, adapter.ActionFetch)
		if got := a.request().Request.Timeout; got != 3*time.Second {
			t.Errorf("got %v, want 3s", got)
		}
	})
}

func TestAsk_IDsAreRandomAndShort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := memory.New()
		topic := join(t, start(t, hub), "/", nil)
		form := regexp.MustCompile(`^[A-Za-z0-9_-]{16}$`)
		seen := map[string]bool{}
		for range 100 {
			r := &adapter.Request{Action: adapter.ActionFetch}
			if err := topic.Ask(t.Context(), r, nil); err != nil {
				t.Fatal(err)
			}
			if !form.MatchString(r.ID) || seen[r.ID] {
				t.Fatalf("got id %q, want another one of 16 characters", r.ID)
			}
			seen[r.ID] = true
		}
	})
}

func TestAsk_LateMemberIsHeardAndNotWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := memory.New()
		topic := join(t, start(t, hub), "/", nil)
		a, late := meet(t, hub, "a"), stranger(t, hub, "late")
		synctest.Wait()
		call := ask(t.Context(), t, topic, adapter.ActionRooms)
		late.say(&adapter.Message{Kind: adapter.KindHello, Heartbeat: &adapter.Heartbeat{Tag: 2, Namespaces: []string{"/"}}})
		late.answer(late.request(), adapter.Response{Rooms: []string{"of late"}, Done: true})
		a.answer(a.request(), adapter.Response{Rooms: []string{"of a"}, Done: true})
		call.succeeds()
		if got := call.rooms(); !slices.Equal(got, []string{"of late", "of a"}) {
			t.Errorf("received %q, want both", got)
		}
		call = ask(t.Context(), t, topic, adapter.ActionRooms)
		a.answer(a.request(), adapter.Response{Done: true})
		call.pending("the late one is a member for the next call")
		late.say(&adapter.Message{Kind: adapter.KindGoodbye})
		call.ends(0)
	})
}

func TestAsk_MemberThatEndsIsNamedAndNotWaitedFor(t *testing.T) {
	for name, end := range map[string]func(*peer){
		"goodbye":        func(p *peer) { p.say(&adapter.Message{Kind: adapter.KindGoodbye}) },
		"namespace gone": func(p *peer) { p.announce("/other") },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				hub := memory.New()
				topic := join(t, start(t, hub), "/", nil)
				a, b, c := meet(t, hub, "a"), meet(t, hub, "b"), meet(t, hub, "c")
				synctest.Wait()
				call := ask(t.Context(), t, topic, adapter.ActionFetch)
				a.answer(a.request(), adapter.Response{Done: true})
				end(a) // has answered
				end(b) // has not
				c.announce("/")
				call.pending("while c lives")
				c.answer(c.request(), adapter.Response{Done: true})
				call.ends(0)
				isPartial(t, call.err, ErrNodeLost, 0, "b")
			})
		})
	}
}

func TestAsk_SilentMemberIsGivenUpToTheMoment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := memory.New()
		topic := join(t, start(t, hub), "/", nil)
		meet(t, hub, "dead")
		time.Sleep(1234567 * time.Microsecond)
		call := ask(seconds(t, 60), t, topic, adapter.ActionFetch)
		call.ends(10*time.Second - 1234567*time.Microsecond)
		isPartial(t, call.err, ErrNodeLost, 0, "dead")
		ask(t.Context(), t, topic, adapter.ActionFetch).succeeds()
	})
}

func TestAsk_LostMemberThatAnswersInTimeIsNotMissing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := memory.New()
		topic := join(t, start(t, hub), "/", nil)
		lost, other := meet(t, hub, "lost"), meet(t, hub, "other")
		synctest.Wait()
		call := ask(t.Context(), t, topic, adapter.ActionRooms)
		lost.say(&adapter.Message{Kind: adapter.KindGoodbye})
		lost.answer(lost.request(), adapter.Response{Rooms: []string{"of lost"}, Done: true})
		other.answer(other.request(), adapter.Response{Done: true})
		call.succeeds()
		if got := call.rooms(); !slices.Equal(got, []string{"of lost"}) {
			t.Errorf("received %q", got)
		}
	})
}

func TestAsk_OnlyItsOwnAnswersAreReceivedAndOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := memory.New()
		topic := join(t, start(t, hub), "/", nil)
		a, b := meet(t, hub, "a"), meet(t, hub, "b")
		synctest.Wait()
		call := ask(t.Context(), t, topic, adapter.ActionRooms)
		m := a.request()
		a.publish(&adapter.Message{To: m.From, Kind: adapter.KindResponse})
		a.publish(&adapter.Message{To: m.From, Kind: adapter.KindResponse, Response: &adapter.Response{ID: "other", Done: true}})
		a.publish(&adapter.Message{To: m.From, Kind: adapter.KindResponse, Response: &adapter.Response{Done: true}})
		call.pending("after answers to nothing")
		for range 3 {
			a.answer(m, adapter.Response{Rooms: []string{"of a"}, Done: true})
		}
		call.pending("b has not answered")
		b.answer(b.request(), adapter.Response{Rooms: []string{"of b"}, Done: true})
		call.succeeds()
		if got := call.rooms(); !slices.Equal(got, []string{"of a", "of b"}) {
			t.Errorf("received %q, want one answer of each", got)
		}
	})
}

func TestAsk_CallWaitsForDone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := memory.New()
		topic := join(t, start(t, hub), "/", nil)
		a := meet(t, hub, "a")
		synctest.Wait()
		call := ask(t.Context(), t, topic, adapter.ActionCall)
		m := a.request()
		a.answer(m, adapter.Response{Receivers: 2})
		a.answer(m, adapter.Response{Answer: ack("1")})
		call.pending("one of two has acknowledged")
		if len(call.got) != 2 {
			t.Errorf("received %d answers before the end, want 2", len(call.got))
		}
		a.answer(m, adapter.Response{Done: true}) // the other has gone
		call.succeeds()
	})
}

func TestAsk_WhileTheBackendIsAwayNobodyIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := memory.New()
		b := newBus(hub)
		topic := join(t, start(t, b), "/", nil)
		a, c := meet(t, hub, "a"), meet(t, hub, "c")
		synctest.Wait()
		b.sick.Store(true)
		call := ask(t.Context(), t, topic, adapter.ActionJoin)
		call.ends(0)
		isPartial(t, call.err, adapter.ErrDegraded, 0, "a", "c")
		a.request()
		c.request()
		a.say(&adapter.Message{Kind: adapter.KindGoodbye})
		c.say(&adapter.Message{Kind: adapter.KindGoodbye})
		synctest.Wait()
		call = ask(t.Context(), t, topic, adapter.ActionFetch)
		call.ends(0)
		isPartial(t, call.err, adapter.ErrDegraded, 0)
	})
}

func TestAsk_RefusedRequestIsNotWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := memory.New()
		b := newBus(hub)
		b.refusal = adapter.ErrQueueFull
		topic := join(t, start(t, b), "/", nil)
		meet(t, hub, "a")
		synctest.Wait()
		call := ask(t.Context(), t, topic, adapter.ActionFetch)
		call.ends(0)
		var partial *PartialError
		if !errors.Is(call.err, adapter.ErrQueueFull) || errors.As(call.err, &partial) {
			t.Errorf("got %v, want adapter.ErrQueueFull alone", call.err)
		}
		if n := topic.node.pendingCalls(); n != 0 {
			t.Errorf("%d calls are left", n)
		}
		if err := topic.Tell(t.Context(), &adapter.Request{}); !errors.Is(err, adapter.ErrQueueFull) {
			t.Errorf("Tell: got %v, want adapter.ErrQueueFull", err)
		}
	})
}

func TestAsk_EndedContextAsksNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := memory.New()
		topic := join(t, start(t, hub), "/", nil)
		a := meet(t, hub, "a")
		synctest.Wait()
		cause := errors.New("over")
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(cause)
		call := ask(ctx, t, topic, adapter.ActionDisconnect)
		call.ends(0)
		if !errors.Is(call.err, cause) || len(a.arrived()) != 0 {
			t.Errorf("got %v, want the context's cause and no request", call.err)
		}
	})
}

func TestAsk_CloseEndsIt(t *testing.T) {
	for name, end := range map[string]func(*testing.T, *Topic){
		"of the node": func(t *testing.T, topic *Topic) { closeNode(t, topic.node) },
		"of the topic": func(t *testing.T, topic *Topic) {
			if err := topic.Close(t.Context()); err != nil {
				t.Error(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				hub := memory.New()
				topic := join(t, start(t, hub), "/", nil)
				meet(t, hub, "a")
				synctest.Wait()
				call := ask(t.Context(), t, topic, adapter.ActionFetch)
				call.pending("before Close")
				end(t, topic)
				call.ends(0)
				isPartial(t, call.err, ErrClosed, 0, "a")
				if err := topic.Ask(t.Context(), &adapter.Request{}, nil); !errors.Is(err, ErrClosed) {
					t.Errorf("afterwards: got %v, want ErrClosed", err)
				}
			})
		})
	}
}

func TestBegin_DoesNotWaitAndKeepsTheOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := memory.New()
		topic := join(t, start(t, hub), "/", nil)
		a := meet(t, hub, "a")
		synctest.Wait()
		began, received := time.Now(), 0
		call, err := topic.Begin(t.Context(), &adapter.Request{Action: adapter.ActionCall}, func(*adapter.Response) { received++ })
		if err != nil || !time.Now().Equal(began) {
			t.Fatalf("after %v: %v", time.Since(began), err)
		}
		if err := topic.Broadcast(t.Context(), &adapter.Broadcast{}); err != nil {
			t.Fatal(err)
		}
		messages := a.arrived()
		if got, want := kinds(messages), []adapter.Kind{adapter.KindRequest, adapter.KindBroadcast}; !slices.Equal(got, want) {
			t.Fatalf("kinds %v arrived, want %v", got, want)
		}
		a.answer(messages[0], adapter.Response{Receivers: 1})
		time.Sleep(2 * time.Second)
		if received != 0 {
			t.Error("an answer was received before Wait")
		}
		err = call.Wait(t.Context())
		if took := time.Since(began); took != 5*time.Second || received != 1 {
			t.Errorf("Wait ended after %v with %d answers, want the time that the nodes were told", took, received)
		}
		isPartial(t, err, context.DeadlineExceeded, 0, "a")
	})
}

func TestTell_WantsNoAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := memory.New()
		topic := join(t, start(t, hub), "/", nil)
		a := meet(t, hub, "a")
		if err := topic.Tell(t.Context(), &adapter.Request{ID: "x", Action: adapter.ActionEvent}); err != nil {
			t.Fatal(err)
		}
		if got := a.request().Request; got.ID != "" || got.Action != adapter.ActionEvent {
			t.Errorf("got %+v, want an event without an id", got)
		}
	})
}
