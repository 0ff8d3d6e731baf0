package main

import (
	"context"
	"strconv"
	"time"
)

// measureConnections lets one server grow.
func measureConnections(ctx context.Context, p *pass) error {
	s, err := p.open(ctx, 1, false, setup{})
	if err != nil {
		return err
	}
	defer s.close()
	empty, err := s.memory()
	if err != nil {
		return err
	}
	for _, size := range p.sizes {
		used, err := s.admit(ctx, size-len(s.crowd.clients), mainOnly)
		if err != nil {
			return err
		}
		held, err := s.settled(ctx, p.scale)
		if err != nil {
			return err
		}
		p.found("handshake", size, used)
		p.found("memory", size, kilobytes(held-empty, size))
	}
	return nil
}

// measureNamespaces spreads clients over the namespaces of a server, one for each.
func measureNamespaces(ctx context.Context, p *pass) error {
	for _, size := range p.sizes {
		join := func(i int) []string { return []string{"/" + strconv.Itoa(i%size)} }
		if err := p.fill(ctx, size, size, p.scale.clients, 1, join); err != nil {
			return err
		}
	}
	return nil
}

// measureSockets has the same number of sockets on fewer and fewer connections. A
// connection joins its namespaces at once.
func measureSockets(ctx context.Context, p *pass) error {
	for _, size := range p.sizes {
		all := make([]string, size)
		for i := range all {
			all[i] = "/" + strconv.Itoa(i)
		}
		connections := max(1, p.scale.clients/size)
		if err := p.fill(ctx, size, size, connections, size, func(int) []string { return all }); err != nil {
			return err
		}
	}
	return nil
}

// fill measures what so many sockets on each of some connections cost a server.
func (p *pass) fill(ctx context.Context, size, namespaces, connections, sockets int, join func(i int) []string) error {
	s, err := p.open(ctx, 1, false, setup{namespaces: namespaces})
	if err != nil {
		return err
	}
	defer s.close()
	empty, err := s.memory()
	if err != nil {
		return err
	}
	used, err := s.admit(ctx, connections, join)
	if err != nil {
		return err
	}
	held, err := s.settled(ctx, p.scale)
	if err != nil {
		return err
	}
	p.found("handshake", size, used/float64(sockets))
	p.found("memory", size, kilobytes(held-empty, connections*sockets))
	return nil
}

// mainOnly joins the main namespace.
func mainOnly(int) []string { return []string{"/"} }

// admit connects n more clients and returns the servers' processor time for each, in
// microseconds.
func (s *stage) admit(ctx context.Context, n int, join func(i int) []string) (float64, error) {
	used, err := s.spend(func() error {
		return s.crowd.connect(ctx, n, func(i int) (string, []string) { return s.addr(i), join(i) })
	})
	return micros(used) / float64(n), err
}

// settled is the memory that the servers hold when they were left alone for a while.
func (s *stage) settled(ctx context.Context, sc scale) (int64, error) {
	timer := time.NewTimer(sc.settle)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	case err := <-s.crowd.lost:
		return 0, err
	case <-timer.C:
		return s.memory()
	}
}

func kilobytes(bytes int64, n int) float64 { return float64(bytes) / 1000 / float64(n) }
