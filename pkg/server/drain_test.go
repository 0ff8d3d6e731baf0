package server_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	gosync "sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/roomcast/roomcast/internal/testutil/rawclient"
	"github.com/roomcast/roomcast/pkg/server"
)

// leaver notes when the server lets a client go.
type leaver struct {
	at   time.Duration // since the drain began
	told []string      // what came before the close
}

// awaitLeaving reads until each client is let go and returns when all are, in the
// order of their leaving.
func awaitLeaving(begun time.Time, clients ...*rawclient.Client) func() []leaver {
	var reading gosync.WaitGroup
	leavers := make([]leaver, len(clients))
	for i, c := range clients {
		reading.Go(func() {
			_ = c.Conn().SetReadDeadline(time.Time{})
			for {
				_, data, err := c.Conn().ReadMessage()
				if err != nil {
					break
				}
				if string(data) == "2" {
					c.SendRaw("3")
					continue
				}
				leavers[i].told = append(leavers[i].told, string(data))
			}
			leavers[i].at = time.Since(begun)
		})
	}
	return func() []leaver {
		reading.Wait()
		slices.SortFunc(leavers, func(a, b leaver) int { return int(a.at - b.at) })
		return leavers
	}
}

// draining begins a drain, whose result it returns the way to.
func draining(ctx context.Context, s *server.Server, window time.Duration) (ended func() error) {
	result := make(chan error, 1)
	go func() { result <- s.Drain(ctx, window) }()
	synctest.Wait()
	return func() error { return <-result }
}

func TestDrain_ClientsLeaveLinearlyOverTheWindow(t *testing.T) {
	const clients, window = 200, 20 * time.Second
	inBubble(t, server.Options{}, func(t *testing.T, s *server.Server, dial rawclient.Dialer) {
		reasons := make(chan server.DisconnectReason, clients)
		s.Of("/").OnDisconnect(func(_ context.Context, _ *server.Socket, reason server.DisconnectReason) { reasons <- reason })
		var all []*rawclient.Client
		for range clients {
			c, _ := rawclient.Join(t, pipeURL, "/", dial)
			all = append(all, c)
		}
		begun := time.Now()
		left := awaitLeaving(begun, all...)
		ended := draining(t.Context(), s, window)
		if s.Health().Ready || s.Stats().Draining != clients {
			t.Errorf("ready: %v, %d clients to go", s.Health().Ready, s.Stats().Draining)
		}
		time.Sleep(window / 2)
		if got := s.Stats().Draining; got < clients/2-1 || got > clients/2+1 {
			t.Errorf("after half of the window %d clients are to go, want half of them", got)
		}
		errs(t, ended())
		if took := time.Since(begun); took > window+100*time.Millisecond {
			t.Errorf("the drain took %v", took)
		}
		const share, tick = window / clients, 50 * time.Millisecond
		for i, l := range left() {
			if at := time.Duration(i) * share; l.at < at || l.at > at+share+tick {
				t.Errorf("client %d left after %v, want %v to %v", i+1, l.at, at, at+share)
			}
			if len(l.told) > 0 {
				t.Errorf("client %d was told %q before the close", i+1, l.told)
			}
			if got := <-reasons; got != server.ServerShutdown {
				t.Errorf("the reason is %q", got)
			}
		}
		if got := s.Stats().Draining; got != 0 {
			t.Errorf("%d clients are to go when the drain has ended", got)
		}
	})
}

func TestDrain_NobodyNewAndWhoIsHereGoesOn(t *testing.T) {
	inClusterBubble(t, 2, server.Options{}, func(t *testing.T, nodes []node) {
		leaving, other := nodes[0], nodes[1]
		echoing(leaving.Of("/"))
		sync(leaving.Of("/more"))
		c, id := leaving.member(t)
		ended := draining(t.Context(), leaving.Server, time.Hour)

		web := http.Client{Transport: &http.Transport{DialContext: leaving.dial}}
		defer web.CloseIdleConnections()
		for range 3 {
			response, err := web.Get(pipeURL + "/socket.io/?" + pollQuery)
			if err != nil {
				t.Fatal(err)
			}
			_ = response.Body.Close()
			if response.StatusCode != http.StatusServiceUnavailable || response.Header.Get("Retry-After") == "" {
				t.Errorf("a new client got %s", response.Status)
			}
		}
		c.Send(`21["echo","hello"]`)
		c.Expect(`31["hello"]`)
		c.Connect("/more", "")
		errs(t, other.Emit("from", "afar"), other.To(id).Emit("for", "you"))
		c.Expect(`2["from","afar"]`, `2["for","you"]`)
		if got := other.Health().Nodes; !slices.Contains(got, leaving.NodeID()) {
			t.Error("a node that still has clients has left the cluster")
		}
		left := awaitLeaving(time.Now(), c)
		errs(t, ended())
		left()
		synctest.Wait()
		if got := other.Health().Nodes; len(got) != 0 {
			t.Errorf("after the drain the other node knows %v", got)
		}
	})
}

