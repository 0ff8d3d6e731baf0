//go:build integration

package integration

import (
	"fmt"
	"testing"

	"github.com/roomcast/roomcast/pkg/parser/msgpack"
	"github.com/roomcast/roomcast/pkg/server"
)

// columns are the clusters of the README's table.
var columns = [...]struct {
	name       string
	transports []string
	orders     int // in how many orders of the nodes each story is played
	start      func(t *testing.T, c *chapter) cluster
}{
	single:       {"one node", transports[:2], 1, startOne},
	inMemory:     {"three in memory", transports[:2], 1, startOnMemory},
	onRedis:      {"three on Redis", transports, 1, startOnRedis},
	mixedClassic: {"two + two Node.js servers, pub/sub", transports[:2], 2, startMixed(classic)},
	mixedSharded: {"two + two Node.js servers, sharded", transports[1:2], 2, startMixed(sharded)},
	mixedStreams: {"two + two Node.js servers, streams", transports[1:2], 2, startMixed(streams)},
}

const (
	single = iota
	inMemory
	onRedis
	mixedClassic
	mixedSharded
	mixedStreams
)

// feature is a row of the README's table: the stories that prove it. Each is a
// function in js/stories, which the official client plays on every cluster.
type feature struct {
	name    string
	stories []string
}

// chapter is what is played on clusters with the same options.
type chapter struct {
	name     string
	parser   string           // "msgpack", or empty for the default
	recovery *server.Recovery // nil: off
	features []feature
}

// options are those of a node.
func (c *chapter) options() server.Options {
	options := server.Options{Recovery: c.recovery}
	if c.parser == "msgpack" {
		options.Parser = msgpack.New()
	}
	return options
}

// reference has the same options for servers of the reference with an adapter of a
// kind, or with none.
func (c *chapter) reference(k kind, redisAddr string) referenceOptions {
	options := referenceOptions{Parser: c.parser, Adapter: k}
	if c.recovery != nil {
		options.Recovery = map[string]any{"skipMiddlewares": c.recovery.SkipMiddlewares}
	}
	if k != alone {
		options.Redis = "redis://" + redisAddr
	}
	return options
}

var chapters = []chapter{
	{name: "stories", features: []feature{
		{"events with any number of arguments", []string{"severalArguments"}},
		{"acknowledgements in both directions, timeouts", []string{"acknowledgements", "timeouts"}},
		{"binary in events and acknowledgements", []string{"binary"}},
		{"all of Unicode", []string{"unicode", "loneSurrogates"}},
		{"payloads up to the limit", []string{"largePayload"}},
		{"namespaces, fixed and dynamic", []string{"namespaces", "dynamicNamespaces", "unknownNamespace"}},
		{"middlewares, auth, a greeting", []string{"middleware", "auth", "welcome"}},
		{"middlewares of events, catch-all listeners", []string{"eventMiddleware", "catchAll"}},
		{"broadcasts: rooms, exceptions, local, volatile, compress", []string{"broadcasts", "membership", "volatile", "compression"}},
		{"disconnection by either side", []string{"serverDisconnect", "serverClose", "clientDisconnect"}},
		{"two hundred clients in one moment", []string{"crowd"}},
		{"`fetchSockets`: rooms, data, handshake", []string{"fetchSockets", "descriptions"}},
		{"`socketsJoin`, `socketsLeave`, `disconnectSockets`", []string{"socketsJoinAndLeave", "disconnectSockets"}},
		{"the same, confirmed", []string{"confirmedChanges"}},
		{"remote sockets: emit, ask, move, disconnect", []string{"remoteSockets"}},
		{"all rooms, the number of servers", []string{"allRooms", "countNodes"}},
		{"broadcasts with acknowledgements, also when some are missing", []string{"answers", "localAnswers", "binaryAnswers", "partialAnswers"}},
		{"`serverSideEmit`, with and without acknowledgements", []string{"serverSideEmit", "serverSideEmitWithAcknowledgement"}},
		{"all of @socket.io/redis-emitter", []string{"emitter", "emitterRequests"}},
	}},
	{name: "msgpack", parser: "msgpack", features: []feature{
		{"socket.io-msgpack-parser", []string{
			"severalArguments", "acknowledgements", "binary", "unicode", "namespaces", "middleware", "auth", "welcome",
			"broadcasts", "serverClose", "answers", "binaryAnswers", "remoteSockets",
		}},
	}},
	{name: "recovery", recovery: new(server.Recovery), features: []feature{
		{"recovery: id, rooms, data, what was missed", []string{"recovery", "volatileMissed", "recoveryInFlow", "unknownSession", "recoveryThroughMiddlewares"}},
	}},
	{name: "recovery past middlewares", recovery: &server.Recovery{SkipMiddlewares: true}, features: []feature{
		{"recovery that skips middlewares", []string{"recoveryPastMiddlewares"}},
	}},
}

