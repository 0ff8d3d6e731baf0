package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/roomcast/roomcast/pkg/adapter"
	"github.com/roomcast/roomcast/pkg/adapter/memory"
)

func TestHandler_AnswersGoToTheAskerAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := memory.New()
		var later func(*adapter.Response)
		n := start(t, hub)
		joinWith(t, n, "/", Handler{Request: func(r *adapter.Request, answer func(*adapter.Response)) {
			answer(&adapter.Response{ID: "x", Receivers: 2})
			r.ID, r.Action = "changed", adapter.ActionJoin // it is the handler's
			later = answer
		}})
		for _, id := range []adapter.NodeID{"a", "nodejs:1", "emitter"} {
			asker, other := stranger(t, hub, id), stranger(t, hub, "other")
			asker.publish(&adapter.Message{Kind: adapter.KindRequest, Request: &adapter.Request{ID: "7", Action: adapter.ActionCall}})
			go later(&adapter.Response{Answer: ack("1")})
			synctest.Wait()
			later(&adapter.Response{Done: true})
			got := asker.arrived()
			if len(got) != 3 || got[0].Response.Receivers != 2 || got[1].Response.Answer == nil || !got[2].Response.Done {
				t.Fatalf("%s got %d answers, want three in order", id, len(got))
			}
			for _, m := range got {
				if m.From != n.ID() || m.To != id || m.Response.ID != "7" || m.Response.Action != adapter.ActionCall {
					t.Errorf("%s got %+v from %q to %q", id, m.Response, m.From, m.To)
				}
			}
			if got := other.arrived(); len(got) != 1 {
				t.Errorf("another node got %d messages, want the request only", len(got))
			}
		}
	})
}

func TestHandler_AnswerToATellDoesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := memory.New()
		requests := 0
		joinWith(t, start(t, hub), "/", Handler{Request: func(_ *adapter.Request, answer func(*adapter.Response)) {
			requests++
			answer(&adapter.Response{Done: true})
		}})
		a := stranger(t, hub, "a")
		a.publish(&adapter.Message{Kind: adapter.KindRequest})
		a.publish(&adapter.Message{Kind: adapter.KindRequest, Request: &adapter.Request{Action: adapter.ActionJoin}})
		if got := a.arrived(); requests != 1 || len(got) != 0 {
			t.Errorf("%d requests gave %d answers, want one and none", requests, len(got))
		}
	})
}

func TestHandler_UnsentAnswerIsLoggedUnlessClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := memory.New()
		b := newBus(hub)
		var log strings.Builder
		n := startWith(t, Options{Adapter: b, Logger: slog.New(slog.NewTextHandler(&log, nil))})
		var answer func(*adapter.Response)
		joinWith(t, n, "/", Handler{Request: func(_ *adapter.Request, a func(*adapter.Response)) { answer = a }})
		stranger(t, hub, "a").publish(&adapter.Message{Kind: adapter.KindRequest, Request: &adapter.Request{ID: "1"}})
		closeNode(t, n)
		answer(&adapter.Response{})
		if strings.Contains(log.String(), "not answered") {
			t.Errorf("after Close: %s", log.String())
		}
		b.refusal = adapter.ErrTooLarge
		answer(&adapter.Response{})
		if got := log.String(); !strings.Contains(got, "request was not answered") || !strings.Contains(got, adapter.ErrTooLarge.Error()) {
			t.Errorf("logged %q, want why the answer was not sent", got)
		}
	})
}

// eager delivers a request before Join has returned.
type eager struct{ *memory.Adapter }

func (e eager) Join(ctx context.Context, topic string, self adapter.NodeID, deliver func(*adapter.Message)) (adapter.Link, error) {
	if topic == "/" {
		deliver(&adapter.Message{From: "a", Kind: adapter.KindRequest, Request: &adapter.Request{ID: "1"}})
		deliver(&adapter.Message{From: "a", Kind: adapter.KindBroadcast, Broadcast: &adapter.Broadcast{}})
	}
	return e.Adapter.Join(ctx, topic, self, deliver)
}

func TestJoin_RequestThatComesFirstIsAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := memory.New()
		a := stranger(t, hub, "a")
		broadcasts := 0
		joinWith(t, start(t, eager{hub}), "/", Handler{
			Broadcast: func(*adapter.Broadcast, string, bool) { broadcasts++ },
			Request: func(_ *adapter.Request, answer func(*adapter.Response)) {
				for i := range 3 {
					answer(&adapter.Response{Receivers: i})
				}
			},
		})
		var got []int
		for _, m := range a.arrived() {
			got = append(got, m.Response.Receivers)
		}
		if !slices.Equal(got, []int{0, 1, 2}) || broadcasts != 1 {
			t.Errorf("got answers %v and %d broadcasts, want three in order and one", got, broadcasts)
		}
	})
}

