// Package redisproc runs redis-server processes on ports of 127.0.0.1 that can be
// killed and started again. It is for programs as well as for tests, which have
// package redisserver in front of it.
package redisproc

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/roomcast/roomcast/internal/testutil/certificate"
	"github.com/roomcast/roomcast/internal/testutil/port"
	"github.com/roomcast/roomcast/internal/testutil/process"
)

// startLimit is how long a redis-server may take until it answers.
const startLimit = 10 * time.Second

// Options says what a server is. The zero value is a Redis without persistence.
type Options struct {
	// Args are further options of the command line, such as "--appendonly", "yes".
	Args []string
	// Certificate makes it a server over TLS, with this certificate.
	Certificate *certificate.Pair
	// Sentinel makes it a sentinel, with these lines of configuration.
	Sentinel []string
}

// Server is a redis-server process. Its methods are for one goroutine.
type Server struct {
	options Options
	addr    string
	release func() // gives the port back
	dir     string // keeps the data from one process to the next
	process *process.Process
}

// Launch starts a server and returns when it answers. The caller closes it.
func Launch(options Options) (*Server, error) {
	s := &Server{options: options}
	err := s.prepare()
	if err == nil {
		err = s.Restart()
	}
	if err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// prepare gives s an address, which nobody else gets before Close, and a folder.
func (s *Server) prepare() (err error) {
	if s.addr, s.release, err = port.Reserve(); err == nil {
		s.dir, err = os.MkdirTemp("", "roomcast-redis-")
	}
	if err != nil {
		return fmt.Errorf("redisproc: %w", err)
	}
	return nil
}

// Addr returns the server's address, as host:port. It never changes.
func (s *Server) Addr() string { return s.addr }

// PID returns the id of the process; 0 when there is none.
func (s *Server) PID() int {
	if s.process == nil {
		return 0
	}
	return s.process.PID()
}

// Kill ends the process with SIGKILL and waits until it has gone. What it had
// written to disk stays.
func (s *Server) Kill() {
	if s.process != nil {
		s.process.Kill()
		s.process = nil
	}
}

// Close kills the process, if there is one, and removes its data.
func (s *Server) Close() {
	s.Kill()
	if s.release != nil {
		s.release()
		s.release = nil
	}
	if s.dir != "" {
		_ = os.RemoveAll(s.dir)
	}
}

// Restart kills the process, if there is one, starts another on the same address
// with the same data, and returns when it answers.
func (s *Server) Restart() error {
	s.Kill()
	args, err := s.args()
	if err != nil {
		return err
	}
	s.process, err = process.Start(exec.Command("redis-server", args...))
	if errors.Is(err, exec.ErrNotFound) {
		return fmt.Errorf("redisproc: make test installs redis-server: %w", err)
	}
	if err != nil {
		return fmt.Errorf("redisproc: %w", err)
	}
	return s.await()
}

// args is the command line.
func (s *Server) args() ([]string, error) {
	host, port, err := net.SplitHostPort(s.addr)
	if err != nil {
		return nil, fmt.Errorf("redisproc: %w", err)
	}
	args := []string{"--bind", host, "--dir", s.dir, "--port", port}
	switch {
	case s.options.Sentinel != nil:
		config, err := s.sentinelConfig()
		if err != nil {
			return nil, err
		}
		return append([]string{config, "--sentinel"}, args...), nil
	case s.options.Certificate != nil:
		args[len(args)-1] = "0" // nothing without TLS
		args = append(args, overTLS(s.options.Certificate, port)...)
	}
	return append(append(args, "--save", ""), s.options.Args...), nil
}

// overTLS are the options of a server with certificate c on port.
func overTLS(c *certificate.Pair, port string) []string {
	return []string{
		"--tls-port", port, "--tls-auth-clients", "no",
		"--tls-cert-file", c.File, "--tls-key-file", c.KeyFile, "--tls-ca-cert-file", c.File,
	}
}

// sentinelConfig returns the path of the file in which a sentinel keeps what it
// knows, making it for the first process.
func (s *Server) sentinelConfig() (string, error) {
	path := filepath.Join(s.dir, "sentinel.conf")
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	text := ""
	for _, line := range s.options.Sentinel {
		text += line + "\n"
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		return "", fmt.Errorf("redisproc: %w", err)
	}
	return path, nil
}

// await returns when the server answers, or has ended.
func (s *Server) await() error {
	ended := s.process.Ended()
	ping := func() error { return Ping(s.addr, s.options.Certificate) }
	err := poll(ping, ended)
	if err == nil {
		return nil
	}
	select {
	case <-ended:
		err = s.process.Err()
	default:
	}
	s.Kill()
	return fmt.Errorf("redisproc: redis-server at %s: %w", s.addr, err)
}

// poll calls ping until it succeeds, no longer than a server may take to start, or
// until stop is closed.
func poll(ping func() error, stop <-chan struct{}) error {
	deadline := time.Now().Add(startLimit)
	pause := time.NewTicker(5 * time.Millisecond)
	defer pause.Stop()
	for {
		err := ping()
		if err == nil || time.Now().After(deadline) {
			return err
		}
		select {
		case <-stop:
			return err
		case <-pause.C:
		}
	}
}
