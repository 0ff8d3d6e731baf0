package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/roomcast/roomcast/pkg/adapter"
	"github.com/roomcast/roomcast/pkg/adapter/memory"
	"github.com/roomcast/roomcast/pkg/packet"
)

func ack(data string) *packet.Packet {
	return &packet.Packet{Type: packet.Ack, Namespace: "/", Data: []byte("[" + data + "]")}
}

// uncounted is a census that fails.
func uncounted(hub *memory.Adapter, err error) *census {
	return &census{hub, func(context.Context) (int, error) { return 0, err }}
}

func TestUnnamed_AsManyAnswersAreWaitedForAsAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := memory.New()
		topic := join(t, start(t, counts(hub, 4)), "/", nil) // this one, a, and two others
		a, foreign := meet(t, hub, "a"), stranger(t, hub, "nodejs")
		synctest.Wait()
		call := ask(t.Context(), t, topic, adapter.ActionRooms)
		a.answer(a.request(), adapter.Response{Done: true})
		m := foreign.request()
		foreign.answer(m, adapter.Response{Rooms: []string{"1"}, Done: true})
		call.pending("one of two has answered")
		foreign.answer(m, adapter.Response{Rooms: []string{"2"}, Done: true})
		call.succeeds()
		if got := call.rooms(); !slices.Equal(got, []string{"1", "2"}) {
			t.Errorf("received %q, want both", got)
		}
	})
}

func TestUnnamed_WithoutMembersTheyAreAskedToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := memory.New()
		topic := join(t, start(t, counts(hub, 2)), "/", nil)
		foreign := stranger(t, hub, "nodejs")
		call := ask(t.Context(), t, topic, adapter.ActionFetch)
		foreign.answer(foreign.request(), adapter.Response{Done: true})
		call.succeeds()
	})
}

func TestUnnamed_MissingOnesAreANumber(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := memory.New()
		topic := join(t, start(t, counts(hub, 4)), "/", nil)
		foreign := stranger(t, hub, "nodejs")
		call := ask(seconds(t, 2), t, topic, adapter.ActionEvent)
		foreign.answer(foreign.request(), adapter.Response{Done: true})
		call.ends(2 * time.Second)
		isPartial(t, call.err, context.DeadlineExceeded, 2)
	})
}

func TestUnnamed_ConfirmNoChanges(t *testing.T) {
	for _, action := range []adapter.Action{adapter.ActionJoin, adapter.ActionLeave, adapter.ActionDisconnect} {
		synctest.Test(t, func(t *testing.T) {
			hub := memory.New()
			topic := join(t, start(t, &census{hub, func(context.Context) (int, error) {
				t.Errorf("action %d: nodes are counted", action)
				return 9, nil
			}}), "/", nil)
			a := meet(t, hub, "a")
			synctest.Wait()
			call := ask(t.Context(), t, topic, action)
			call.pending("a has not confirmed")
			a.answer(a.request(), adapter.Response{Done: true})
			call.succeeds()
		})
	}
}

func TestUnnamed_FailedCountIsToldWithWhatIsMissing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := memory.New()
		refused := errors.New("refused")
		topic := join(t, start(t, uncounted(hub, refused)), "/", nil)
		a := meet(t, hub, "a")
		synctest.Wait()
		call := ask(t.Context(), t, topic, adapter.ActionFetch)
		a.answer(a.request(), adapter.Response{Done: true})
		call.succeeds()

		call = ask(t.Context(), t, topic, adapter.ActionFetch)
		a.say(&adapter.Message{Kind: adapter.KindGoodbye})
		call.ends(0)
		isPartial(t, call.err, ErrNodeLost, 0, "a")
		isPartial(t, call.err, refused, 0, "a")
	})
}

func TestUnnamed_CountEndsWithTheCall(t *testing.T) {
	for name, c := range map[string]struct {
		end   func(*testing.T, *Topic)
		after time.Duration
		cause error
	}{
		"deadline": {func(*testing.T, *Topic) {}, 2 * time.Second, context.DeadlineExceeded},
		"close":    {func(t *testing.T, topic *Topic) { closeNode(t, topic.node) }, 0, ErrClosed},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				hub := memory.New()
				topic := join(t, start(t, &census{hub, func(ctx context.Context) (int, error) {
					<-ctx.Done()
					return 0, ctx.Err()
				}}), "/", nil)
				a, b := meet(t, hub, "a"), meet(t, hub, "b")
				synctest.Wait()
				call := ask(seconds(t, 2), t, topic, adapter.ActionFetch)
				a.answer(a.request(), adapter.Response{Done: true})
				b.request()
				call.pending("the count is under way")
				c.end(t, topic)
				call.ends(c.after)
				isPartial(t, call.err, c.cause, 0, "b")
				if len(call.got) != 1 {
					t.Errorf("received %d answers, want what has come", len(call.got))
				}
			})
		})
	}
}

func TestUnnamed_MemberThatIsCountedBeforeItIsKnownHasOneAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := memory.New()
		topic := join(t, start(t, counts(hub, 3)), "/", nil)
		fresh, foreign := stranger(t, hub, "fresh"), stranger(t, hub, "nodejs")
		call := ask(t.Context(), t, topic, adapter.ActionFetch)
		fresh.answer(fresh.request(), adapter.Response{Done: true})
		call.pending("the foreign one has not answered")
		foreign.answer(foreign.request(), adapter.Response{Done: true})
		call.succeeds()
	})
}

