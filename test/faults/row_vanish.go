package main

import (
	"context"
	"fmt"
	"maps"
	"time"

	"github.com/roomcast/roomcast/internal/testutil/tcpproxy"
	"github.com/roomcast/roomcast/test/faults/client"
	"github.com/roomcast/roomcast/test/faults/node"
	"github.com/roomcast/roomcast/test/faults/tally"
)

// vanishing is which share of the clients vanishes: one of so many.
const vanishing = 20

// clientsVanish is row F11: some clients' connections go through proxies that
// swallow everything from some moment on.
func clientsVanish(ctx context.Context, s *stage) error {
	if err := s.single(); err != nil {
		return err
	}
	err := s.nodes(func(_ int, c *node.Config) { c.PingInterval, c.PingTimeout = s.scale.ping, s.scale.pingTimeout })
	if err != nil {
		return err
	}
	proxies := make([]*tcpproxy.Proxy, stageNodes)
	for i, m := range s.fleet.living() {
		if proxies[i], err = s.proxied(m.at.Web); err != nil {
			return err
		}
	}
	err = s.clients(ctx, func(i int, c *client.Config) {
		m := s.fleet.living()[i%stageNodes]
		place := m.place()
		if vanishes(i) {
			place.Addr = proxies[i%stageNodes].Addr()
		}
		c.Place = func() (client.Place, bool) { return place, true }
	})
	if err != nil {
		return err
	}
	s.startLoad(ctx)
	if err := pause(ctx, s.scale.calm); err != nil {
		return err
	}
	for _, p := range proxies {
		p.Hold(tcpproxy.Both)
	}
	limit := s.scale.ping + s.scale.pingTimeout + time.Second
	took, ok := within(ctx, 2*limit, func() bool { return s.allCount(ctx, s.remaining) })
	s.holds(ok && took <= limit, "counted out on every node, rooms included, after %s (≤ %s)", round(took), round(limit))
	if _, err := s.finish(ctx); err != nil {
		return err
	}
	s.none("other clients disconnected", s.crowd.disconnections())
	return nil
}

// vanishes says whether the i-th client does. Each node and both kinds of clients,
// those in rooms and the others, are concerned.
func vanishes(i int) bool { return i%vanishing == i/vanishing%vanishing }

// allCount says whether every node finds the sockets that it should.
func (s *stage) allCount(ctx context.Context, want func(*member) node.Found) bool {
	for _, m := range s.fleet.living() {
		var found node.Found
		err := s.fleet.order(ctx, m, fmt.Sprintf("/fetch?milliseconds=%d", normalLimit.Milliseconds()), &found)
		expected := want(m)
		if err != nil || found.Error != "" || found.Sockets != expected.Sockets || !maps.Equal(found.Rooms, expected.Rooms) {
			return false
		}
	}
	return true
}

// remaining is what a node should find when the vanished are gone: the sockets of
// all nodes, or alone its own.
func (s *stage) remaining(m *member) node.Found {
	found := node.Found{Rooms: make(map[string]int)}
	for i, l := range s.crowd.logs {
		elsewhere := l.Sittings()[0].Node != m.config.Sender
		if vanishes(i) || s.adapter == "memory" && elsewhere {
			continue
		}
		found.Sockets++
		if l.Room != tally.Everybody {
			found.Rooms[node.Room(l.Room)]++
		}
	}
	return found
}