func TestDrain_WithoutClientsEndsAtOnce(t *testing.T) {
	inBubble(t, server.Options{}, func(t *testing.T, s *server.Server, dial rawclient.Dialer) {
		begun := time.Now()
		errs(t, s.Drain(t.Context(), time.Hour))
		if took := time.Since(begun); took != 0 {
			t.Errorf("it took %v", took)
		}
	})
}

// Clients that go by themselves are not waited for.
func TestDrain_EndsWhenTheLastClientHasGone(t *testing.T) {
	inBubble(t, server.Options{}, func(t *testing.T, s *server.Server, dial rawclient.Dialer) {
		c, _ := rawclient.Join(t, pipeURL, "/", dial)
		idle := rawclient.Dial(t, pipeURL, dial) // in no namespace
		begun := time.Now()
		ended := draining(t.Context(), s, 1000*time.Hour)
		c.Close()
		idle.Close()
		errs(t, ended())
		if took := time.Since(begun); took > 100*time.Millisecond {
			t.Errorf("it took %v", took)
		}
	})
}

// busyness is something that a client is in the middle of, and how it ends.
type busyness struct {
	begin func(s *server.Server, c *rawclient.Client, release <-chan struct{})
	end   string // what the client is told by then
}

var busynesses = map[string]busyness{
	"a handler": {func(s *server.Server, c *rawclient.Client, release <-chan struct{}) {
		server.Handle(s.Of("/"), "work", func(context.Context, *server.Socket, struct{}) (string, error) {
			<-release
			return "done", nil
		})
		c.Send(`21["work",{}]`)
	}, `431["done"]`},
	"an awaited acknowledgement": {func(s *server.Server, c *rawclient.Client, release <-chan struct{}) {
		socket := s.Of("/").Sockets()[0]
		go func() {
			answer, err := server.Call[string](context.Background(), socket, "ask")
			if err == nil {
				err = socket.Emit("thanks", answer)
			}
			if err != nil {
				panic(err)
			}
		}()
		go func() {
			<-release
			c.Send(`30["yes"]`)
		}()
	}, `42["thanks","yes"]`},
	"a middleware": {func(s *server.Server, c *rawclient.Client, release <-chan struct{}) {
		s.Of("/slow").Use(func(context.Context, *server.Socket) error { <-release; return &server.ConnectError{Message: "no"} })
		c.Send(`0/slow,`)
	}, `44/slow,{"message":"no"}`},
}

func TestDrain_WhoIsBusyLeavesWhenItIsDone(t *testing.T) {
	// Not at the very moment at which the drain looks whether it is done: what a program does
	// after it has its answer is nothing that a drain can know of.
	const window, work = 10 * time.Second, 6*time.Second + 5*time.Millisecond
	for name, tt := range busynesses {
		t.Run(name, func(t *testing.T) {
			inBubble(t, server.Options{}, func(t *testing.T, s *server.Server, dial rawclient.Dialer) {
				c, _ := rawclient.Join(t, pipeURL, "/", dial)
				release := make(chan struct{})
				tt.begin(s, c, release)
				synctest.Wait()
				begun := time.Now()
				left := awaitLeaving(begun, c)
				ended := draining(t.Context(), s, window)
				time.Sleep(work)
				close(release)
				errs(t, ended())
				l := left()[0]
				if l.at < work || l.at > window+100*time.Millisecond {
					t.Errorf("left after %v, want between %v and %v", l.at, work, window)
				}
				if len(l.told) == 0 || l.told[len(l.told)-1] != tt.end {
					t.Errorf("was told %q, want %s in the end", l.told, tt.end)
				}
			})
		})
	}
}

func TestDrain_WhoIsBusyForLongerLeavesWhenTheWindowEnds(t *testing.T) {
	const window = 10 * time.Second
	for name, tt := range busynesses {
		if name == "an awaited acknowledgement" {
			continue // its Call fails then, as the test's function does not expect
		}
		t.Run(name, func(t *testing.T) {
			inBubble(t, server.Options{}, func(t *testing.T, s *server.Server, dial rawclient.Dialer) {
				c, _ := rawclient.Join(t, pipeURL, "/", dial)
				release := make(chan struct{})
				tt.begin(s, c, release)
				synctest.Wait()
				begun := time.Now()
				left := awaitLeaving(begun, c)
				ended := draining(t.Context(), s, window)
				if l := left()[0]; l.at != window {
					t.Errorf("left after %v, want %v", l.at, window)
				}
				close(release) // Shutdown waits for what ignores its context
				errs(t, ended())
			})
		})
	}
}

func TestDrain_HandlersContextEndsWithTheWindow(t *testing.T) {
	inBubble(t, server.Options{}, func(t *testing.T, s *server.Server, dial rawclient.Dialer) {
		cause := make(chan error, 1)
		server.On(s.Of("/"), "work", func(ctx context.Context, _ *server.Socket, _ struct{}) error {
			<-ctx.Done()
			cause <- context.Cause(ctx)
			return nil
		})
		c, _ := rawclient.Join(t, pipeURL, "/", dial)
		c.Send(`2["work",{}]`)
		synctest.Wait()
		left := awaitLeaving(time.Now(), c)
		errs(t, s.Drain(t.Context(), 10*time.Second))
		left()
		var why *server.DisconnectError
		if err := <-cause; !errors.As(err, &why) || why.Reason != server.ServerShutdown {
			t.Errorf("the handler's context ended with %v", err)
		}
	})
}