// keeper is a RecoveryStore that delivers broadcasts to their sender too.
type keeper struct {
	*memory.Adapter
	retention adapter.Retention
	joined    []string
}

type keptLink struct {
	adapter.RecoveryLink // nil: what is not tested
	link                 adapter.Link
	deliver              func(*adapter.Message)
	last                 int
}

func (k *keeper) JoinRecoverable(ctx context.Context, topic string, self adapter.NodeID, r adapter.Retention, deliver func(*adapter.Message)) (adapter.RecoveryLink, error) {
	if topic == "/refused" {
		return nil, errors.New("keeper: refused")
	}
	k.retention = r
	k.joined = append(k.joined, topic)
	link, err := k.Adapter.Join(ctx, topic, self, deliver)
	return &keptLink{link: link, deliver: deliver}, err
}

func (l *keptLink) Publish(ctx context.Context, m *adapter.Message) error {
	if m.Kind == adapter.KindBroadcast {
		l.last++
		m.Offset = fmt.Sprint(l.last)
		l.deliver(m.Clone())
	}
	return l.link.Publish(ctx, m)
}

func (l *keptLink) Close(ctx context.Context) error { return l.link.Close(ctx) }

// offsets is a handler that notes them.
func offsets(list *[]string) Handler {
	return Handler{Broadcast: func(_ *adapter.Broadcast, offset string, _ bool) { *list = append(*list, offset) }}
}

func TestJoin_WithRecoveryBroadcastsComeFromTheLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &keeper{Adapter: memory.New()}
		retention := adapter.Retention{MaxRecords: 3}
		n := startWith(t, Options{Adapter: store, Recovery: &retention})
		var own, others []string
		topic := joinWith(t, n, "/", offsets(&own))
		plain := joinWith(t, start(t, store.Adapter), "/", offsets(&others))
		for range 2 {
			if err := topic.Broadcast(t.Context(), &adapter.Broadcast{}); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		if !slices.Equal(own, []string{"1", "2"}) || !slices.Equal(others, []string{"", ""}) {
			t.Errorf("got offsets %q, and %q without recovery; want 1 and 2, and none", own, others)
		}
		if !slices.Equal(store.joined, []string{"/"}) || store.retention != retention {
			t.Errorf("joined %q with %+v", store.joined, store.retention)
		}
		if topic.Recovery() == nil || plain.Recovery() != nil {
			t.Errorf("got recovery %v, and %v without the option", topic.Recovery(), plain.Recovery())
		}
	})
}

func TestJoin_RefusedRecoveryIsNoTopic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := startWith(t, Options{Adapter: &keeper{Adapter: memory.New()}, Recovery: &adapter.Retention{}})
		if topic, err := n.Join(t.Context(), "/refused", handle(nil)); topic != nil || err == nil || errors.Is(err, adapter.ErrDegraded) {
			t.Errorf("got %v, %v, want the adapter's error", topic, err)
		}
	})
}

func TestStart_RecoveryNeedsAStore(t *testing.T) {
	for name, a := range map[string]adapter.Adapter{"*cluster.bus": newBus(memory.New()), "<nil>": nil} {
		n, err := Start(t.Context(), Options{Adapter: a, Recovery: &adapter.Retention{}})
		if n != nil || !errors.Is(err, ErrNoRecovery) || !strings.Contains(err.Error(), name) {
			t.Errorf("got %v, %v, want ErrNoRecovery and %q", n, err, name)
		}
	}
}

func TestPartialError_NamesWhoIsMissing(t *testing.T) {
	for want, e := range map[string]PartialError{
		"cluster: no answer from nodes [a b] and from 2 unnamed nodes: cluster: node was lost": {[]adapter.NodeID{"a", "b"}, 2, ErrNodeLost},
		"cluster: no answer from 1 unnamed nodes: context deadline exceeded":                   {nil, 1, context.DeadlineExceeded},
		"cluster: answers may be missing: adapter: backend is not reachable":                   {nil, 0, adapter.ErrDegraded},
	} {
		if got := e.Error(); got != want || !errors.Is(&e, e.Err) {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
