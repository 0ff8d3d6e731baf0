package router

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/roomcast/roomcast/pkg/adapter"
)

const (
	// dialTimeout is for a node in the same network: a client waits for the answer.
	dialTimeout = 3 * time.Second
	// idleTimeout is less than the 60 s after which a server closes an idle connection, so
	// that no request meets that close.
	idleTimeout = 30 * time.Second
	// idleConnections bounds the connections to one node that wait for the next request.
	idleConnections = 256
	// maxAnswerHeader bounds the headers of an answer in bytes.
	maxAnswerHeader = 64 << 10
	// bufferSize is small because a relay keeps the buffer of its connection.
	bufferSize = 1 << 10
)

// Errors of Forward. After each of them nothing was answered.
var (
	// ErrClosed means that Close was called.
	ErrClosed = errors.New("router: closed")
	// ErrSecondHop means that the request came from another node, which took this one for
	// the owner.
	ErrSecondHop = errors.New("router: a forwarded request is not forwarded again")
	// ErrMethod means that the request is neither a GET nor a POST.
	ErrMethod = errors.New("router: only GET and POST are forwarded")
	// ErrFull means that Options.MaxRelays WebSockets are relayed.
	ErrFull = errors.New("router: too many relays")
	// ErrDraining means that Drain was called, after which no WebSocket is relayed any more.
	ErrDraining = errors.New("router: draining")
	// ErrUnreachable means that the owner was not reached, or gave no answer.
	ErrUnreachable = errors.New("router: the owner does not answer")
)

// Options configures a Router.
type Options struct {
	// Self is this node's id.
	Self adapter.NodeID
	// AnswerTimeout bounds the wait for an answer's first byte. It is longer than a poll
	// may wait for something to send.
	AnswerTimeout time.Duration
	// WriteTimeout is how long a write to a relayed client may go without progress.
	WriteTimeout time.Duration
	// MaxRelays bounds the relayed WebSockets. Zero and less: no bound.
	MaxRelays int
	// Authorities vouch for the certificates of nodes with an https address. Nil: the system's.
	Authorities *x509.CertPool
	// Dial replaces the way to other nodes, for tests. Nil: TCP.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// Owner is the node that has a session.
type Owner struct {
	// ID names the node.
	ID adapter.NodeID
	// Address is its URL, as announced by the node itself and found genuine.
	Address string
}

// Router forwards requests and admits those that were forwarded. It is safe for
// concurrent use.
type Router struct {
	signer    *Signer
	options   Options
	transport *http.Transport
	number    atomic.Uint64 // of the last pass
	counters  counters
	life      context.Context // of requests under way; it ends with Close
	end       context.CancelFunc
	work      sync.WaitGroup // requests and relays
	closer    sync.WaitGroup // those that wait for work

	mu       sync.Mutex
	relays   map[*Relay]struct{} // also those whose request is not answered yet
	draining bool
	closing  bool
}

// New returns a Router that lives until Close. The end of ctx does not end it.
func New(ctx context.Context, s *Signer, o Options) *Router {
	r := &Router{signer: s, options: o, relays: make(map[*Relay]struct{})}
	r.life, r.end = context.WithCancel(context.WithoutCancel(ctx))
	if o.Dial == nil {
		o.Dial = (&net.Dialer{Timeout: dialTimeout}).DialContext
	}
	r.transport = &http.Transport{ // without a proxy, whatever the environment says, and without HTTP/2, which has no upgrade
		DialContext:            o.Dial,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: o.Authorities},
		TLSHandshakeTimeout:    dialTimeout,
		ResponseHeaderTimeout:  o.AnswerTimeout,
		MaxResponseHeaderBytes: maxAnswerHeader,
		MaxIdleConnsPerHost:    idleConnections,
		IdleConnTimeout:        idleTimeout,
		ReadBufferSize:         bufferSize,
		WriteBufferSize:        bufferSize,
		DisableCompression:     true, // the client's own wishes go to the owner
	}
	return r
}

// Admit returns a request as the node has it to which its client came: with the client's
// address. One that claims to be forwarded, and whose pass is not good, gets an error
// instead, and is to be refused. Other requests are returned as they are.
func (r *Router) Admit(req *http.Request) (*http.Request, error) {
	if _, claims := req.Header[headerName]; !claims {
		return req, nil
	}
	p, f := r.signer.read(req, r.options.Self)
	if f != nil {
		r.counters.refused[f.count].Add(1)
		return nil, f
	}
	r.counters.admitted.Add(1)
	admitted := new(http.Request)
	*admitted = *req
	admitted.RemoteAddr, admitted.TLS = p.client, nil
	if p.secure {
		admitted.TLS = &tls.ConnectionState{HandshakeComplete: true} // all that is known of it
	}
	return admitted, nil
}

// enter counts a request in. One that wants to become a WebSocket gets a relay.
func (r *Router) enter(upgrade bool, cancel context.CancelFunc) (*Relay, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closing {
		return nil, ErrClosed
	}
	var l *Relay
	if upgrade {
		if r.draining {
			return nil, ErrDraining
		}
		if limit := r.options.MaxRelays; limit > 0 && len(r.relays) >= limit {
			r.counters.full.Add(1)
			return nil, ErrFull
		}
		l = &Relay{timeout: r.options.WriteTimeout, cancel: cancel}
		r.relays[l] = struct{}{}
	}
	r.work.Add(1)
	return l, nil
}

// leave counts it out. A relay that has begun goes on.
func (r *Router) leave(l *Relay) {
	if l != nil && !l.joined() {
		l.Close()
		r.remove(l)
	}
	r.work.Done()
}

// Drain refuses WebSockets from now on. Those that there are go on, and so does everything else.
func (r *Router) Drain() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.draining = true
}

// Close ends all relays and requests that are under way, and waits until they have
// ended, but no longer than ctx. From its start Forward fails with ErrClosed. Closing
// twice is harmless.
func (r *Router) Close(ctx context.Context) error {
	r.mu.Lock()
	r.closing = true
	r.mu.Unlock()
	r.end()
	for _, l := range r.Relays() {
		l.Close()
	}
	done := make(chan struct{})
	r.closer.Go(func() {
		r.work.Wait()
		r.transport.CloseIdleConnections()
		close(done)
	})
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("router: close: %w", ctx.Err())
	}
}
