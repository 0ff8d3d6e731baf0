package cluster

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/roomcast/roomcast/pkg/adapter"
	"github.com/roomcast/roomcast/pkg/adapter/memory"
)

// ordered is an adapter whose log brings back a node's own requests too.
type ordered struct{ *memory.Adapter }

func (ordered) TotalOrder() {}

func (o ordered) JoinRecoverable(ctx context.Context, topic string, self adapter.NodeID, r adapter.Retention, deliver func(*adapter.Message)) (adapter.RecoveryLink, error) {
	link, err := o.Adapter.JoinRecoverable(ctx, topic, self, r, deliver)
	return &orderedLink{link, self, deliver}, err
}

type orderedLink struct {
	adapter.RecoveryLink
	self    adapter.NodeID
	deliver func(*adapter.Message)
}

func (l *orderedLink) Publish(ctx context.Context, m *adapter.Message) error {
	if m.Kind == adapter.KindRequest && m.To == "" && changes(m.Request.Action) {
		own := m.Clone()
		own.From = l.self
		l.deliver(own)
	}
	return l.RecoveryLink.Publish(ctx, m)
}

func TestTopic_LogThatOrdersEverythingIsJoinedAsOne(t *testing.T) {
	for name, test := range map[string]struct {
		adapter  adapter.Adapter
		recovery *adapter.Retention
		returns  bool
		recovers bool
		ordered  bool
	}{
		"no log":                   {memory.New(), nil, false, false, false},
		"recovery":                 {memory.New(), &adapter.Retention{}, true, true, false},
		"total order":              {ordered{memory.New()}, nil, true, false, true},
		"total order and recovery": {ordered{memory.New()}, &adapter.Retention{MaxLogBytes: 1 << 20}, true, true, true},
		"alone":                    {nil, nil, false, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			n := startWith(t, Options{Adapter: test.adapter, Recovery: test.recovery})
			type delivery struct {
				offset bool
				own    bool
			}
			var got []delivery
			topic := joinWith(t, n, "/", Handler{
				Broadcast: func(_ *adapter.Broadcast, offset string, own bool) { got = append(got, delivery{offset != "", own}) },
			})
			if topic.Returns() != test.returns || (topic.Recovery() != nil) != test.recovers || topic.Ordered() != test.ordered {
				t.Errorf("returns %v, recovery %v, ordered %v", topic.Returns(), topic.Recovery() != nil, topic.Ordered())
			}
			if err := topic.Broadcast(t.Context(), &adapter.Broadcast{}); err != nil {
				t.Fatal(err)
			}
			var want []delivery
			if test.returns {
				want = []delivery{{test.recovers, true}}
			}
			if !slices.Equal(got, want) {
				t.Errorf("got %+v, want %+v", got, want)
			}
		})
	}
}

// This node too is to confirm a change, and answers itself.
func TestAsk_OwnChangesAreConfirmedWhereTheyComeBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := ordered{memory.New()}
		var held func(*adapter.Response)
		n, other := start(t, bus), start(t, bus)
		topic := joinWith(t, n, "/", Handler{Request: func(r *adapter.Request, answer func(*adapter.Response)) {
			if r.Action == adapter.ActionJoin {
				held = answer
				return
			}
			answer(&adapter.Response{Done: true})
		}})
		join(t, other, "/", nil)
		time.Sleep(time.Second)
		call := ask(t.Context(), t, topic, adapter.ActionJoin)
		synctest.Wait()
		call.pending("while this node has not answered")
		held(&adapter.Response{Done: true})
		call.succeeds()
		for _, action := range []adapter.Action{adapter.ActionLeave, adapter.ActionDisconnect, adapter.ActionRooms} {
			ask(t.Context(), t, topic, action).succeeds()
		}
		call = ask(seconds(t, 1), t, topic, adapter.ActionJoin)
		time.Sleep(time.Second)
		synctest.Wait()
		isPartial(t, call.err, context.DeadlineExceeded, 0, n.ID())
	})
}

func TestAskNode_OnlyThatNodeHearsAndAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := memory.New()
		topic := join(t, start(t, hub), "/", nil)
		var asked []string
		var nodes []*Node
		for _, name := range []string{"a", "b"} {
			n := start(t, hub)
			nodes = append(nodes, n)
			joinWith(t, n, "/", Handler{Request: func(r *adapter.Request, answer func(*adapter.Response)) {
				asked = append(asked, name)
				answer(&adapter.Response{Done: true, Receivers: 1})
			}})
		}
		time.Sleep(time.Second)
		answers := 0
		receive := func(*adapter.Response) { answers++ }
		r := &adapter.Request{Action: adapter.ActionRelease, Rooms: []string{"id"}}
		if err := topic.AskNode(t.Context(), nodes[1].ID(), r, receive); err != nil || answers != 1 || !slices.Equal(asked, []string{"b"}) {
			t.Errorf("AskNode: %v; %d answers; %q were asked", err, answers, asked)
		}
		began := time.Now()
		err := topic.AskNode(t.Context(), "unknown", r, receive)
		if !errors.Is(err, ErrNodeLost) || !time.Now().Equal(began) {
			t.Errorf("of a node that is none: %v after %v", err, time.Since(began))
		}
		closeNode(t, nodes[1])
		synctest.Wait()
		if err := topic.AskNode(t.Context(), nodes[1].ID(), r, receive); !errors.Is(err, ErrNodeLost) {
			t.Errorf("of a node that has left: %v", err)
		}
		if n := topic.node.pendingCalls(); n != 0 || answers != 1 {
			t.Errorf("%d calls are left, %d answers", n, answers)
		}
	})
}

