package main

import (
	"log/slog"
	"slices"

	goredis "github.com/redis/go-redis/v9"

	"github.com/roomcast/roomcast/pkg/adapter"
	"github.com/roomcast/roomcast/pkg/adapter/redis"
)

// quiet keeps the log of many nodes out of the figures.
var quiet = slog.New(slog.DiscardHandler)

// form is a way to connect nodes.
type form struct {
	name string
	over func(client goredis.UniversalClient) (adapter.Adapter, error)
	// routed says that a room's message goes to the nodes that have the room. Otherwise it
	// goes to all.
	routed bool
}

// reach is to how many nodes Redis sends a message for a room that is on some of
// them, its sender's among them.
func (f form) reach(nodes, holders int) int {
	if f.routed {
		return holders
	}
	return nodes
}

// find returns the form with a name.
func find(name string) (form, bool) {
	i := slices.IndexFunc(forms, func(f form) bool { return f.name == name })
	if i < 0 {
		return form{}, false
	}
	return forms[i], true
}

// forms are the ways that docs/scaling.md compares.
var forms = []form{
	{name: "pubsub", over: func(c goredis.UniversalClient) (adapter.Adapter, error) {
		return redis.New(c, redis.Options{Logger: quiet})
	}},
	{name: "pubsub, by interest", routed: true, over: func(c goredis.UniversalClient) (adapter.Adapter, error) {
		return redis.New(c, redis.Options{InterestRouting: true, Logger: quiet})
	}},
	{name: "sharded", routed: true, over: func(c goredis.UniversalClient) (adapter.Adapter, error) {
		return redis.NewSharded(c, redis.ShardedOptions{Options: redis.Options{Logger: quiet}})
	}},
	{name: "sharded, by interest", routed: true, over: func(c goredis.UniversalClient) (adapter.Adapter, error) {
		return redis.NewSharded(c, redis.ShardedOptions{Options: redis.Options{InterestRouting: true, Logger: quiet}})
	}},
	{name: "streams", over: func(c goredis.UniversalClient) (adapter.Adapter, error) {
		return redis.NewStreams(c, redis.StreamsOptions{Options: redis.Options{Logger: quiet}})
	}},
}
