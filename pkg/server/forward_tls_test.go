package server_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/roomcast/roomcast/internal/testutil/certificate"
	"github.com/roomcast/roomcast/pkg/adapter/memory"
	"github.com/roomcast/roomcast/pkg/server"
)

// startTLS runs a node that the others reach with https. Its certificate is pair's.
func startTLS(t *testing.T, pair *certificate.Pair, o server.Options) (*server.Server, string) {
	t.Helper()
	keys, err := tls.LoadX509KeyPair(pair.File, pair.KeyFile)
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewUnstartedServer(nil)
	web.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError) // of handshakes that fail
	web.TLS = &tls.Config{Certificates: []tls.Certificate{keys}}
	o.Advertise, o.ClusterSecret = "https://"+web.Listener.Addr().String(), clusterSecret
	s, err := server.New(o)
	if err != nil {
		t.Fatal(err)
	}
	sync(s.Of("/"))
	web.Config.Handler = s
	web.StartTLS()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			t.Errorf("shutdown: %v", err)
		}
		web.Close()
	})
	return s, web.URL
}

// startPairTLS runs two nodes that know each other. Requests to the second one for sessions
// of the first are sent on with https.
func startPairTLS(t *testing.T, pair *certificate.Pair, o server.Options) (owner, other string) {
	t.Helper()
	o.Adapter = memory.New()
	a, owner := startTLS(t, pair, o)
	b, other := startTLS(t, pair, o)
	deadline := time.Now().Add(time.Minute)
	for len(a.Health().Nodes) == 0 || len(b.Health().Nodes) == 0 {
		if time.Now().After(deadline) {
			t.Fatal("the nodes do not hear each other")
		}
		<-time.After(time.Millisecond)
	}
	return owner, other
}

// over sends a request over TLS.
func over(t *testing.T, trust *tls.Config, method, url, body string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	answer, err := (&http.Transport{TLSClientConfig: trust, DisableKeepAlives: true}).RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	data, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(data)
}

// openOver opens a session and returns the query of its requests.
func openOver(t *testing.T, trust *tls.Config, url string) (query, id string) {
	t.Helper()
	status, body := over(t, trust, "GET", url+"/socket.io/?"+pollQuery, "")
	var open struct {
		SID string `json:"sid"`
	}
	if status != http.StatusOK || json.Unmarshal([]byte(strings.TrimPrefix(body, "0")), &open) != nil {
		t.Fatalf("handshake: got %d %s", status, body)
	}
	return "/socket.io/?" + pollQuery + "&sid=" + open.SID, open.SID
}

func TestForward_OverTLS(t *testing.T) {
	pair, err := certificate.New(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	owner, other := startPairTLS(t, pair, server.Options{Logger: quiet, ClusterAuthorities: pair.Client.RootCAs})
	query, id := openOver(t, pair.Client, owner)
	if status, body := over(t, pair.Client, "POST", other+query, "40"); status != http.StatusOK || body != "ok" {
		t.Errorf("POST: got %d %s", status, body)
	}
	if status, body := over(t, pair.Client, "GET", other+query, ""); status != http.StatusOK || !strings.HasPrefix(body, `40{"sid":"`) {
		t.Errorf("GET: got %d %s", status, body)
	}
	dialer := websocket.Dialer{TLSClientConfig: pair.Client}
	conn, answer, err := dialer.DialContext(t.Context(), "wss"+strings.TrimPrefix(other, "https")+"/socket.io/?"+socketQuery+"&sid="+id, nil)
	if err != nil {
		t.Fatalf("upgrade: %v", err)
	}
	_ = answer.Body.Close()
	defer func() { _ = conn.Close() }()
	say(t, conn, "2probe", "3probe")
	say(t, conn, "5", "")
	say(t, conn, `420["sync"]`, "430[")
}

// Whose certificate nobody vouches for is not believed to be a node: it gets no request.
func TestForward_OverTLSOnlyToWhomTheAuthoritiesVouchFor(t *testing.T) {
	pair, err := certificate.New(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for name, authorities := range map[string]*x509.CertPool{"those of the system": nil, "others": x509.NewCertPool()} {
		t.Run(name, func(t *testing.T) {
			log := &notebook{} // the nodes go on writing while it is read
			owner, other := startPairTLS(t, pair, server.Options{
				Logger: slog.New(log), ClusterAuthorities: authorities,
			})
			query, _ := openOver(t, pair.Client, owner)
			if status, body := over(t, pair.Client, "POST", other+query, "40"); status != http.StatusBadRequest || body != sessionUnknown {
				t.Errorf("got %d %s", status, body)
			}
			if text := strings.Join(log.all(), "\n"); !strings.Contains(text, "certificate") {
				t.Errorf("the log does not say why:\n%s", text)
			}
		})
	}
}
