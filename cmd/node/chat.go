package main

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/roomcast/roomcast/pkg/server"
)

// announceEvery is how often a node tells each room who is there from it. A page
// that hears nothing of a node for three of these takes its people away.
const announceEvery = 5 * time.Second

// The longest texts that the chat takes, in characters.
const (
	maxNameLength = 32
	maxTextLength = 2000
)

// chatEvents are the events that the chat emits.
var chatEvents = []string{"message", "members"}

// chat is a room chat that shows which node everybody is on. No node keeps a list
// of the others' people: each announces its own to the room, whenever it changes
// and now and then, and the pages put the lists together.
type chat struct {
	ns   *server.Namespace
	node string
	log  *slog.Logger

	mu    sync.Mutex
	seats map[string]seat // by socket id: this node's people
}

// seat is one person's place.
type seat struct {
	room   string
	person person
}

type person struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

// roster is the event "members": who is in a room from one node, and who has just
// come or gone.
type roster struct {
	Node    string   `json:"node"`
	Room    string   `json:"room"`
	Members []person `json:"members"`
	Joined  *person  `json:"joined,omitempty"`
	Left    *person  `json:"left,omitempty"`
}

// joinRequest is the argument of the event "join", which is acknowledged with the
// roster of the client's own node.
type joinRequest struct {
	Room string `json:"room"`
	Name string `json:"name"`
}

// messageRequest is the argument of the event "message" from a client.
type messageRequest struct {
	Text string `json:"text"`
}

// chatMessage is the event "message" to the room.
type chatMessage struct {
	Room string `json:"room"`
	From person `json:"from"`
	Node string `json:"node"`
	Text string `json:"text"`
	At   int64  `json:"at"` // milliseconds since 1970
}

// mountChat registers the chat's handlers. node is the name that people see; no
// two nodes have the same.
func mountChat(ns *server.Namespace, node string, log *slog.Logger) *chat {
	c := &chat{ns: ns, node: node, log: log, seats: map[string]seat{}}
	server.Handle(ns, "join", c.join)
	server.On(ns, "message", c.message)
	server.On(ns, "greet", c.greet)
	ns.OnDisconnect(func(_ context.Context, s *server.Socket, _ server.DisconnectReason) { c.leave(s) })
	return c
}

// run announces this node's people until ctx ends.
func (c *chat) run(ctx context.Context) {
	ticker := time.NewTicker(announceEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			for _, room := range c.rooms() {
				c.announce(c.roster(room))
			}
		}
	}
}

// join seats a client in a room, or moves it there, or renames it.
func (c *chat) join(ctx context.Context, s *server.Socket, r joinRequest) (roster, error) {
	room, name := clean(r.Room, maxNameLength), clean(r.Name, maxNameLength)
	if room == "" || name == "" {
		return roster{}, &server.EventError{Message: "a room and a name are needed, of at most 32 characters"}
	}
	p := person{ID: s.ID(), Name: name}
	before, seated := c.seat(s)
	if seated && before.room != room {
		c.leave(s)
		seated = false
	}
	// While Redis is away the chat goes on among this node's people.
	if err := s.Join(ctx, chatRoom(room)); err != nil && !errors.Is(err, server.ErrDegraded) {
		return roster{}, err
	}
	c.mu.Lock()
	c.seats[s.ID()] = seat{room, p}
	c.mu.Unlock()

	now := c.roster(room)
	news := now
	if !seated {
		news.Joined = &p
	}
	c.announce(news)
	return now, nil
}

// message passes a client's text on to its room, itself included: so all see the
// messages of this node in the same order.
func (c *chat) message(_ context.Context, s *server.Socket, r messageRequest) error {
	text := clean(r.Text, maxTextLength)
	at, seated := c.seat(s)
	switch {
	case !seated:
		return &server.EventError{Message: "join a room first"}
	case text == "":
		return &server.EventError{Message: "a message has between 1 and 2000 characters"}
	}
	m := chatMessage{Room: at.room, From: at.person, Node: c.node, Text: text, At: time.Now().UnixMilli()}
	return c.ns.To(chatRoom(at.room)).Emit("message", m)
}

// greet tells one newcomer of another node who is here. One client of each node
// asks for it when it sees somebody come: the newcomer need not wait for the next
// announcement.
func (c *chat) greet(_ context.Context, s *server.Socket, newcomer string) error {
	if at, seated := c.seat(s); seated {
		return c.ns.To(newcomer).Emit("members", c.roster(at.room))
	}
	return nil
}

// leave takes a client out of its room, if it is in one.
func (c *chat) leave(s *server.Socket) {
	c.mu.Lock()
	at, seated := c.seats[s.ID()]
	delete(c.seats, s.ID())
	c.mu.Unlock()
	if !seated {
		return
	}
	s.Leave(chatRoom(at.room))
	news := c.roster(at.room)
	news.Left = &at.person
	c.announce(news)
}

func (c *chat) announce(r roster) {
	if err := c.ns.To(chatRoom(r.Room)).Emit("members", r); err != nil {
		c.log.Debug("announcement was not sent", "error", err)
	}
}

func (c *chat) seat(s *server.Socket) (seat, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	at, ok := c.seats[s.ID()]
	return at, ok
}

// rooms lists those in which somebody is.
func (c *chat) rooms() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var rooms []string
	for _, at := range c.seats {
		rooms = append(rooms, at.room)
	}
	slices.Sort(rooms)
	return slices.Compact(rooms)
}

// roster lists who is in a room from this node, always in the same order.
func (c *chat) roster(room string) roster {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := roster{Node: c.node, Room: room, Members: []person{}}
	for _, at := range c.seats {
		if at.room == room {
			r.Members = append(r.Members, at.person)
		}
	}
	slices.SortFunc(r.Members, func(a, b person) int { return cmp.Compare(a.ID, b.ID) })
	return r
}

// chatRoom keeps the rooms that people name apart from those of the sockets' ids.
func chatRoom(name string) string { return "chat:" + name }

// clean is text without blanks around it, or "" when it is longer than limit characters.
func clean(text string, limit int) string {
	text = strings.TrimSpace(text)
	if len([]rune(text)) > limit {
		return ""
	}
	return text
}