func TestDrain_RecordIsSavedBeforeTheTransportCloses(t *testing.T) {
	recoveringInBubble(t, server.Options{}, func(t *testing.T, s *server.Server, kept *store, dial rawclient.Dialer) {
		w := wander(t, pipeURL, "/", dial)
		emit(t, s, 1)
		w.events(`2["n",1]`)
		kept.intervene(func(step, _ string) error {
			if step == "save" {
				time.Sleep(time.Second) // long enough for a close that does not wait
			}
			return nil
		})
		ended := draining(t.Context(), s, time.Second)
		for _, packet := range w.ExpectClose() {
			t.Errorf("before the close came %q", packet)
		}
		select {
		case id := <-kept.saved:
			if id != w.pid {
				t.Errorf("saved %s, want %s", id, w.pid)
			}
		default:
			t.Error("the transport was closed before the record was saved")
		}
		errs(t, ended())
	})
}

func TestDrain_NothingIsLostForWhoRecoversElsewhere(t *testing.T) {
	servers, urls, _ := streaming(t, 2, server.Options{Recovery: &server.Recovery{}})
	w := wander(t, urls[0], "/", nil)
	emit(t, servers[1], 1)
	w.events(`2["n",1]`)
	errs(t, servers[0].Drain(t.Context(), 50*time.Millisecond))
	emit(t, servers[1], 2, 3)
	w.ExpectClose()
	w.recovers(urls[1], `2["n",2]`, `2["n",3]`)
	emit(t, servers[1], 4)
	w.events(`2["n",4]`)
}

// pollster polls like an official client.
type pollster struct {
	t    *testing.T
	web  *http.Client
	base string
}

func openPollster(t *testing.T, dial rawclient.Dialer) *pollster {
	t.Helper()
	p := &pollster{t: t, web: &http.Client{Transport: &http.Transport{DialContext: dial}}, base: pipeURL + "/socket.io/?" + pollQuery}
	open, _ := p.do(http.MethodGet, "")
	_, rest, _ := strings.Cut(open, `"sid":"`)
	id, _, _ := strings.Cut(rest, `"`)
	p.base += "&sid=" + id
	p.do(http.MethodPost, "40")
	p.do(http.MethodGet, "")
	return p
}

func (p *pollster) do(method, body string) (string, int) {
	p.t.Helper()
	request, err := http.NewRequest(method, p.base, strings.NewReader(body))
	if err != nil {
		p.t.Fatal(err)
	}
	response, err := p.web.Do(request)
	if err != nil {
		p.t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	return string(text), response.StatusCode
}

// A client that polls is let go while it waits, so that it hears of it at once, and
// not between two polls.
func TestDrain_PollingClientHearsOfItByThePollThatWaits(t *testing.T) {
	const window, between = 10 * time.Second, 8 * time.Second
	inBubble(t, server.Options{}, func(t *testing.T, s *server.Server, dial rawclient.Dialer) {
		p := openPollster(t, dial)
		defer p.web.CloseIdleConnections()
		begun := time.Now()
		ended := draining(t.Context(), s, window)
		time.Sleep(between)
		errs(t, s.Emit("still", "here"))
		if got, status := p.do(http.MethodGet, ""); got != `42["still","here"]` || status != http.StatusOK {
			t.Errorf("the first poll got %d %q", status, got)
		}
		if got, status := p.do(http.MethodGet, ""); got != "1" || status != http.StatusOK {
			t.Errorf("the next poll got %d %q, want the close packet", status, got)
		}
		if at := time.Since(begun); at < between || at > window {
			t.Errorf("it was let go after %v", at)
		}
		errs(t, ended())
	})
}

func TestDrain_WhoUpgradesMeanwhileIsLetGoAsWell(t *testing.T) {
	const window = 10 * time.Second
	inBubble(t, server.Options{}, func(t *testing.T, s *server.Server, dial rawclient.Dialer) {
		p := openPollster(t, dial)
		defer p.web.CloseIdleConnections()
		begun := time.Now()
		ended := draining(t.Context(), s, window)
		conn := dialWebSocket(t, dial, strings.Replace(strings.TrimPrefix(p.base, "http"), "polling", "websocket", 1))
		for _, text := range []string{"2probe", "5"} {
			if err := conn.WriteMessage(1, []byte(text)); err != nil {
				t.Fatal(err)
			}
			if text == "2probe" {
				if _, data, err := conn.ReadMessage(); err != nil || string(data) != "3probe" {
					t.Fatalf("the probe got %q, %v", data, err)
				}
			}
		}
		if _, data, err := conn.ReadMessage(); err == nil {
			t.Errorf("got %q, want the close", data)
		}
		if at := time.Since(begun); at > window+50*time.Millisecond {
			t.Errorf("it was let go after %v", at)
		}
		errs(t, ended())
	})
}
