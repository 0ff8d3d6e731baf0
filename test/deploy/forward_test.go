//go:build integration

package deploy

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync/atomic"
	"testing"

	"github.com/roomcast/roomcast/internal/testutil/certificate"
)

// rotation sends each request to the next node, whatever its client had before, and to
// the one after that if nobody listens.
type rotation struct {
	scheme    string
	addresses []string
	next      atomic.Uint64
	transport http.Transport
}

// RoundTrip implements http.RoundTripper.
func (r *rotation) RoundTrip(request *http.Request) (answer *http.Response, err error) {
	var body []byte
	if request.Body != nil {
		if body, err = io.ReadAll(request.Body); err != nil {
			return nil, err
		}
	}
	for range r.addresses {
		out := request.Clone(request.Context())
		out.URL.Scheme = r.scheme
		out.URL.Host = r.addresses[r.next.Add(1)%uint64(len(r.addresses))]
		if body != nil {
			out.Body = io.NopCloser(bytes.NewReader(body))
		}
		answer, err = r.transport.RoundTrip(out)
		var failed *net.OpError
		if !errors.As(err, &failed) || failed.Op != "dial" {
			break
		}
	}
	return answer, err
}

// startRotation starts a load balancer that is as far from sticky as can be. It ends with
// the test.
func startRotation(t testing.TB, nodes []*node) (base string) {
	t.Helper()
	return (&rotation{scheme: "http"}).start(t, nodes)
}

func (r *rotation) start(t testing.TB, nodes []*node) (base string) {
	t.Helper()
	for _, n := range nodes {
		r.addresses = append(r.addresses, addressOf(n.port))
	}
	proxy := &httputil.ReverseProxy{
		Transport: r,
		Rewrite: func(p *httputil.ProxyRequest) {
			p.SetURL(&url.URL{Scheme: "http", Host: "nodes"})
			p.Out.Host = p.In.Host
		},
		// A client that leaves, or a node that stops, is not the balancer's to report.
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
	}
	web := httptest.NewServer(proxy)
	t.Cleanup(func() {
		r.transport.CloseIdleConnections()
		web.CloseClientConnections()
		web.Close()
	})
	return web.URL
}

// A thousand default clients, which poll and then upgrade, connect through round-robin
// per request, and not one of them is told that its session is unknown.
func TestForward_ThousandDefaultClientsConnectAtTheFirstTry(t *testing.T) {
	for _, adapter := range []string{"pubsub", "sharded", "streams"} {
		t.Run(adapter, func(t *testing.T) {
			nodes := startNodes(t, "ROOMCAST_ADAPTER="+adapter)
			c, first := gatherCrowd(t, startRotation(t, nodes), 1000, "default", nil)
			expectFlawless(t, c, first)
		})
	}
}

// So do clients that never upgrade, whose every request goes to another node.
func TestForward_ClientsThatPollConnectAtTheFirstTry(t *testing.T) {
	nodes := startNodes(t)
	c, first := gatherCrowd(t, startRotation(t, nodes), 100, "polling", nil)
	if first.Connected != c.size || len(first.Failures) != 0 || first.Unknown != 0 || first.Returns != 0 {
		t.Errorf("got %+v, want %d clients and no failure", first, c.size)
	}
	c.talk(t)
}

// Nodes that speak TLS forward to each other over TLS, with certificates of an authority that
// the operator has made.
func TestForward_OverTLS(t *testing.T) {
	pair, err := certificate.New(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	nodes := startNodes(t, "ROOMCAST_TLS_CERT="+pair.File, "ROOMCAST_TLS_KEY="+pair.KeyFile,
		"ROOMCAST_ADVERTISE=auto", "ROOMCAST_CLUSTER_CA="+pair.File)
	r := &rotation{scheme: "https"}
	r.transport.TLSClientConfig = pair.Client
	c, first := gatherCrowd(t, r.start(t, nodes), 200, "default", nil)
	expectFlawless(t, c, first)
}

// While nodes are restarted one by one clients lose their sessions, and the relays of
// others', and all come back.
func TestForward_NobodyStaysOutWhileNodesAreRestarted(t *testing.T) {
	nodes := startNodes(t)
	c, first := gatherCrowd(t, startRotation(t, nodes), 300, "default", nil)
	expectFlawless(t, c, first)
	for i, n := range nodes {
		n.stop(t)
		n.start(t)
		awaitMembers(t, nodes)
		now := c.gather(t)
		t.Logf("node %d was restarted: %+v", i+1, now)
		if now.Connected != c.size || now.Returns == 0 {
			t.Errorf("got %+v, want %d clients, some of which came back", now, c.size)
		}
	}
	c.talk(t)
}
