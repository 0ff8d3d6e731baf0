package admin

import (
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/roomcast/roomcast/pkg/server"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// token is what the tests' listeners want to see.
const token = "the tests' own token"

// running is a node with an admin listener.
type running struct {
	t      *testing.T
	admin  *Admin
	server *server.Server
}

// anywhere makes a listener one that every machine reaches, as far as it can tell.
type anywhere struct{ net.Listener }

func (anywhere) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4zero} }

// start runs a node alone and its admin listener, on loopback or not.
func start(t *testing.T, loopback bool, o Options) *running {
	t.Helper()
	return startNode(t, loopback, server.Options{}, o)
}

func startNode(t *testing.T, loopback bool, so server.Options, o Options) *running {
	t.Helper()
	if so.Logger == nil {
		so.Logger = slog.New(slog.DiscardHandler)
	}
	s, err := server.New(so)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Shutdown(t.Context()) }) // its context has ended: nothing is waited for
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	o.Server = s
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr()
	if !loopback {
		l = anywhere{l}
	}
	a, err := Start(l, o)
	if err != nil {
		t.Fatal(err)
	}
	a.addr = address
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		if err := a.Shutdown(ignoringEnd(t)); err != nil {
			t.Errorf("shutdown: %v", err)
		}
	})
	return &running{t: t, admin: a, server: s}
}

// ask sends a request; headers come in pairs.
func (r *running) ask(method, path, body string, headers ...string) (status int, answer string, header http.Header) {
	r.t.Helper()
	request, err := http.NewRequestWithContext(r.t.Context(), method, "http://"+r.admin.Addr().String()+path, strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		if headers[i] == "Host" {
			request.Host = headers[i+1]
		}
		request.Header.Set(headers[i], headers[i+1])
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		r.t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return response.StatusCode, string(text), response.Header
}

func TestStart_RefusesAShortToken(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Start(l, Options{Token: "fifteen letters"}); err == nil || !strings.Contains(err.Error(), "16") {
		t.Errorf("got %v, want an error that names the least length", err)
	}
	if _, err := l.Accept(); err == nil {
		t.Error("the listener is still open")
	}
}

func TestAdmin_HasMetricsOnlyWhenThereAreSome(t *testing.T) {
	without := start(t, true, Options{})
	if status, _, _ := without.ask("GET", "/metrics", ""); status != http.StatusNotFound {
		t.Errorf("got %d without metrics, want 404", status)
	}
	with := start(t, true, Options{Metrics: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "some 1\n")
	})})
	if status, text, _ := with.ask("GET", "/metrics", ""); status != http.StatusOK || text != "some 1\n" {
		t.Errorf("got %d %q, want what the handler said", status, text)
	}
}
