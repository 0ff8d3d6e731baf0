package rediscluster

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// node is what a server says of another one, or of itself: a line of its answer
// to CLUSTER NODES.
type node struct {
	id, addr string
	flags    []string
	master   string // the id of the one it replicates, or ""
	slots    []slotRange
}

type slotRange struct{ first, last int }

func (n node) is(flag string) bool { return slices.Contains(n.flags, flag) }

// owns says whether n is a living master that has slot.
func (n node) owns(slot int) bool {
	return n.is("master") && !n.is("fail") && slices.ContainsFunc(n.slots, func(r slotRange) bool {
		return r.first <= slot && slot <= r.last
	})
}

// nodes asks m for all servers that it knows.
func (m *member) nodes(ctx context.Context) ([]node, error) {
	answer, err := m.client.ClusterNodes(ctx).Result()
	if err != nil {
		return nil, fmt.Errorf("rediscluster: %w", err)
	}
	var all []node
	for line := range strings.Lines(answer) {
		if fields := strings.Fields(line); len(fields) >= 8 {
			all = append(all, nodeOf(fields))
		}
	}
	return all, nil
}

// nodeOf reads: id, address@bus port, flags, master's id or "-", ping, pong,
// epoch, state of the link, slots.
func nodeOf(fields []string) node {
	addr, _, _ := strings.Cut(fields[1], "@")
	n := node{id: fields[0], addr: addr, flags: strings.Split(fields[2], ",")}
	if fields[3] != "-" {
		n.master = fields[3]
	}
	for _, field := range fields[8:] {
		first, last, isRange := strings.Cut(field, "-")
		if !isRange {
			last = first
		}
		var r slotRange
		var errFirst, errLast error
		r.first, errFirst = strconv.Atoi(first)
		r.last, errLast = strconv.Atoi(last)
		if errFirst == nil && errLast == nil { // else a slot on its way, as [12->-id]
			n.slots = append(n.slots, r)
		}
	}
	return n
}

// Owner returns the address of the master that has slot, as the first server that
// runs sees it.
func (c *Cluster) Owner(ctx context.Context, slot int) (string, error) {
	asked, err := c.alive()
	if err != nil {
		return "", err
	}
	return asked.owner(ctx, slot)
}

// owner returns the address of the master that has slot, as m sees it.
func (m *member) owner(ctx context.Context, slot int) (string, error) {
	all, err := m.nodes(ctx)
	if err != nil {
		return "", err
	}
	for _, n := range all {
		if n.owns(slot) {
			return n.addr, nil
		}
	}
	return "", fmt.Errorf("rediscluster: nobody has slot %d", slot)
}

// Masters returns the addresses of the living masters that have slots, sorted.
func (c *Cluster) Masters(ctx context.Context) ([]string, error) {
	asked, err := c.alive()
	if err != nil {
		return nil, err
	}
	all, err := asked.nodes(ctx)
	if err != nil {
		return nil, err
	}
	var addrs []string
	for _, n := range all {
		if n.is("master") && !n.is("fail") && len(n.slots) > 0 {
			addrs = append(addrs, n.addr)
		}
	}
	slices.Sort(addrs)
	return addrs, nil
}
