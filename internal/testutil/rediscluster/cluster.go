// Package rediscluster runs a Redis Cluster of three masters with a replica each,
// all of them processes on 127.0.0.1, whose slots can be moved and whose masters
// can be killed.
package rediscluster

import (
	"context"
	"fmt"
	"net"
	"testing"

	goredis "github.com/redis/go-redis/v9"

	"github.com/roomcast/roomcast/internal/testutil/port"
	"github.com/roomcast/roomcast/internal/testutil/redisproc"
)

const (
	masters = 3
	members = 2 * masters
	slots   = 16384
)

// Cluster is a running cluster. Its methods are for one goroutine; programs may
// use the cluster meanwhile.
type Cluster struct {
	members []*member // masters first, then a replica of each in the same order
}

// member is one server.
type member struct {
	*redisproc.Server
	busPort string
	release func() // gives the bus port back
	client  *goredis.Client
	id      string
}

// Start starts a cluster and waits until all of it agrees that it works, which
// takes about three seconds. It ends with the test. Further options are those of
// each server's command line.
func Start(t testing.TB, options ...string) *Cluster {
	t.Helper()
	c, err := Launch(t.Context(), options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// Launch is Start outside of tests: the caller closes the cluster.
func Launch(ctx context.Context, options ...string) (*Cluster, error) {
	c := &Cluster{}
	for range members {
		m, err := launch(ctx, options)
		if err != nil {
			c.Close()
			return nil, err
		}
		c.members = append(c.members, m)
	}
	if err := c.form(ctx); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

func launch(ctx context.Context, options []string) (*member, error) {
	bus, release, err := port.Reserve()
	if err != nil {
		return nil, fmt.Errorf("rediscluster: %w", err)
	}
	_, busPort, _ := net.SplitHostPort(bus)
	server, err := redisproc.Launch(redisproc.Options{Args: append([]string{
		"--cluster-enabled", "yes", "--cluster-port", busPort, "--cluster-node-timeout", "2000",
		"--repl-diskless-sync-delay", "0",
	}, options...)})
	if err != nil {
		release()
		return nil, err
	}
	m := &member{Server: server, busPort: busPort, release: release}
	m.client = goredis.NewClient(&goredis.Options{Addr: m.Addr(), MaxRetries: -1})
	if m.id, err = m.client.Do(ctx, "cluster", "myid").Text(); err != nil {
		m.close()
		return nil, fmt.Errorf("rediscluster: %w", err)
	}
	return m, nil
}

func (m *member) close() {
	_ = m.client.Close()
	m.Server.Close()
	m.release()
}

// Close ends all servers and removes their data.
func (c *Cluster) Close() {
	for _, m := range c.members {
		m.close()
	}
}

// Addrs returns the addresses of all servers, for a client to start with.
func (c *Cluster) Addrs() []string {
	addrs := make([]string, len(c.members))
	for i, m := range c.members {
		addrs[i] = m.Addr()
	}
	return addrs
}

// Options are those of a client of the cluster.
func (c *Cluster) Options() *goredis.ClusterOptions {
	return &goredis.ClusterOptions{Addrs: c.Addrs()}
}

// Kill ends the server at addr with SIGKILL. The replica of a dead master takes
// its place after about three seconds.
func (c *Cluster) Kill(addr string) error {
	m, err := c.at(addr)
	if err != nil {
		return err
	}
	m.Kill()
	return nil
}

// Restart starts a killed server again. It knows its cluster and comes back as a
// replica of whoever has taken its place.
func (c *Cluster) Restart(addr string) error {
	m, err := c.at(addr)
	if err != nil {
		return err
	}
	return m.Restart()
}

// at returns the server with an address.
func (c *Cluster) at(addr string) (*member, error) {
	for _, m := range c.members {
		if m.Addr() == addr {
			return m, nil
		}
	}
	return nil, fmt.Errorf("rediscluster: no server at %s", addr)
}

// alive returns the first server that runs: it is asked about the others.
func (c *Cluster) alive() (*member, error) {
	for _, m := range c.members {
		if m.PID() != 0 {
			return m, nil
		}
	}
	return nil, fmt.Errorf("rediscluster: all servers are dead")
}