const (
	noRedis      = "there is no Redis"
	keepsNothing = "PUB/SUB keeps nothing"
	noWords      = "Node.js servers have no words for it"
)

// exceptions are the stories that some clusters, by column, cannot play, and why.
var exceptions = map[string]map[int]string{
	"loneSurrogates":   {mixedClassic: "Node.js servers write other characters into Redis"},
	"confirmedChanges": {mixedClassic: noWords, mixedSharded: noWords, mixedStreams: noWords},
	"allRooms":         {mixedSharded: noWords, mixedStreams: noWords},
	"emitter":          {single: noRedis, inMemory: noRedis, mixedSharded: "Node.js has no emitter for it"},
	"emitterRequests":  {single: noRedis, inMemory: noRedis, mixedSharded: "Node.js has no emitter for it"},

	"volatileMissed": {onRedis: keepsNothing, mixedClassic: keepsNothing, mixedSharded: keepsNothing, mixedStreams: "Node.js servers recover them"},
	"recovery":       noRecovery, "recoveryInFlow": noRecovery, "unknownSession": noRecovery,
	"recoveryThroughMiddlewares": noRecovery, "recoveryPastMiddlewares": noRecovery,
}

var noRecovery = map[int]string{onRedis: keepsNothing, mixedClassic: keepsNothing, mixedSharded: keepsNothing}

// ownAskers are the stories in which only nodes of roomcast are asked: the reference
// waits in vain when it asks itself, skips what it delivers to its own sockets before
// another server's entry, and forgets whom a middleware refuses.
var ownAskers = map[string]bool{"localAnswers": true, "recoveryInFlow": true, "recoveryThroughMiddlewares": true}

// plays says whether a cluster can play a story.
func plays(column int, story string) bool { return exceptions[story][column] == "" }

// Every behaviour works in every kind of cluster, over every transport, whichever
// node it begins on; and README.md says what was proven here.
func TestCompatibility_EveryBehaviourInEveryCluster(t *testing.T) {
	results := newTable()
	t.Run("all", func(t *testing.T) {
		for _, c := range chapters {
			for column, where := range columns {
				if c.runs(column) == 0 {
					continue
				}
				t.Run(c.name+" on "+where.name, func(t *testing.T) {
					t.Parallel()
					c.play(t, column, results)
				})
			}
		}
	})
	switch {
	case t.Failed():
	case !results.complete():
		t.Log("README.md is not compared: only a part of the table was played")
	default:
		results.compare(t)
	}
}

// play plays the chapter's stories on one kind of cluster.
func (c *chapter) play(t *testing.T, column int, results *table) {
	where := columns[column]
	cluster := where.start(t, c)
	player := startPlayer(t)
	for _, f := range c.features {
		for _, story := range f.stories {
			if !plays(column, story) {
				continue
			}
			for _, transport := range where.transports {
				for i, order := range cluster.orders {
					t.Run(fmt.Sprintf("%s/%s/%d", story, transport, i), func(t *testing.T) {
						s := scene{Story: story, Transport: transport, Nodes: order.urls, Parser: c.parser, Redis: cluster.redis, Adapter: cluster.kind}
						if ownAskers[story] {
							s.Askers = order.own
						}
						player.play(t, nil, s)
						results.add(f.name, column)
					})
				}
			}
		}
	}
}
