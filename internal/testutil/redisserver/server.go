// Package redisserver runs a Redis for tests: a redis-server process that can be
// killed and started again, or a container.
package redisserver

import (
	"fmt"
	"net"
	"os/exec"
	"testing"
	"time"
)

// Server is a redis-server process on a port of 127.0.0.1. Its methods are for
// one goroutine.
type Server struct {
	t       testing.TB
	addr    string
	options []string
	process *exec.Cmd
}

// startLimit is how long a redis-server may take until it answers.
const startLimit = 10 * time.Second

// Start starts redis-server from PATH, without persistence, with further options
// of its command line. It ends with the test, which fails where there is no
// redis-server: what it proves would be unproven.
func Start(t testing.TB, options ...string) *Server {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		t.Fatal("redisserver: there is no redis-server in PATH; make test installs it")
	}
	s := &Server{t: t, addr: freeAddr(t), options: options}
	s.Restart()
	t.Cleanup(s.Kill)
	return s
}

// Addr returns the server's address, as host:port. It never changes.
func (s *Server) Addr() string { return s.addr }

// Kill ends the process with SIGKILL and waits until it has gone.
func (s *Server) Kill() {
	if s.process == nil {
		return
	}
	_ = s.process.Process.Kill()
	_ = s.process.Wait()
	s.process = nil
}

// Restart kills the process, if there is one, starts another and waits until it
// accepts connections.
func (s *Server) Restart() {
	s.t.Helper()
	s.Kill()
	host, port, err := net.SplitHostPort(s.addr)
	if err != nil {
		s.t.Fatalf("redisserver: %v", err)
	}
	args := append([]string{"--bind", host, "--port", port, "--save", "", "--dir", s.t.TempDir()}, s.options...)
	s.process = exec.Command("redis-server", args...)
	if err := s.process.Start(); err != nil {
		s.t.Fatalf("redisserver: %v", err)
	}
	if err := await(s.addr); err != nil {
		s.t.Fatalf("redisserver: %v", err)
	}
}

// await returns when the Redis at addr answers.
func await(addr string) error {
	deadline := time.Now().Add(startLimit)
	pause := time.NewTicker(5 * time.Millisecond)
	defer pause.Stop()
	for {
		err := ping(addr)
		if err == nil || time.Now().After(deadline) {
			return err
		}
		<-pause.C
	}
}

func ping(addr string) error {
	c, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(time.Second))
	if _, err := c.Write([]byte("PING\r\n")); err != nil {
		return err
	}
	reply := make([]byte, 16)
	n, err := c.Read(reply)
	if err != nil {
		return err
	}
	if string(reply[:n]) != "+PONG\r\n" {
		return fmt.Errorf("PING was answered with %q", reply[:n])
	}
	return nil
}

// freeAddr returns an address on which nobody listens at the moment.
func freeAddr(t testing.TB) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("redisserver: %v", err)
	}
	defer listener.Close()
	return listener.Addr().String()
}
