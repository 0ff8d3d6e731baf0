package main

import (
	"context"
	"strings"
	"sync/atomic"

	"github.com/roomcast/roomcast/pkg/adapter"
)

// counted counts what the nodes of an adapter get from each other.
type counted struct {
	adapter.Adapter
	heartbeats, broadcasts atomic.Int64
}

func (c *counted) Join(ctx context.Context, topic string, self adapter.NodeID, deliver func(*adapter.Message)) (adapter.Link, error) {
	return c.Adapter.Join(ctx, topic, self, func(m *adapter.Message) {
		switch {
		case m.Kind == adapter.KindHeartbeat:
			c.heartbeats.Add(1)
		case m.Kind == adapter.KindBroadcast && strings.Contains(string(m.Broadcast.Packet.Data), mark):
			c.broadcasts.Add(1)
		}
		deliver(m)
	})
}