// Nodes that count those without names are not waited for.
func TestAskNode_EndsWithItsNodeAndItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := memory.New()
		topic := join(t, start(t, counts(hub, 10)), "/", nil)
		a := meet(t, hub, "a")
		synctest.Wait()
		began := time.Now()
		err := topic.AskNode(seconds(t, 2), "a", &adapter.Request{Action: adapter.ActionRelease}, nil)
		if took := time.Since(began); !errors.Is(err, context.DeadlineExceeded) || took != 2*time.Second {
			t.Errorf("AskNode: %v after %v", err, took)
		}
		if r := a.request().Request; r.Timeout != 2*time.Second {
			t.Errorf("the node was asked for an answer in %v", r.Timeout)
		}
	})
}

func TestHandler_ReleaseIsForWhoIsAddressed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := memory.New()
		n, served := start(t, hub), 0
		joinWith(t, n, "/", Handler{Request: func(*adapter.Request, func(*adapter.Response)) { served++ }})
		a := stranger(t, hub, "a")
		for _, to := range []adapter.NodeID{"", n.ID(), "other"} {
			a.publish(&adapter.Message{To: to, Kind: adapter.KindRequest, Request: &adapter.Request{Action: adapter.ActionRelease}})
		}
		synctest.Wait()
		if served != 1 {
			t.Errorf("%d of three requests were served, want the one that was addressed", served)
		}
	})
}

func TestNode_OwnsIDsOfAllItsTags(t *testing.T) {
	n := start(t, memory.New())
	first := n.TagSuffix()
	n.take((n.Tag() + 1) & maxTag)
	for id, want := range map[string]bool{
		"0123456789abcdef" + first:         true,
		"0123456789abcdef" + n.TagSuffix(): true,
		"0123456789abcde" + first:          false,
		"0123456789abcdef" + first + "=":   false,
		first + "0123456789abcdef":         first == "cdef",
		"":                                 false,
	} {
		if n.Owns(id) != want {
			t.Errorf("Owns(%q) is %v", id, !want)
		}
	}
}

// lonely is a bus that cannot be told of ids together.
type lonely struct{ *bus }

func (l lonely) Join(ctx context.Context, topic string, self adapter.NodeID, deliver func(*adapter.Message)) (adapter.Link, error) {
	link, err := l.bus.Join(ctx, topic, self, deliver)
	return lonelyLink{link.(*busLink)}, err
}

type lonelyLink struct{ *busLink }

func (lonelyLink) SocketIDs(context.Context, string) error { return errors.ErrUnsupported }

func TestTopic_LinkThatKnowsNoSuffixes(t *testing.T) {
	hub := memory.New()
	if topic := join(t, start(t, lonely{newBus(hub)}), "/", nil); !topic.IDsAreRooms() {
		t.Error("ids are to be told together")
	}
	if topic := join(t, start(t, newBus(hub)), "/", nil); topic.IDsAreRooms() {
		t.Error("ids are not to be told together")
	}
}

func TestStrangers_EachIsWarnedOfOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := memory.New()
		var log strings.Builder
		startWith(t, Options{Adapter: hub, Application: "shop", Logger: slog.New(slog.NewTextHandler(&log, nil))})
		w := watch(t, hub, "a")
		say := func(applications ...string) {
			for _, name := range applications {
				w.say(&adapter.Message{Kind: adapter.KindHeartbeat, Heartbeat: &adapter.Heartbeat{Application: name}})
			}
			synctest.Wait()
		}
		warnings := func() int { return strings.Count(log.String(), "another application") }
		if say("", "shop", ""); warnings() != 0 {
			t.Errorf("without another application: %s", log.String())
		}
		if say("chat", "chat", "shop", "chat"); warnings() != 1 {
			t.Errorf("of one other application: %s", log.String())
		}
		for range 2 * maxStrangers {
			say(strings.Repeat("x", warnings()))
		}
		if say("more"); warnings() > maxStrangers {
			t.Errorf("%d warnings", warnings())
		}
		time.Sleep(6 * time.Second)
		heard := w.take()
		if len(heard) == 0 || heard[0].Heartbeat.Application != "shop" {
			t.Errorf("heartbeats say %+v", heard)
		}
	})
}

func TestStrangers_NodeWithoutApplicationWarnsOfNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := memory.New()
		var log strings.Builder
		startWith(t, Options{Adapter: hub, Logger: slog.New(slog.NewTextHandler(&log, nil))})
		watch(t, hub, "a").say(&adapter.Message{Kind: adapter.KindHeartbeat, Heartbeat: &adapter.Heartbeat{Application: "chat"}})
		synctest.Wait()
		if strings.Contains(log.String(), "another application") {
			t.Error(log.String())
		}
	})
}
