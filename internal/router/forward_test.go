package router

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/roomcast/roomcast/internal/testutil/pipenet"
)

const patience = 10 * time.Second

// pair is node a, to which clients come, and node b, which has their sessions.
type pair struct {
	a, b   *Router
	front  *httptest.Server
	back   *httptest.Server
	failed chan error // what Forward returns
}

// newPair runs two nodes of which b answers admitted requests with answer.
func newPair(t *testing.T, o Options, answer http.HandlerFunc) *pair {
	t.Helper()
	p := &pair{b: owner(t, "b"), failed: make(chan error, 100)}
	p.back = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		admitted, err := p.b.Admit(r)
		if err != nil {
			http.Error(w, err.Error(), http.StatusForbidden)
			return
		}
		answer(w, admitted)
	}))
	t.Cleanup(p.back.Close)
	o.Self, o.AnswerTimeout, o.WriteTimeout = "a", max(o.AnswerTimeout, patience), max(o.WriteTimeout, patience)
	p.a = New(t.Context(), signer(t, ""), o)
	p.front = httptest.NewServer(http.StripPrefix("/mounted", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Front", "1")
		if err := p.a.Forward(w, r, Owner{ID: "b", Address: p.back.URL}); err != nil {
			p.failed <- err
			http.Error(w, "not forwarded", http.StatusBadRequest)
		}
	})))
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := p.a.Close(ctx); err != nil {
			t.Errorf("close: %v", err)
		}
		p.front.Close()
	})
	return p
}

// send writes text to the front as it is and returns the answer.
func (p *pair) send(t *testing.T, text string) (net.Conn, *http.Response) {
	t.Helper()
	conn, err := net.Dial("tcp", p.front.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReaderSize(conn, 16)
	answer, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	return &bufferedConn{conn, r}, answer
}

type bufferedConn struct {
	net.Conn
	r *bufio.Reader
}

func (c *bufferedConn) Read(p []byte) (int, error) { return c.r.Read(p) }

func body(t *testing.T, answer *http.Response) string {
	t.Helper()
	data, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// echo answers with what it has got.
func echo(w http.ResponseWriter, r *http.Request) {
	data, _ := io.ReadAll(r.Body)
	header := r.Header.Clone()
	header.Del(headerName)
	w.Header()["Set-Cookie"] = []string{"a=1", "b=2"}
	w.Header().Set("X-Owner", "1")
	w.WriteHeader(http.StatusTeapot)
	fmt.Fprintf(w, "%s %s host=%s from=%s secure=%v body=%s\n", r.Method, r.RequestURI, r.Host, r.RemoteAddr, r.TLS != nil, data)
	_ = header.Write(w)
}

func TestForward_OwnerGetsWhatTheClientSent(t *testing.T) {
	p := newPair(t, Options{}, echo)
	conn, answer := p.send(t, "POST /mounted/socket.io/%7euser//x?EIO=4&sid=a%20b&t=%zz HTTP/1.1\r\nHost: shop.example\r\n"+
		"Cookie: session=1\r\nX-Forwarded-For: 203.0.113.9\r\nX-Many: 1\r\nX-Many: 2\r\nAccept-Encoding: br\r\nConnection: X-Hop, keep-alive\r\nX-Hop: 1\r\n"+
		"Te: trailers\r\nProxy-Authorization: x\r\nContent-Length: 5\r\n\r\nhello")
	got := body(t, answer)
	first, rest, _ := strings.Cut(got, "\n")
	want := fmt.Sprintf("POST /mounted/socket.io/%%7euser//x?EIO=4&sid=a%%20b&t=%%zz host=shop.example from=%s secure=false body=hello", conn.LocalAddr())
	if first != want {
		t.Errorf("got  %s\nwant %s", first, want)
	}
	if want := "Accept-Encoding: br\r\nContent-Length: 5\r\nCookie: session=1\r\nX-Forwarded-For: 203.0.113.9\r\nX-Many: 1\r\nX-Many: 2\r\n"; rest != want {
		t.Errorf("headers are %q, want %q", rest, want)
	}
	if answer.StatusCode != http.StatusTeapot || !slices.Equal(answer.Header["Set-Cookie"], []string{"a=1", "b=2"}) ||
		answer.Header.Get("X-Owner") != "1" || len(answer.Header["Date"]) != 1 {
		t.Errorf("got %d with headers %v", answer.StatusCode, answer.Header)
	}
	if got := p.a.Stats(); got.Forwarded != 1 || got.Relays != 0 || got.Unreachable != 0 {
		t.Errorf("stats are %+v", got)
	}
}

// What a client writes into a request names no address and no pass.
func TestForward_GoesToTheOwnersAddressAlone(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { t.Errorf("called: %s", r.RequestURI) }))
	defer elsewhere.Close()
	p := newPair(t, Options{}, echo)
	evil := elsewhere.Listener.Addr().String()
	for name, text := range map[string]string{
		"absolute target":       "GET http://" + evil + "/mounted/x?sid=1 HTTP/1.1\r\nHost: h\r\n\r\n",
		"target with authority": "GET //" + evil + "/mounted/x?sid=1 HTTP/1.1\r\nHost: h\r\n\r\n",
		"Host":                  "GET /mounted/x?sid=1 HTTP/1.1\r\nHost: " + evil + "\r\n\r\n",
		"forwarding headers":    "GET /mounted/x?sid=1 HTTP/1.1\r\nHost: h\r\nX-Forwarded-Host: " + evil + "\r\nForwarded: host=" + evil + "\r\nX-Original-URL: http://" + evil + "/\r\n\r\n",
		"at sign":               "GET /mounted/@" + evil + "/?sid=1 HTTP/1.1\r\nHost: h\r\n\r\n",
	} {
		_, answer := p.send(t, text)
		if got := body(t, answer); answer.StatusCode != http.StatusTeapot && answer.StatusCode != http.StatusNotFound {
			t.Errorf("%s: got %d %s", name, answer.StatusCode, got)
		}
	}
	t.Setenv("HTTP_PROXY", elsewhere.URL)
	if _, answer := p.send(t, "GET /mounted/x?sid=1 HTTP/1.1\r\nHost: h\r\n\r\n"); answer.StatusCode != http.StatusTeapot {
		t.Errorf("with a proxy in the environment: got %d", answer.StatusCode)
	}
}

