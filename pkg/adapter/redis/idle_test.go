package redis

import (
	"log/slog"

	"github.com/roomcast/roomcast/pkg/adapter"
	"github.com/roomcast/roomcast/pkg/adapter/redis/internal/bus"
)

func newOutgoing() *bus.Outgoing { return bus.New(bus.Config{}).Message() }

// idle returns a link to topic that has no connection.
func idle(opts Options, topic string, newForm func(*link) form) *link {
	opts.Logger = slog.New(slog.DiscardHandler)
	opts, err := opts.withDefaults()
	if err != nil {
		panic(err)
	}
	a := newAdapter(nil, opts, newForm)
	b := bus.New(bus.Config{Prefix: opts.Prefix, PublishQueueBytes: opts.PublishQueueBytes, Health: a.health})
	return newLink(a, b, topic, "self", func(*adapter.Message) {})
}

// idleLink returns the form of a link to namespace that has no connection.
func idleLink(namespace string) *classic {
	return idle(Options{}, namespace, newClassic).form.(*classic)
}

// interestedLink returns such a link that routes by interest, with rooms.
func interestedLink(namespace string, rooms ...string) *classic {
	c := idle(Options{InterestRouting: true}, namespace, newClassic).form.(*classic)
	for _, room := range rooms {
		if _, err := c.occupy(room); err != nil {
			panic(err)
		}
	}
	return c
}
