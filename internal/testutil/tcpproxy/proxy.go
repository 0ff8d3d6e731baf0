// Package tcpproxy stands between a client and a server in tests and benches, and
// misbehaves as networks do: it refuses, delays, swallows, holds and resets.
package tcpproxy

import (
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/roomcast/roomcast/internal/testutil/port"
)

// Direction is one way through a proxy; the two can be combined.
type Direction int

// The directions.
const (
	Requests Direction = 1 << iota // from the client to the server
	Replies                        // from the server to the client
	Both     = Requests | Replies
)

// Proxy forwards TCP connections to one address. It is safe for concurrent use.
type Proxy struct {
	addr    string // set once, by the first listen
	target  string
	pumps   sync.WaitGroup
	release func()      // gives the port back
	failed  func(error) // hears of an error of Resume; nil outside of tests

	mu       sync.Mutex
	changed  *sync.Cond // of held, and of a link's end
	listener net.Listener
	links    map[*link]struct{}
	held     Direction
	delay    time.Duration
	accepted int
}

// Start returns a proxy in front of target, on a port of 127.0.0.1 that it keeps.
// It ends with the test, which an error of Resume ends too.
func Start(t testing.TB, target string) *Proxy {
	t.Helper()
	p, err := Launch(target)
	if err != nil {
		t.Fatal(err)
	}
	p.failed = func(err error) {
		t.Helper()
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// Launch is Start outside of tests: the caller closes the proxy.
func Launch(target string) (*Proxy, error) {
	p := &Proxy{target: target, links: make(map[*link]struct{})}
	p.changed = sync.NewCond(&p.mu)
	addr, release, err := port.Reserve()
	if err != nil {
		return nil, fmt.Errorf("tcpproxy: %w", err)
	}
	p.release = sync.OnceFunc(release)
	if err := p.listen(addr); err != nil {
		p.release()
		return nil, err
	}
	p.addr = p.listener.Addr().String()
	return p, nil
}

// Close resets all connections and ends the proxy.
func (p *Proxy) Close() {
	p.Refuse()
	p.pumps.Wait()
	p.release()
}

// Addr returns the proxy's address, as host:port.
func (p *Proxy) Addr() string { return p.addr }

// Accepted returns how many connections clients have opened.
func (p *Proxy) Accepted() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.accepted
}

// Refuse resets all connections and refuses others until Resume.
func (p *Proxy) Refuse() {
	p.mu.Lock()
	listener := p.listener
	p.listener = nil
	p.mu.Unlock()
	if listener != nil {
		_ = listener.Close()
	}
	p.Reset()
}

// Hold lets nothing more pass in that direction, without closing anything, until
// Resume: to the ends the network seems to have swallowed it.
func (p *Proxy) Hold(d Direction) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.held |= d
}

// Delay makes everything arrive that much later.
func (p *Proxy) Delay(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.delay = d
}

// Reset ends all connections as a crash does, with RST. What was held is lost.
func (p *Proxy) Reset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for l := range p.links {
		l.reset()
	}
	p.changed.Broadcast()
}

// Resume ends Refuse and Hold; what was held passes. It fails when the proxy cannot listen
// again.
func (p *Proxy) Resume() error {
	p.mu.Lock()
	p.held = 0
	refused := p.listener == nil
	p.changed.Broadcast()
	p.mu.Unlock()
	if !refused {
		return nil
	}
	err := p.listen(p.addr)
	if err != nil && p.failed != nil {
		p.failed(err)
	}
	return err
}

func (p *Proxy) listen(addr string) error {
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return fmt.Errorf("tcpproxy: %w", err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.listener = listener
	p.pumps.Go(func() { p.accept(listener) })
	return nil
}

func (p *Proxy) accept(listener net.Listener) {
	for {
		client, err := listener.Accept()
		if err != nil {
			return
		}
		p.pumps.Go(func() { p.open(client) })
	}
}

func (p *Proxy) open(client net.Conn) {
	server, err := net.Dial("tcp", p.target)
	if err != nil {
		_ = client.Close()
		return
	}
	l := &link{client: client, server: server, ended: make(chan struct{})}
	p.mu.Lock()
	p.accepted++
	p.links[l] = struct{}{}
	if p.listener == nil { // refused since it was accepted
		l.reset()
	}
	p.mu.Unlock()
	var both sync.WaitGroup
	both.Go(func() { p.pump(l, Requests, client, server) })
	both.Go(func() { p.pump(l, Replies, server, client) })
	both.Wait()
	p.mu.Lock()
	delete(p.links, l)
	p.mu.Unlock()
}

// pump forwards one direction of l until either end closes.
func (p *Proxy) pump(l *link, d Direction, from, to net.Conn) {
	defer p.end(l)
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 && p.pass(l, d) {
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// pass waits as long as direction d is delayed or held. It says whether l is
// still open.
func (p *Proxy) pass(l *link, d Direction) bool {
	p.mu.Lock()
	delay := p.delay
	p.mu.Unlock()
	if delay > 0 {
		timer := time.NewTimer(delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-l.ended:
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.held&d != 0 && !l.over {
		p.changed.Wait()
	}
	return !l.over
}

// end closes l. A held direction keeps the other end from seeing that, as a
// network would that swallows the FIN.
func (p *Proxy) end(l *link) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.held != 0 && !l.over {
		p.changed.Wait()
	}
	l.close()
	p.changed.Broadcast()
}

// link is one forwarded connection. The proxy's mutex guards it.
type link struct {
	client, server net.Conn
	over           bool
	ended          chan struct{}
}

func (l *link) close() {
	if !l.over {
		l.over = true
		close(l.ended)
	}
	_ = l.client.Close()
	_ = l.server.Close()
}

func (l *link) reset() {
	for _, c := range []net.Conn{l.client, l.server} {
		if tcp, ok := c.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0)
		}
	}
	l.close()
}
