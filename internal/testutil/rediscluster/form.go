package rediscluster

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"
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
	known, err := m.nodes(ctx)
	return err == nil && len(known) == members && !slices.ContainsFunc(known, func(n node) bool { return n.is("handshake") })
}

// ready says whether m serves, sees a replica of each master, and has its
// master's data if it is one itself.
func (m *member) ready(ctx context.Context) bool {
	info, err := m.client.ClusterInfo(ctx).Result()
	if err != nil || !strings.Contains(info, "cluster_state:ok") {
		return false
	}
	replicas, err := m.nodes(ctx)
	replicas = slices.DeleteFunc(replicas, func(n node) bool { return n.master == "" })
	if err != nil || len(replicas) != members-masters {
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
