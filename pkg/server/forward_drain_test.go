package server_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"

	"github.com/roomcast/roomcast/pkg/adapter/memory"
	"github.com/roomcast/roomcast/pkg/server"
)

// Who stops listening when Drain says so cuts nobody off: what comes until then is
// forwarded, and what is under way is answered.
func TestForward_GoesOnUntilADrainedNodeHasStoppedListening(t *testing.T) {
	hub := memory.New()
	inForwardingBubble(t, 1, server.Options{Adapter: hub}, func(t *testing.T, f *forwarders) {
		polled := make(chan string, 1)
		var query string
		drained := func(ctx context.Context) {
			go func() {
				_, answer := f.do("b", "GET", query, "")
				polled <- answer
			}()
			synctest.Wait()
			f.want("b", "POST", query, "40", http.StatusOK, "ok")
			if err := f.nodes["b"].web.Shutdown(ctx); err != nil {
				t.Error(err)
			}
			panic("of the program's")
		}
		defer f.start("b", server.Options{Adapter: hub, Advertise: "http://b", ClusterSecret: clusterSecret, Drained: drained})()
		time.Sleep(time.Second)
		query, _ = f.open("a")
		if err := f.nodes["b"].Drain(t.Context(), time.Second); err != nil {
			t.Fatal(err)
		}
		if answer := <-polled; !strings.HasPrefix(answer, `40{"sid":`) {
			t.Errorf("the poll under way got %q", answer)
		}
		if n := f.nodes["b"].Stats().Panics; n != 1 {
			t.Errorf("%d panics are counted, want 1", n)
		}
		f.want("a", "POST", query, "3", http.StatusOK, "ok")
	})
}

func TestForward_DrainEndsRelaysOneAfterTheOther(t *testing.T) {
	inForwardingBubble(t, 2, server.Options{}, func(t *testing.T, f *forwarders) {
		const relays, window = 10, 10 * time.Second
		ended := make(chan time.Duration, relays)
		began := time.Now()
		for range relays {
			_, id := f.open("a")
			conn := f.upgrade("b", id)
			say(t, conn, "2probe", "3probe")
			say(t, conn, "5", "")
			go func() {
				for err := error(nil); err == nil; {
					_, _, err = conn.ReadMessage()
				}
				ended <- time.Since(began)
			}()
		}
		synctest.Wait()
		if err := f.nodes["b"].Drain(t.Context(), window); err != nil {
			t.Fatal(err)
		}
		for i := range relays {
			share := window / relays
			if at := <-ended; at < time.Duration(i)*share || at > time.Duration(i+1)*share+100*time.Millisecond {
				t.Errorf("relay %d ended after %v, its share is the one from %v on", i, at, time.Duration(i)*share)
			}
		}
	})
}

// drain has node b drain, and returns how that ends.
func (f *forwarders) drain(window time.Duration) (ended func() error) {
	f.t.Helper()
	return draining(f.t.Context(), f.nodes["b"].Server, window)
}

// untilTheEnd is a window in which all turns have come, so to say, when the drain looks for the
// last time before the end: who leaves at the end has been busy.
const untilTheEnd = 10*time.Second + time.Nanosecond

// A client whose probe is cut off stays with polling, so it is waited for: only then its
// turn may come.
func TestForward_DrainLetsARelayFinishItsProbe(t *testing.T) {
	const window = untilTheEnd
	inForwardingBubble(t, 2, server.Options{UpgradeTimeout: time.Minute}, func(t *testing.T, f *forwarders) {
		query, id := f.open("a")
		f.want("a", "POST", query, "40", http.StatusOK, "ok")
		conn := f.upgrade("b", id)
		began := time.Now()
		ended := f.drain(window)
		time.Sleep(window - time.Second) // its turn has probably come
		say(t, conn, "2probe", "3probe")
		time.Sleep(time.Second / 2)
		f.want("b", "GET", query, "", http.StatusOK, `40{"sid":"`)
		say(t, conn, "5", "")
		say(t, conn, `420["sync"]`, "430[")
		if _, _, err := conn.ReadMessage(); err == nil {
			t.Error("its turn did not come")
		}
		if took := time.Since(began); took >= window {
			t.Errorf("it was let go after %v, as one that is busy to the end", took)
		}
		errs(t, ended())
	})
}

