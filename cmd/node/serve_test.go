package main

import (
	"context"
	"crypto/tls"
	"io"
	"net/http"
	"reflect"
	"strings"
	"sync"
	"testing"

	"github.com/gorilla/websocket"

	"github.com/roomcast/roomcast/internal/testutil/certificate"
)

// serving is a serve command that runs in this process.
type serving struct {
	logs   *logs
	banner map[string]any
	cancel context.CancelFunc
	wg     sync.WaitGroup
	code   int
}

func startServe(t *testing.T, args ...string) *serving {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	s := &serving{logs: newLogs(), cancel: cancel}
	s.wg.Go(func() {
		s.code = run(ctx, append([]string{"serve", "--listen", "127.0.0.1:0", "--drain", "0s"}, args...), io.Discard, s.logs)
	})
	t.Cleanup(func() { s.stop() })
	s.banner = s.logs.until(t, "serving")
	return s
}

func (s *serving) address() string { return s.banner["address"].(string) }

// stop tells the command to stop and returns its exit code.
func (s *serving) stop() int {
	s.cancel()
	s.wg.Wait()
	return s.code
}

func TestServe_SaysWhatItIs(t *testing.T) {
	s := startServe(t, "--max-payload", "54321")
	for _, key := range []string{"node", "page", "path", "prefix"} {
		if text, _ := s.banner[key].(string); text == "" {
			t.Errorf("the banner does not say %q: %v", key, s.banner)
		}
	}
	if s.banner["adapter"] != "memory" {
		t.Errorf("the adapter is %v, want memory without a Redis", s.banner["adapter"])
	}
	if limits := s.logs.until(t, "limits"); limits["max_payload"] != 54321.0 {
		t.Errorf("the banner says max_payload %v, want 54321", limits["max_payload"])
	}
}

// Each way to run Redis, and each adapter on it, is in the banner, and no password and
// no key is in any line.
func TestServe_SaysWhereItsRedisIsAndKeepsSecrets(t *testing.T) {
	t.Setenv("ROOMCAST_REDIS_HMAC_KEY", "secret: sixteen and more")
	t.Setenv("ROOMCAST_CLUSTER_SECRET", "secret: sixteen and more")
	for name, tt := range map[string]struct {
		args []string
		want map[string]any
	}{
		"alone": {
			[]string{"--redis", "rediss://user:secret@127.0.0.1:1/3", "--adapter", "streams", "--recovery", "1m", "--application", "shop"},
			map[string]any{"adapter": "streams", "redis": "127.0.0.1:1", "database": 3.0},
		},
		"cluster": {
			[]string{"--redis-cluster", "redis://user:secret@127.0.0.1:1?addr=127.0.0.1:2", "--adapter", "sharded", "--interest-routing"},
			map[string]any{"adapter": "sharded", "redis_cluster": []any{"127.0.0.1:1", "127.0.0.1:2"}},
		},
		"Sentinels": {
			[]string{"--redis-sentinel", "redis://user:secret@127.0.0.1:1?master_name=mine&addr=127.0.0.1:2&password=secret", "--interest-routing"},
			map[string]any{"adapter": "pubsub", "redis_sentinels": []any{"127.0.0.1:1", "127.0.0.1:2"}, "master": "mine", "database": 0.0},
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := startServe(t, append(tt.args, "--log-level", "debug")...)
			for key, want := range tt.want {
				if got := s.banner[key]; !reflect.DeepEqual(got, want) {
					t.Errorf("the banner says %s is %v, want %v", key, got, want)
				}
			}
			if code := s.stop(); code != exitOK {
				t.Errorf("exit code %d, want %d", code, exitOK)
			}
			if all := s.logs.all(); strings.Contains(all, "secret") {
				t.Errorf("the log shows a secret:\n%s", all)
			}
		})
	}
}

func TestServe_StopsWithItsClientsConnected(t *testing.T) {
	s := startServe(t)
	c := dial(t, s.address())
	var mine roster
	c.ask("join", joinRequest{Room: "lobby", Name: "Ada"}, &mine)
	if len(mine.Members) != 1 || mine.Members[0].Name != "Ada" {
		t.Errorf("joined as %+v, want Ada alone", mine)
	}
	ended := c.readOn()
	if code := s.stop(); code != exitOK {
		t.Errorf("exit code %d, want %d", code, exitOK)
	}
	ended()
	s.logs.until(t, "stopped")
	if response, err := http.Get("http://" + s.address() + "/"); err == nil {
		response.Body.Close()
		t.Error("the node still answers after it has stopped")
	}
}

func TestServe_StartsWithoutItsRedis(t *testing.T) {
	s := startServe(t, "--redis", "redis://:secret@127.0.0.1:1/0") // port 1 refuses connections
	if s.banner["adapter"] != "pubsub" || s.banner["redis"] != "127.0.0.1:1" {
		t.Errorf("the banner says %v, want pubsub over 127.0.0.1:1", s.banner)
	}
	for key, value := range s.banner {
		if text, ok := value.(string); ok && strings.Contains(text, "secret") {
			t.Errorf("the banner shows the password in %q", key)
		}
	}
	c := dial(t, s.address())
	var mine roster
	c.ask("join", joinRequest{Room: "lobby", Name: "Ada"}, &mine)
	if len(mine.Members) != 1 {
		t.Errorf("joined as %+v, want Ada alone", mine)
	}
	c.ask("message", messageRequest{Text: "to this node's people"}, nil)
	c.Close()
	if code := s.stop(); code != exitOK {
		t.Errorf("exit code %d, want %d", code, exitOK)
	}
}

func TestServe_SaysWhereOtherNodesReachIt(t *testing.T) {
	s := startServe(t, "--cluster-secret", "0123456789abcdef", "--advertise", "auto")
	if got, want := s.banner["advertise"], "http://"+s.address(); got != want {
		t.Errorf("it says %v, want %s", got, want)
	}
}

// The public listener speaks TLS, over polling and WebSocket, to those alone who trust
// its certificate.
func TestServe_SpeaksTLSItself(t *testing.T) {
	pair, err := certificate.New(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	s := startServe(t, "--tls-cert", pair.File, "--tls-key", pair.KeyFile)
	if page, _ := s.banner["page"].(string); !strings.HasPrefix(page, "https://") {
		t.Errorf("the banner has the page %q, want https", page)
	}
	transport := &http.Transport{TLSClientConfig: pair.Client}
	defer transport.CloseIdleConnections()
	response, err := (&http.Client{Transport: transport}).Get("https://" + s.address() + "/socket.io/?EIO=4&transport=polling")
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusOK || response.ProtoMajor != 1 {
		t.Errorf("a handshake over TLS is answered with %d over HTTP/%d, want 200 over HTTP/1", response.StatusCode, response.ProtoMajor)
	}
	dialer := websocket.Dialer{TLSClientConfig: pair.Client}
	conn, answer, err := dialer.DialContext(t.Context(), "wss://"+s.address()+"/socket.io/?EIO=4&transport=websocket", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	defer answer.Body.Close()
	if _, open, err := conn.ReadMessage(); err != nil || !strings.HasPrefix(string(open), "0{") {
		t.Errorf("a WebSocket over TLS begins with %q, %v; want the open packet", open, err)
	}
	if _, err := tls.Dial("tcp", s.address(), nil); err == nil {
		t.Error("a client that does not trust the certificate was served")
	}
}