func TestForward_DoesNotFollowARedirect(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { t.Errorf("called: %s", r.RequestURI) }))
	defer elsewhere.Close()
	p := newPair(t, Options{}, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, elsewhere.URL, http.StatusFound) })
	if _, answer := p.send(t, "GET /mounted/x?sid=1 HTTP/1.1\r\nHost: h\r\n\r\n"); answer.StatusCode != http.StatusFound {
		t.Errorf("got %d", answer.StatusCode)
	}
}

func TestForward_RefusesASecondHop(t *testing.T) {
	p := newPair(t, Options{}, echo)
	for name, header := range map[string]string{
		"a header of the client's": "Roomcast-Forwarded: from=a&to=b",
		"in other case":            "rOOMCAST-fORWARDED: x",
		"empty":                    "Roomcast-Forwarded:",
		"named as hop by hop":      "Connection: Roomcast-Forwarded\r\nRoomcast-Forwarded: x",
	} {
		if _, answer := p.send(t, "GET /mounted/x?sid=1 HTTP/1.1\r\nHost: h\r\n"+header+"\r\n\r\n"); answer.StatusCode != http.StatusBadRequest {
			t.Errorf("%s: got %d", name, answer.StatusCode)
			continue
		}
		if err := <-p.failed; !errors.Is(err, ErrSecondHop) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// Naming the header as one hop's does not take the pass out of the request.
func TestForward_PassCannotBeTakenOut(t *testing.T) {
	p := newPair(t, Options{}, echo)
	_, answer := p.send(t, "GET /mounted/x?sid=1 HTTP/1.1\r\nHost: h\r\nConnection: Roomcast-Forwarded\r\n\r\n")
	if got := body(t, answer); answer.StatusCode != http.StatusTeapot || p.b.Stats().Admitted != 1 {
		t.Errorf("got %d %s", answer.StatusCode, got)
	}
}

func TestForward_OnlyGetAndPost(t *testing.T) {
	p := newPair(t, Options{}, echo)
	for _, method := range []string{"HEAD", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "BREW"} {
		if _, answer := p.send(t, method+" /mounted/x?sid=1 HTTP/1.1\r\nHost: h\r\n\r\n"); answer.StatusCode != http.StatusBadRequest {
			t.Errorf("%s: got %d", method, answer.StatusCode)
			continue
		}
		if err := <-p.failed; !errors.Is(err, ErrMethod) {
			t.Errorf("%s: got %v", method, err)
		}
	}
}

func TestForward_OwnerThatIsGoneIsSaidAtOnce(t *testing.T) {
	p := newPair(t, Options{}, echo)
	p.back.Close()
	began := time.Now()
	_, answer := p.send(t, "GET /mounted/x?sid=1 HTTP/1.1\r\nHost: h\r\n\r\n")
	if answer.StatusCode != http.StatusBadRequest || time.Since(began) > patience/2 {
		t.Errorf("got %d after %v", answer.StatusCode, time.Since(began))
	}
	if err := <-p.failed; !errors.Is(err, ErrUnreachable) {
		t.Errorf("got %v", err)
	}
	if got := p.a.Stats(); got.Unreachable != 1 || got.Forwarded != 0 {
		t.Errorf("stats are %+v", got)
	}
}

func TestForward_OwnerThatDiesDuringAPollIsSaidAtOnce(t *testing.T) {
	polling := make(chan struct{})
	p := newPair(t, Options{}, func(_ http.ResponseWriter, r *http.Request) {
		close(polling)
		<-r.Context().Done()
	})
	go func() {
		<-polling
		p.back.CloseClientConnections()
	}()
	if _, answer := p.send(t, "GET /mounted/x?sid=1 HTTP/1.1\r\nHost: h\r\n\r\n"); answer.StatusCode != http.StatusBadRequest {
		t.Errorf("got %d", answer.StatusCode)
	}
	if err := <-p.failed; !errors.Is(err, ErrUnreachable) {
		t.Errorf("got %v", err)
	}
}

// A client must not take the beginning of an answer for all of it.
func TestForward_AnswerThatBreaksOffBreaksOff(t *testing.T) {
	p := newPair(t, Options{}, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "begun")
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	})
	answer, err := http.Get(p.front.URL + "/mounted/x?sid=1")
	if err == nil {
		_, err = io.ReadAll(answer.Body)
		_ = answer.Body.Close()
	}
	if err == nil {
		t.Error("the answer seems to be whole")
	}
}

