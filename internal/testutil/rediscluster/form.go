package rediscluster

import (
	"context"
	"fmt"
	"net"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// formLimit bounds how long the members may take to agree.
const formLimit = 30 * time.Second

// form makes a cluster of the members, which do not know each other.
func (c *Cluster) form(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, formLimit)
	defer cancel()
	for i, m := range c.members[:masters] {
		// Two nodes with one epoch would quarrel about it first.
		if err := m.do(ctx, "set-config-epoch", i+1); err != nil {
			return err
		}
		if err := m.do(ctx, "addslotsrange", i*slots/masters, (i+1)*slots/masters-1); err != nil {
			return err
		}
	}
	for _, m := range c.members[1:] {
		host, port, err := net.SplitHostPort(m.Addr())
		if err != nil {
			return fmt.Errorf("rediscluster: %w", err)
		}
		if err := c.members[0].do(ctx, "meet", host, port, m.busPort); err != nil {
			return err
		}
	}
	if err := c.await(ctx, "that all know each other", (*member).knowsAll); err != nil {
		return err
	}
	for i, m := range c.members[masters:] {
		if err := m.do(ctx, "replicate", c.members[i].id); err != nil {
			return err
		}
	}
	return c.await(ctx, "that all are ready", (*member).ready)
}

// do sends a CLUSTER command.
func (m *member) do(ctx context.Context, args ...any) error {
	if err := m.client.Do(ctx, append([]any{"cluster"}, args...)...).Err(); err != nil {
		return fmt.Errorf("rediscluster: %v at %s: %w", args, m.Addr(), err)
	}
	return nil
}

// knowsAll says whether m has shaken hands with all others.
func (m *member) knowsAll(ctx context.Context) bool {
	nodes, err := m.client.ClusterNodes(ctx).Result()
	return err == nil && strings.Count(nodes, "\n") == members && !strings.Contains(nodes, "handshake")
}

// ready says whether m serves, sees a replica of each master, and has its
// master's data if it is one itself.
func (m *member) ready(ctx context.Context) bool {
	info, err := m.client.ClusterInfo(ctx).Result()
	if err != nil || !strings.Contains(info, "cluster_state:ok") {
		return false
	}
	nodes, err := m.client.ClusterNodes(ctx).Result()
	if err != nil || strings.Count(nodes, "slave") != members-masters {
		return false
	}
	replication, err := m.client.Info(ctx, "replication").Result()
	return err == nil && !strings.Contains(replication, "master_link_status:down")
}

// await returns when all running members are as wanted.
func (c *Cluster) await(ctx context.Context, what string, wanted func(*member, context.Context) bool) error {
	pause := time.NewTicker(20 * time.Millisecond)
	defer pause.Stop()
	for {
		all := true
		for _, m := range c.members {
			all = all && (m.PID() == 0 || wanted(m, ctx))
		}
		if all {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("rediscluster: waiting %s: %w", what, context.Cause(ctx))
		case <-pause.C:
		}
	}
}

// Owner returns the address of the master that has slot, according to the server
// that was started first.
func (c *Cluster) Owner(ctx context.Context, slot int) (string, error) {
	asked, err := c.alive()
	if err != nil {
		return "", err
	}
	ranges, err := asked.client.ClusterSlots(ctx).Result()
	if err != nil {
		return "", fmt.Errorf("rediscluster: %w", err)
	}
	for _, r := range ranges {
		if r.Start <= slot && slot <= r.End && len(r.Nodes) > 0 {
			return r.Nodes[0].Addr, nil
		}
	}
	return "", fmt.Errorf("rediscluster: nobody has slot %d", slot)
}

// Masters returns the addresses of the servers that have slots, in slot order.
func (c *Cluster) Masters(ctx context.Context) ([]string, error) {
	asked, err := c.alive()
	if err != nil {
		return nil, err
	}
	ranges, err := asked.client.ClusterSlots(ctx).Result()
	if err != nil {
		return nil, fmt.Errorf("rediscluster: %w", err)
	}
	return distinctMasters(ranges), nil
}

func distinctMasters(ranges []goredis.ClusterSlot) []string {
	var addrs []string
	seen := map[string]bool{}
	for _, r := range ranges {
		if len(r.Nodes) > 0 && !seen[r.Nodes[0].Addr] {
			seen[r.Nodes[0].Addr] = true
			addrs = append(addrs, r.Nodes[0].Addr)
		}
	}
	return addrs
}
