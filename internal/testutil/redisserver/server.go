// Package redisserver runs a Redis for tests: a redis-server process that can be
// killed and started again, also over TLS and with users, or a container.
package redisserver

import (
	"crypto/tls"
	"testing"

	"github.com/roomcast/roomcast/internal/testutil/certificate"
	"github.com/roomcast/roomcast/internal/testutil/redisproc"
)

// Server is a redis-server process on a port of 127.0.0.1. Its methods are for
// one goroutine.
type Server struct {
	t testing.TB
	*redisproc.Server
}

// Start starts redis-server from PATH, without persistence, with further options
// of its command line. It ends with the test, which fails where there is no
// redis-server: what it proves would be unproven.
func Start(t testing.TB, options ...string) *Server {
	t.Helper()
	return start(t, redisproc.Options{Args: options})
}

// StartTLS is Start for a server that speaks TLS only. The configuration is that
// of a client that trusts it.
func StartTLS(t testing.TB, options ...string) (*Server, *tls.Config) {
	t.Helper()
	pair, err := certificate.New(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return start(t, redisproc.Options{Args: options, Certificate: pair}), pair.Client
}

// User returns options for Start: a user who may do no more than the rules say,
// such as "+publish" or "&socket.io#*". Clients without a user may do nothing.
func User(name, password string, rules ...string) []string {
	user := append([]string{"--user", name, "reset", "on", ">" + password}, rules...)
	return append(user, "--user", "default", "off")
}

func start(t testing.TB, options redisproc.Options) *Server {
	t.Helper()
	s, err := redisproc.Launch(options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	logVersion(t, s.Addr(), options.Certificate)
	return &Server{t: t, Server: s}
}

// Restart kills the process, if there is one, starts another with the same data
// and waits until it answers.
func (s *Server) Restart() {
	s.t.Helper()
	if err := s.Server.Restart(); err != nil {
		s.t.Fatal(err)
	}
}

// logVersion says which Redis a test has found, where that is no secret.
func logVersion(t testing.TB, addr string, pair *certificate.Pair) {
	t.Helper()
	if version, err := redisproc.Version(addr, pair); err == nil {
		t.Logf("Redis %s", version)
	}
}
