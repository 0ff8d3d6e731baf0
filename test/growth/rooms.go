package main

import (
	"context"
	"math/rand/v2"
	"strconv"
)

// measureRoomSize lets one room grow. It is one of the clients that are not in it who
// sends.
func measureRoomSize(ctx context.Context, p *pass) error {
	s, err := p.openWith(ctx, 1, false, 1)
	if err != nil {
		return err
	}
	defer s.close()
	const room = "room"
	speaker := s.crowd.clients[0]
	for _, size := range p.sizes {
		inside := len(s.crowd.clients) - 1
		if _, err := s.admit(ctx, size-inside, mainOnly); err != nil {
			return err
		}
		seat := func(i int) (*client, string) { return s.crowd.clients[1+inside+i], room }
		if err := s.crowd.join(ctx, size-inside, seat); err != nil {
			return err
		}
		if err := s.both(ctx, p, size, speak(speaker, room, smallPayload, size), float64(p.scale.deliveries)/float64(size)); err != nil {
			return err
		}
	}
	return nil
}

// measurePayload lets the payload grow in a room of a hundred.
func measurePayload(ctx context.Context, p *pass) error {
	const room = "room"
	members := min(100, p.scale.clients)
	s, err := p.openWith(ctx, 1, false, 1+members)
	if err != nil {
		return err
	}
	defer s.close()
	if err := s.crowd.join(ctx, members, func(i int) (*client, string) { return s.crowd.clients[1+i], room }); err != nil {
		return err
	}
	rate := float64(p.scale.deliveries) / float64(members) / 2 // 64 KB to all are 260 MB/s then
	for _, size := range p.sizes {
		if err := s.both(ctx, p, size, speak(s.crowd.clients[0], room, size, members), rate); err != nil {
			return err
		}
	}
	return nil
}

// both finds the processor time of a delivery at a rate of broadcasts, and how many
// deliveries a server makes at most.
func (s *stage) both(ctx context.Context, p *pass, size int, l load, rate float64) error {
	used, err := s.costOf(ctx, l, rate, p.scale)
	if err != nil {
		return err
	}
	p.found("delivery", size, micros(used)/float64(l.members))
	perSecond, err := s.crowd.saturate(ctx, l, p.scale.span)
	if err != nil {
		return err
	}
	p.found("rate", size, perSecond/1000)
	return nil
}

// measureRooms lets the number of rooms grow. Each has as many members; who is in one is
// in as many others as the number allows.
func measureRooms(ctx context.Context, p *pass) error {
	const members = 5
	// Fewer joins are the first that a server sees, and nothing else.
	const enough = 400
	s, err := p.openWith(ctx, 1, false, 1+p.scale.clients/2)
	if err != nil {
		return err
	}
	defer s.close()
	guests := s.crowd.clients[1:]
	rooms := 0
	for _, size := range p.sizes {
		joins := (size - rooms) * members
		seat := func(i int) (*client, string) {
			i += rooms * members
			return guests[i%len(guests)], strconv.Itoa(i / members)
		}
		used, err := s.spend(func() error { return s.crowd.join(ctx, joins, seat) })
		if err != nil {
			return err
		}
		if joins >= enough || p.scale == shortScale {
			p.found("join", size, micros(used)/float64(joins))
		}
		rooms = size
		l := load{members: members, send: func(int) error {
			return s.crowd.clients[0].send(publication(strconv.Itoa(rand.N(size)), smallPayload))
		}}
		each, err := s.costOf(ctx, l, float64(p.scale.deliveries)/members/2, p.scale)
		if err != nil {
			return err
		}
		p.found("publish", size, micros(each))
	}
	return nil
}

// measureNodes lets a cluster grow: a room that all nodes have, and rooms of ten that are
// on one node each, to which clients of any node send.
func measureNodes(ctx context.Context, p *pass) error {
	const tens = 10
	guests := min(800, p.scale.clients/8*tens)
	rooms := guests / tens
	for _, nodes := range p.sizes {
		if err := p.onNodes(ctx, nodes, guests, rooms); err != nil {
			return err
		}
	}
	return nil
}

func (p *pass) onNodes(ctx context.Context, nodes, guests, rooms int) error {
	s, err := p.openWith(ctx, nodes, true, nodes+guests)
	if err != nil {
		return err
	}
	defer s.close()
	const all = "all"
	// The first client of each node speaks. The others are dealt to the nodes in turn, and
	// so are the rooms.
	seat := func(i int) (*client, string) {
		guest := i / 2
		if i%2 == 0 {
			return s.crowd.clients[nodes+guest], all
		}
		return s.crowd.clients[nodes+guest], strconv.Itoa(guest % rooms)
	}
	if err := s.crowd.join(ctx, 2*guests, seat); err != nil {
		return err
	}
	if err := s.crowd.introduce(ctx, greet(s.crowd.clients[0], all, guests)); err != nil {
		return err
	}
	l := speak(s.crowd.clients[0], all, smallPayload, guests)
	used, err := s.costOf(ctx, l, float64(p.scale.deliveries)/float64(guests), p.scale)
	if err != nil {
		return err
	}
	p.found("delivery", nodes, micros(used)/float64(guests))
	small := load{members: guests / rooms, send: func(int) error {
		return s.crowd.clients[rand.N(nodes)].send(publication(strconv.Itoa(rand.N(rooms)), smallPayload))
	}}
	used, err = s.costOf(ctx, small, float64(p.scale.deliveries)/40, p.scale)
	if err != nil {
		return err
	}
	p.found("publish", nodes, micros(used))
	return nil
}

// openWith opens a stage on which n clients are dealt to the nodes in turn.
func (p *pass) openWith(ctx context.Context, nodes int, clustered bool, n int) (*stage, error) {
	s, err := p.open(ctx, nodes, clustered, setup{})
	if err != nil {
		return nil, err
	}
	if _, err := s.admit(ctx, n, mainOnly); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}
