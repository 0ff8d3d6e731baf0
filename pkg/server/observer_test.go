package server_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	gosync "sync"
	"testing"

	"github.com/roomcast/roomcast/internal/testutil/rawclient"
	"github.com/roomcast/roomcast/pkg/adapter"
	"github.com/roomcast/roomcast/pkg/adapter/memory"
	"github.com/roomcast/roomcast/pkg/server"
)

func TestObserver_IsToldOfTheBus(t *testing.T) {
	way := newStream().node()
	var told []adapter.Event
	s, _ := start(t, server.Options{Adapter: way, Observer: &server.Observer{Bus: func(e adapter.Event) {
		told = append(told, e)
		switch len(told) {
		case 1:
			panic("boom")
		case 2:
			runtime.Goexit()
		}
	}}})
	watch := *way.watching.Load()
	cause := errors.New("cut")
	watch(adapter.Event{Status: adapter.Status{State: adapter.Degraded}, Cause: cause})
	watch(adapter.Event{Gap: &adapter.Gap{Topics: []string{"/"}}})
	watch(adapter.Event{})
	if len(told) != 3 || told[0].Cause != cause || told[1].Gap == nil {
		t.Errorf("told of %+v", told)
	}
	if n := s.Stats().Panics; n != 2 {
		t.Errorf("%d panics are counted", n)
	}
	for range 2 {
		errs(t, s.Shutdown(t.Context()))
	}
	if way.watching.Load() != nil {
		t.Error("the adapter is watched after Shutdown")
	}
}

func TestObserver_MayBeEmptyOrHaveNothingToWatch(t *testing.T) {
	way := newStream().node()
	start(t, server.Options{Adapter: way, Observer: &server.Observer{}})
	if way.watching.Load() != nil {
		t.Error("an observer without functions watches")
	}
	bus := func(adapter.Event) {}
	start(t, server.Options{Adapter: memory.New(), Observer: &server.Observer{Bus: bus}})
	start(t, server.Options{Observer: &server.Observer{Bus: bus}})
}

func TestObserver_IsNotToldOfAServerThatDoesNotStart(t *testing.T) {
	way := newStream().node()
	_, err := server.New(server.Options{
		Adapter: way, Observer: &server.Observer{Bus: func(adapter.Event) {}}, HeartbeatInterval: 2, HeartbeatTimeout: 1,
	})
	if err == nil || way.watching.Load() != nil {
		t.Errorf("New: %v; watched: %v", err, way.watching.Load() != nil)
	}
}

func TestHealth_TellsWhatTheAdapterCounts(t *testing.T) {
	way := newStream().node()
	way.lost.Store(2)
	s, _ := start(t, server.Options{Adapter: way})
	h := s.Health()
	if h.BusInterruptions != 2 || h.LogResets != 3 || h.LogGaps != 4 || h.BusGaps != 5 || h.Repeated != 6 {
		t.Errorf("%+v", h)
	}
	way.away.Store(true)
	if h := s.Health(); h.Bus != "degraded" || !h.Ready {
		t.Errorf("%+v", h)
	}
	way.away.Store(false)
}

// lines keeps what is logged.
type lines struct {
	mu   gosync.Mutex
	text strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) count(what string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), what)
}

func TestApplication_AnotherOneIsWarnedOf(t *testing.T) {
	bus := memory.New()
	var log lines
	logger := slog.New(slog.NewTextHandler(&log, nil))
	shop, _ := start(t, server.Options{Adapter: bus, Application: "shop", Logger: logger})
	same, _ := start(t, server.Options{Adapter: bus, Application: "shop"})
	meet(t, []*server.Server{shop, same})
	if n := log.count("another application"); n != 0 {
		t.Errorf("%d warnings of the same application", n)
	}
	chat, _ := start(t, server.Options{Adapter: bus, Application: "chat"})
	meet(t, []*server.Server{shop, same, chat})
	eventually(t, "a warning", func() bool { return log.count("another application") == 1 })
	if log.count("shop") == 0 || log.count("chat") == 0 || log.count("Prefix") == 0 {
		t.Errorf("logged %q", log.text.String())
	}
}

// The tests are one program, which the build names.
func TestApplication_DefaultsToTheMainPackage(t *testing.T) {
	bus := memory.New()
	var log lines
	unnamed, _ := start(t, server.Options{Adapter: bus})
	named, _ := start(t, server.Options{Adapter: bus, Application: "shop", Logger: slog.New(slog.NewTextHandler(&log, nil))})
	meet(t, []*server.Server{unnamed, named})
	eventually(t, "a warning", func() bool { return log.count("roomcast/pkg/server") == 1 })
}

// unsuffixed is a bus that cannot be told of ids by what they end in.
type unsuffixed struct{ *routed }

func (u unsuffixed) Join(ctx context.Context, topic string, self adapter.NodeID, deliver func(*adapter.Message)) (adapter.Link, error) {
	l, err := u.routed.Join(ctx, topic, self, deliver)
	return unsuffixedLink{l.(*routedLink)}, err
}

type unsuffixedLink struct{ *routedLink }

func (unsuffixedLink) SocketIDs(context.Context, string) error {
	return fmt.Errorf("unsuffixed: %w", errors.ErrUnsupported)
}

// Where ids cannot be told together, each socket's room is announced, and given back.
func TestJoin_RoomsOfIDsAreAnnouncedWhereTheyMustBe(t *testing.T) {
	bus := unsuffixed{newRouted()}
	var log lines
	s, url := start(t, server.Options{Adapter: bus, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	other, _ := start(t, server.Options{Adapter: bus})
	meet(t, []*server.Server{s, other})
	c, id := rawclient.Join(t, url, "/", nil)
	errs(t, other.To(id).Emit("hello"))
	c.Expect(`2["hello"]`)
	if occupied, empty := bus.counts(id); occupied != 1 || empty != 0 {
		t.Errorf("the room was announced %d times and given back %d times", occupied, empty)
	}
	c.Close()
	eventually(t, "the end of the room", func() bool { _, empty := bus.counts(id); return empty > 0 })
	if n := log.count("not connected to the cluster"); n != 0 {
		t.Errorf("logged %q", log.text.String())
	}
}
