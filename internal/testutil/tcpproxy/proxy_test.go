package tcpproxy_test

import (
	"bufio"
	"errors"
	"io"
	"net"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/roomcast/roomcast/internal/testutil/tcpproxy"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// echo starts a server that sends back what it gets.
func echo(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var served sync.WaitGroup
	served.Go(func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			served.Go(func() { _, _ = io.Copy(c, c); _ = c.Close() })
		}
	})
	t.Cleanup(func() { _ = listener.Close(); served.Wait() })
	return listener.Addr().String()
}

func dial(t *testing.T, p *tcpproxy.Proxy) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func resume(t *testing.T, p *tcpproxy.Proxy) {
	t.Helper()
	if err := p.Resume(); err != nil {
		t.Fatal(err)
	}
}

func say(t *testing.T, c net.Conn, line string) {
	t.Helper()
	if _, err := io.WriteString(c, line+"\n"); err != nil {
		t.Fatal(err)
	}
}

func hear(c net.Conn, within time.Duration) (string, error) {
	_ = c.SetReadDeadline(time.Now().Add(within))
	return bufio.NewReader(c).ReadString('\n')
}

const (
	soon   = 5 * time.Second
	moment = 30 * time.Millisecond
)

func TestProxy_ForwardsBothWays(t *testing.T) {
	p := tcpproxy.Start(t, echo(t))
	c := dial(t, p)
	say(t, c, "hello")
	if got, err := hear(c, soon); got != "hello\n" {
		t.Errorf("got %q, %v", got, err)
	}
	if got := p.Accepted(); got != 1 {
		t.Errorf("accepted %d connections, want 1", got)
	}
}

func TestProxy_DelayedBytesArriveLater(t *testing.T) {
	p := tcpproxy.Start(t, echo(t))
	p.Delay(20 * time.Millisecond)
	c := dial(t, p)
	start := time.Now()
	say(t, c, "hello")
	if got, err := hear(c, soon); got != "hello\n" || time.Since(start) < 40*time.Millisecond {
		t.Errorf("got %q, %v after %v, want it after 40 ms", got, err, time.Since(start))
	}
}

func TestProxy_HeldBytesPassAfterResume(t *testing.T) {
	for name, d := range map[string]tcpproxy.Direction{
		"requests": tcpproxy.Requests, "replies": tcpproxy.Replies, "both": tcpproxy.Both,
	} {
		t.Run(name, func(t *testing.T) {
			p := tcpproxy.Start(t, echo(t))
			c := dial(t, p)
			p.Hold(d)
			say(t, c, "hello")
			if got, err := hear(c, moment); err == nil {
				t.Errorf("got %q through a held proxy", got)
			}
			resume(t, p)
			if got, err := hear(c, soon); got != "hello\n" {
				t.Errorf("after Resume: got %q, %v", got, err)
			}
		})
	}
}

func TestProxy_ResetCutsWhatIsOpen(t *testing.T) {
	p := tcpproxy.Start(t, echo(t))
	c := dial(t, p)
	say(t, c, "hello")
	if _, err := hear(c, soon); err != nil {
		t.Fatal(err)
	}
	p.Hold(tcpproxy.Replies)
	say(t, c, "lost")
	p.Reset()
	if _, err := hear(c, soon); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("got %v, want a reset", err)
	}
	resume(t, p)
	again := dial(t, p)
	say(t, again, "hello")
	if got, err := hear(again, soon); got != "hello\n" {
		t.Errorf("a new connection: got %q, %v", got, err)
	}
}

func TestProxy_RefusesUntilResume(t *testing.T) {
	p := tcpproxy.Start(t, echo(t))
	addr := p.Addr()
	p.Refuse()
	if _, err := net.Dial("tcp", addr); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("got %v, want a refusal", err)
	}
	resume(t, p)
	c := dial(t, p)
	say(t, c, "hello")
	if got, err := hear(c, soon); got != "hello\n" || p.Addr() != addr {
		t.Errorf("got %q, %v at %s, want it at %s", got, err, p.Addr(), addr)
	}
}

func TestLaunch_ServesUntilClosed(t *testing.T) {
	p, err := tcpproxy.Launch(echo(t))
	if err != nil {
		t.Fatal(err)
	}
	c := dial(t, p)
	say(t, c, "hello")
	if got, err := hear(c, soon); got != "hello\n" {
		t.Errorf("got %q, %v", got, err)
	}
	p.Hold(tcpproxy.Both)
	p.Close() // while something is held
	if _, err := net.Dial("tcp", p.Addr()); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("after Close: got %v, want a refusal", err)
	}
}

func TestResume_FailsWhereSomebodyElseListens(t *testing.T) {
	p, err := tcpproxy.Launch(echo(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	p.Refuse()
	other, err := net.Listen("tcp", p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if err := p.Resume(); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("got %v, want that the address is in use", err)
	}
}