// Who is busy has time until the window ends, and a probe as well.
func TestForward_DrainEndsProbesWithItsWindow(t *testing.T) {
	const window = 2 * time.Second
	inForwardingBubble(t, 2, server.Options{UpgradeTimeout: time.Minute}, func(t *testing.T, f *forwarders) {
		_, id := f.open("a")
		conn := f.upgrade("b", id)
		began := time.Now()
		ended := f.drain(window)
		say(t, conn, "2probe", "3probe")
		if _, _, err := conn.ReadMessage(); err == nil {
			t.Error("it goes on")
		}
		if took := time.Since(began); took < window || took > window+time.Second/10 {
			t.Errorf("it was let go after %v, want %v", took, window)
		}
		errs(t, ended())
	})
}

// The WebSocket that a draining node would pass on would end with it: another node is to
// be asked. Nothing was done, so whoever asks may do so again.
func TestForward_DrainingNodeRefusesFurtherRelaysAlone(t *testing.T) {
	inForwardingBubble(t, 3, server.Options{}, func(t *testing.T, f *forwarders) {
		query, id := f.open("a")
		own, ownID := f.open("b")
		f.want("b", "POST", own, "40", http.StatusOK, "ok") // it polls now and then, and is busy in between
		f.drain(time.Hour)
		f.want("b", "POST", query, "40", http.StatusOK, "ok") // what does not last is passed on
		f.want("b", "GET", query, "", http.StatusOK, `40{"sid":"`)

		answer, err := f.ask("b", "GET", socketQuery+"&sid="+id, "", "Connection: Upgrade", "Upgrade: websocket")
		if err != nil {
			t.Fatal(err)
		}
		_ = answer.Body.Close()
		if answer.StatusCode != http.StatusServiceUnavailable || answer.Header.Get("Retry-After") == "" {
			t.Errorf("an upgrade got %s with %v", answer.Status, answer.Header)
		}
		if got := f.nodes["a"].Stats().Forwarding; got.Admitted != 2 {
			t.Errorf("the owner got %d requests, want 2", got.Admitted)
		}
		conn := f.upgrade("c", id) // as if nothing had been
		say(t, conn, "2probe", "3probe")
		say(t, conn, "5", "")
		say(t, conn, `420["sync"]`, "430[")

		conn = f.upgrade("b", ownID)
		say(t, conn, "2probe", "3probe")
		say(t, conn, "5", "40")
	})
}

// Whose upgrade is under way when the drain begins is neither refused nor forgotten.
func TestForward_DrainWaitsForAnUpgradeThatIsUnderWay(t *testing.T) {
	const window = untilTheEnd
	var asked, release chan struct{} // made in the bubble
	options := server.Options{Headers: func(_ http.Header, r *http.Request) {
		if r.Header.Get("Upgrade") != "" {
			close(asked)
			<-release
		}
	}}
	inForwardingBubble(t, 2, options, func(t *testing.T, f *forwarders) {
		asked, release = make(chan struct{}), make(chan struct{})
		_, id := f.open("a")
		opened := make(chan *websocket.Conn)
		go func() { opened <- f.upgrade("b", id) }()
		<-asked
		began := time.Now()
		ended := f.drain(window)
		time.Sleep(window - time.Second) // its turn has probably come
		close(release)
		conn := <-opened
		say(t, conn, "2probe", "3probe")
		say(t, conn, "5", "")
		if _, _, err := conn.ReadMessage(); err == nil {
			t.Error("its turn did not come")
		}
		if took := time.Since(began); took >= window {
			t.Errorf("it was let go after %v, as one that is busy to the end", took)
		}
		errs(t, ended())
	})
}
