package rediscluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
)

// Slot returns the slot of a key or of a channel: that of its hash tag, if it has
// one.
func Slot(name string) int {
	if _, after, ok := strings.Cut(name, "{"); ok {
		if tag, _, ok := strings.Cut(after, "}"); ok && tag != "" {
			name = tag
		}
	}
	var crc uint16 // CRC-16/XMODEM
	for i := range len(name) {
		crc ^= uint16(name[i]) << 8
		for range 8 {
			carry := crc & 0x8000
			crc <<= 1
			if carry != 0 {
				crc ^= 0x1021
			}
		}
	}
	return int(crc) % slots
}

// migrateLimit bounds the move of some keys, in milliseconds.
const migrateLimit = 5000

// MoveSlot moves slot, with its keys, to the master at the address to, as an
// operator would while the cluster is in use.
func (c *Cluster) MoveSlot(ctx context.Context, slot int, to string) error {
	from, err := c.Owner(ctx, slot)
	if err != nil || from == to {
		return err
	}
	source, err := c.at(from)
	if err != nil {
		return err
	}
	target, err := c.at(to)
	if err != nil {
		return err
	}
	if err := target.do(ctx, "setslot", slot, "importing", source.id); err != nil {
		return err
	}
	if err := source.do(ctx, "setslot", slot, "migrating", target.id); err != nil {
		return err
	}
	if err := source.migrate(ctx, slot, target); err != nil {
		return err
	}
	// The target first: a slot that nobody has would be refused by all.
	for _, m := range []*member{target, source} {
		if err := m.do(ctx, "setslot", slot, "node", target.id); err != nil {
			return err
		}
	}
	return c.await(ctx, fmt.Sprintf("that slot %d has moved", slot), func(m *member, ctx context.Context) bool {
		seen, err := m.owner(ctx, slot)
		return err == nil && seen == to
	})
}

// migrate moves all keys of slot to target.
func (m *member) migrate(ctx context.Context, slot int, target *member) error {
	host, port, err := net.SplitHostPort(target.Addr())
	if err != nil {
		return fmt.Errorf("rediscluster: %w", err)
	}
	for {
		keys, err := m.client.ClusterGetKeysInSlot(ctx, slot, 100).Result()
		if err != nil || len(keys) == 0 {
			return wrapped(err)
		}
		command := []any{"migrate", host, port, "", 0, migrateLimit, "keys"}
		for _, key := range keys {
			command = append(command, key)
		}
		if err := m.client.Do(ctx, command...).Err(); err != nil {
			return wrapped(err)
		}
	}
}

// Failover makes a replica of the master at addr take its place, both being
// alive, and returns its address when all have heard of it.
func (c *Cluster) Failover(ctx context.Context, addr string) (string, error) {
	old, err := c.at(addr)
	if err != nil {
		return "", err
	}
	for _, m := range c.members {
		if m.PID() == 0 || !m.replicates(ctx, old) {
			continue
		}
		if err := m.do(ctx, "failover"); err != nil {
			return "", err
		}
		return m.Addr(), c.await(ctx, "that the replica is master", func(seer *member, ctx context.Context) bool {
			return seer.sees(ctx, func(n node) bool { return n.id == old.id && n.is("slave") }) &&
				seer.sees(ctx, func(n node) bool { return n.id == m.id && n.is("master") && len(n.slots) > 0 })
		})
	}
	return "", errors.New("rediscluster: " + addr + " has no replica")
}

// replicates says whether m is a replica of master.
func (m *member) replicates(ctx context.Context, master *member) bool {
	return m.sees(ctx, func(n node) bool { return n.id == m.id && n.master == master.id })
}

// sees says whether m knows a server like that.
func (m *member) sees(ctx context.Context, like func(node) bool) bool {
	all, err := m.nodes(ctx)
	return err == nil && slices.ContainsFunc(all, like)
}

func wrapped(err error) error {
	if err != nil {
		return fmt.Errorf("rediscluster: %w", err)
	}
	return nil
}