func TestForward_ClientThatLeavesReleasesTheOwner(t *testing.T) {
	polling, released := make(chan struct{}), make(chan struct{})
	p := newPair(t, Options{}, func(_ http.ResponseWriter, r *http.Request) {
		close(polling)
		<-r.Context().Done()
		close(released)
	})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-polling
		cancel()
	}()
	r, err := http.NewRequestWithContext(ctx, "GET", p.front.URL+"/mounted/x?sid=1", nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := http.DefaultClient.Do(r); err == nil {
		t.Error("answered")
	}
	select {
	case <-released:
	case <-time.After(patience):
		t.Error("the owner still waits")
	}
}

// In a bubble, whose time stands still meanwhile: net/http keeps no connection when its own
// goroutines take 50 ms to agree that the request is written.
func TestForward_ConnectionsAreKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network, b := pipenet.New(), owner(t, "b")
		var opened atomic.Int32
		dial := func(ctx context.Context, protocol, address string) (net.Conn, error) {
			opened.Add(1)
			return network.Dial(ctx, protocol, address)
		}
		a := New(t.Context(), signer(t, ""), Options{Self: "a", AnswerTimeout: patience, WriteTimeout: patience, Dial: dial})
		back := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if _, err := b.Admit(r); err != nil {
				t.Error(err)
			}
			_, _ = io.Copy(io.Discard, r.Body)
			_, _ = io.WriteString(w, "ok")
		})}
		var serving sync.WaitGroup
		serving.Go(func() { _ = back.Serve(network) })
		for range 10 {
			w, r := httptest.NewRecorder(), httptest.NewRequest("POST", "/mounted/x?sid=1", strings.NewReader("4x"))
			if err := a.Forward(w, r, Owner{ID: "b", Address: "http://b"}); err != nil || w.Body.String() != "ok" {
				t.Errorf("got %q, %v", w.Body, err)
			}
		}
		if got := opened.Load(); got != 1 {
			t.Errorf("%d connections for ten requests", got)
		}
		if err := a.Close(t.Context()); err != nil {
			t.Error(err)
		}
		_ = back.Close()
		serving.Wait()
	})
}

// A POST must not happen twice, whatever becomes of its connection.
func TestForward_PostIsNotRepeated(t *testing.T) {
	calls := make(chan struct{}, 100)
	p := newPair(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		calls <- struct{}{}
		if len(calls) > 1 {
			panic(http.ErrAbortHandler)
		}
	})
	for _, header := range []string{"X-A: 1", "Idempotency-Key: 1"} {
		_, _ = p.send(t, "POST /mounted/x?sid=1 HTTP/1.1\r\nHost: h\r\n"+header+"\r\nContent-Length: 2\r\n\r\n4x")
	}
	if got := len(calls); got != 2 {
		t.Errorf("the owner got %d requests, want 2", got)
	}
}

// What the owner has got may have been handled. An answer that says that nothing was done
// would have a load balancer repeat it.
func TestForward_CloseBreaksOffWhatTheOwnerHas(t *testing.T) {
	polling := make(chan struct{})
	p := newPair(t, Options{}, func(_ http.ResponseWriter, r *http.Request) {
		close(polling)
		<-r.Context().Done()
	})
	closed := make(chan error, 1)
	go func() {
		<-polling
		closed <- p.a.Close(context.Background())
	}()
	conn, err := net.Dial("tcp", p.front.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	_, _ = io.WriteString(conn, "GET /mounted/x?sid=1 HTTP/1.1\r\nHost: h\r\n\r\n")
	if got, err := io.ReadAll(conn); err != nil || len(got) > 0 || len(p.failed) > 0 {
		t.Errorf("got %q, %v, want no answer", got, err)
	}
	if err := <-closed; err != nil {
		t.Error(err)
	}
	if _, answer := p.send(t, "GET /mounted/x?sid=1 HTTP/1.1\r\nHost: h\r\n\r\n"); answer.StatusCode != http.StatusBadRequest {
		t.Errorf("after Close: got %d", answer.StatusCode)
	}
	if err := <-p.failed; !errors.Is(err, ErrClosed) {
		t.Errorf("after Close: got %v", err)
	}
}
