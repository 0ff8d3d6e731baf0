// Package redissentinel runs a Redis primary with replicas and three sentinels
// that watch them, all of them processes on 127.0.0.1.
package redissentinel

import (
	"context"
	"errors"
	"fmt"
	"net"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/roomcast/roomcast/internal/testutil/redisproc"
)

// MasterName is the name under which the sentinels know the primary.
const MasterName = "roomcast"

const (
	sentinels = 3
	quorum    = 2
	// downAfter is the silence after which a sentinel takes a server for dead.
	downAfter = time.Second
	// readyLimit bounds how long the sentinels may take to find everybody, and to
	// promote a replica.
	readyLimit = 30 * time.Second
)

// Group is a running primary with its replicas and sentinels. Its methods are for
// one goroutine; programs may use the servers meanwhile.
type Group struct {
	servers   []*redisproc.Server
	sentinels []*redisproc.Server
	replicas  int
	asked     *goredis.SentinelClient
}

// Start starts a primary with that many replicas and waits until the sentinels
// have found all of them, which takes about three seconds. It ends with the test.
// Further options are those of each server's command line.
func Start(t testing.TB, replicas int, options ...string) *Group {
	t.Helper()
	g, err := Launch(t.Context(), replicas, options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(g.Close)
	return g
}

// Launch is Start outside of tests: the caller closes the group.
func Launch(ctx context.Context, replicas int, options ...string) (*Group, error) {
	g := &Group{replicas: replicas}
	if err := g.launch(options); err != nil {
		g.Close()
		return nil, err
	}
	g.asked = goredis.NewSentinelClient(&goredis.Options{Addr: g.sentinels[0].Addr(), MaxRetries: -1})
	if err := g.await(ctx, "that the sentinels have found all", g.ready); err != nil {
		g.Close()
		return nil, err
	}
	return g, nil
}

func (g *Group) launch(options []string) error {
	options = append([]string{"--repl-diskless-sync-delay", "0"}, options...)
	for range 1 + g.replicas {
		s, err := redisproc.Launch(redisproc.Options{Args: options})
		if err != nil {
			return err
		}
		g.servers = append(g.servers, s)
		if len(g.servers) == 1 {
			host, port, err := net.SplitHostPort(s.Addr())
			if err != nil {
				return fmt.Errorf("redissentinel: %w", err)
			}
			options = append(options, "--replicaof", host+" "+port)
		}
	}
	for range sentinels {
		s, err := redisproc.Launch(redisproc.Options{Sentinel: config(g.servers[0].Addr())})
		if err != nil {
			return err
		}
		g.sentinels = append(g.sentinels, s)
	}
	return nil
}

// config is what a sentinel is told.
func config(primary string) []string {
	host, port, _ := net.SplitHostPort(primary)
	return []string{
		fmt.Sprintf("sentinel monitor %s %s %s %d", MasterName, host, port, quorum),
		fmt.Sprintf("sentinel down-after-milliseconds %s %d", MasterName, downAfter.Milliseconds()),
		fmt.Sprintf("sentinel failover-timeout %s %d", MasterName, 10*downAfter.Milliseconds()),
	}
}

// Close ends all servers and removes their data.
func (g *Group) Close() {
	if g.asked != nil {
		_ = g.asked.Close()
	}
	for _, s := range append(g.sentinels, g.servers...) {
		s.Close()
	}
}

// Addrs returns the addresses of the sentinels.
func (g *Group) Addrs() []string {
	addrs := make([]string, len(g.sentinels))
	for i, s := range g.sentinels {
		addrs[i] = s.Addr()
	}
	return addrs
}

// Options are those of a client that follows the primary.
func (g *Group) Options() *goredis.FailoverOptions {
	return &goredis.FailoverOptions{MasterName: MasterName, SentinelAddrs: g.Addrs()}
}

// Primary returns the address of the primary, as the sentinels see it.
func (g *Group) Primary(ctx context.Context) (string, error) {
	addr, err := g.asked.GetMasterAddrByName(ctx, MasterName).Result()
	if err != nil {
		return "", fmt.Errorf("redissentinel: %w", err)
	}
	return net.JoinHostPort(addr[0], addr[1]), nil
}

// KillPrimary ends the primary with SIGKILL and returns its address. The
// sentinels promote a replica after about two seconds; see AwaitPrimary.
func (g *Group) KillPrimary(ctx context.Context) (string, error) {
	addr, err := g.Primary(ctx)
	if err != nil {
		return "", err
	}
	s, err := g.at(addr)
	if err != nil {
		return "", err
	}
	s.Kill()
	return addr, nil
}

// Restart starts a killed server again. The sentinels make it a replica.
func (g *Group) Restart(addr string) error {
	s, err := g.at(addr)
	if err != nil {
		return err
	}
	return s.Restart()
}

// Failover has the sentinels promote a replica while the primary is alive, and
// returns the new primary's address.
func (g *Group) Failover(ctx context.Context) (string, error) {
	old, err := g.Primary(ctx)
	if err != nil {
		return "", err
	}
	if err := g.asked.Failover(ctx, MasterName).Err(); err != nil {
		return "", fmt.Errorf("redissentinel: %w", err)
	}
	return g.AwaitPrimary(ctx, old)
}

// AwaitPrimary returns the address of a primary other than old as soon as it takes
// writes.
func (g *Group) AwaitPrimary(ctx context.Context, old string) (string, error) {
	var promoted string
	err := g.await(ctx, "for a promotion", func(ctx context.Context) bool {
		addr, err := g.Primary(ctx)
		if err != nil || addr == old {
			return false
		}
		promoted = addr
		return isPrimary(ctx, addr)
	})
	return promoted, err
}

func isPrimary(ctx context.Context, addr string) bool {
	client := goredis.NewClient(&goredis.Options{Addr: addr, MaxRetries: -1})
	defer client.Close()
	role, err := client.Do(ctx, "role").Slice()
	return err == nil && len(role) > 0 && role[0] == "master"
}

func (g *Group) at(addr string) (*redisproc.Server, error) {
	for _, s := range g.servers {
		if s.Addr() == addr {
			return s, nil
		}
	}
	return nil, errors.New("redissentinel: no server at " + addr)
}

// ready says whether each sentinel knows the others and all replicas.
func (g *Group) ready(ctx context.Context) bool {
	for _, s := range g.sentinels {
		client := goredis.NewSentinelClient(&goredis.Options{Addr: s.Addr(), MaxRetries: -1})
		state, err := client.Master(ctx, MasterName).Result()
		_ = client.Close()
		if err != nil || state["num-slaves"] != fmt.Sprint(g.replicas) || state["num-other-sentinels"] != fmt.Sprint(sentinels-1) {
			return false
		}
	}
	return true
}

func (g *Group) await(ctx context.Context, what string, done func(context.Context) bool) error {
	ctx, cancel := context.WithTimeout(ctx, readyLimit)
	defer cancel()
	pause := time.NewTicker(20 * time.Millisecond)
	defer pause.Stop()
	for !done(ctx) {
		select {
		case <-ctx.Done():
			return fmt.Errorf("redissentinel: waiting %s: %w", what, context.Cause(ctx))
		case <-pause.C:
		}
	}
	return nil
}