func TestUnnamed_MemberThatIsKnownBeforeTheCountIsNotAmongThem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := memory.New()
		topic := join(t, start(t, counts(hub, 3)), "/", nil)
		fresh, foreign := stranger(t, hub, "fresh"), stranger(t, hub, "nodejs")
		c, err := topic.Begin(t.Context(), &adapter.Request{Action: adapter.ActionFetch}, func(*adapter.Response) {})
		if err != nil {
			t.Fatal(err)
		}
		fresh.announce("/")
		fresh.answer(fresh.request(), adapter.Response{Done: true})
		ended := make(chan error, 1)
		go func() { ended <- c.Wait(t.Context()) }()
		synctest.Wait()
		if len(ended) != 0 {
			t.Fatalf("ended with %v before the foreign node has answered", <-ended)
		}
		foreign.answer(foreign.request(), adapter.Response{Done: true})
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// says is a response to ActionCall as a step of a story.
type says struct {
	node      adapter.NodeID
	receivers int
	answer    bool
	done      bool
	missing   int // afterwards
}

func TestUnnamed_CallIsCompleteWhenReceiversHaveAnswered(t *testing.T) {
	for name, c := range map[string]struct {
		unnamed int
		story   []says
	}{
		"nobody is waited for": {0, []says{{node: "nodejs", receivers: 3}}},
		"no receivers":         {1, []says{{node: "nodejs"}}},
		"one node": {1, []says{
			{node: "nodejs", receivers: 2, missing: 1}, {node: "nodejs", answer: true, missing: 1}, {node: "nodejs", answer: true},
		}},
		"the sums of two are compared": {2, []says{
			{node: "nodejs", receivers: 1, missing: 2}, {node: "nodejs", answer: true, missing: 1},
			{node: "nodejs", receivers: 2, missing: 1}, {node: "nodejs", answer: true, missing: 1}, {node: "nodejs", answer: true},
		}},
		"a late member says done": {2, []says{
			{node: "late", receivers: 2, missing: 2}, {node: "late", answer: true, missing: 2},
			{node: "nodejs", missing: 1}, {node: "late", done: true},
		}},
		"done is no second report": {2, []says{
			{node: "late", receivers: 1, missing: 2}, {node: "late", done: true, missing: 1}, {node: "nodejs"},
		}},
		"a late member without receivers": {1, []says{{node: "late", done: true}}},
		"done with the last answer": {1, []says{
			{node: "late", receivers: 1, missing: 1}, {node: "late", answer: true, done: true},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			tally := newTally(adapter.ActionCall, nil)
			tally.expectUnnamed(1+c.unnamed, nil)
			for i, s := range c.story {
				r := &adapter.Response{Receivers: s.receivers, Done: s.done}
				if s.answer {
					r.Answer = ack("1")
				}
				if !tally.add(event{s.node, r}) {
					t.Errorf("step %d: not received", i)
				}
				if got := tally.unnamedMissing(); got != s.missing || tally.waits() != (s.missing > 0) {
					t.Fatalf("step %d: %d are missing, want %d", i, got, s.missing)
				}
			}
		})
	}
}

func TestUnnamed_LateMemberThatLeavesACallIsNotWaitedFor(t *testing.T) {
	tally := newTally(adapter.ActionCall, nil)
	tally.expectUnnamed(2, nil)
	tally.add(event{"late", &adapter.Response{Receivers: 2}})
	if tally.add(event{"late", nil}) || tally.waits() {
		t.Error("still waits")
	}
}

func TestUnnamed_MemberThatHasLeftIsNotTakenFromTheCount(t *testing.T) {
	tally := newTally(adapter.ActionFetch, []adapter.NodeID{"a", "left"})
	tally.expectUnnamed(3, []adapter.NodeID{"a"})
	if tally.unnamed != 1 {
		t.Errorf("waits for %d, want the one beside this node and a", tally.unnamed)
	}
}

func TestUnnamed_CountBelowTheMembersIsNone(t *testing.T) {
	tally := newTally(adapter.ActionFetch, nil)
	tally.expectUnnamed(1, []adapter.NodeID{"a", "b"})
	if tally.unnamed != 0 || tally.waits() {
		t.Errorf("waits for %d", tally.unnamed)
	}
}

func TestCount_IsThisNodeItsMembersAndTheUnnamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := memory.New()
		for _, c := range []struct {
			adapter adapter.Adapter
			want    int
			err     error
		}{
			{hub, 3, nil},
			{counts(hub, 5), 5, nil},
			{counts(hub, 1), 3, nil}, // Redis has lost what still counts as a member
			{uncounted(hub, fmt.Errorf("census: %w", adapter.ErrDegraded)), 3, adapter.ErrDegraded},
		} {
			n := start(t, c.adapter)
			topic := join(t, n, "/", nil)
			a, b := meet(t, hub, "a"), meet(t, hub, "b")
			stranger(t, hub, "elsewhere").announce("/other")
			synctest.Wait()
			if got, err := topic.Count(t.Context()); got != c.want || !errors.Is(err, c.err) {
				t.Errorf("%T: got %d, %v, want %d, %v", c.adapter, got, err, c.want, c.err)
			}
			closeNode(t, n)
			_, _ = a, b
		}
	})
}

func TestCount_WaitsNoLongerThanRequestTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		topic := join(t, start(t, &census{memory.New(), func(ctx context.Context) (int, error) {
			<-ctx.Done()
			return 0, ctx.Err()
		}}), "/", nil)
		began := time.Now()
		got, err := topic.Count(t.Context())
		if took := time.Since(began); got != 1 || !errors.Is(err, context.DeadlineExceeded) || took != 5*time.Second {
			t.Errorf("after %v got %d, %v, want 1 and the deadline's error", took, got, err)
		}
	})
}
