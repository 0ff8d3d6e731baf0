package main

import (
	"context"
	"slices"
)

// row is a fault with what is promised of it.
type row struct {
	name, title string
	// part says which variant of the row it is, or nothing for the main one.
	part string
	// with lists the adapters for which something is promised.
	with []string
	// short says that the row is part of the short run.
	short bool
	run   func(ctx context.Context, s *stage) error
}

var (
	onRedis   = []string{"pubsub", "sharded", "streams"}
	onAll     = adapters
	onStreams = []string{"streams"}
)

// rows is the table.
var rows = []row{
	{name: "F1", title: "Redis killed, started again", with: onRedis, short: true, run: redisRestarts},
	{name: "F1", part: "comes back empty", with: onStreams, short: true, run: redisForgets},
	{name: "F1", part: "comes back from a snapshot", with: onStreams, run: redisRollsBack},
	{name: "F1", part: "flushed under load", with: onStreams, run: redisIsFlushed},
	{name: "F2", title: "Redis starts later than the nodes", with: onRedis, short: true, run: redisComesLater},
	{name: "F3", title: "Redis primary killed, a sentinel promotes a replica", with: []string{"pubsub", "streams"}, short: true, run: primaryDies},
	{name: "F3", part: "and no replica is left to wait for", with: onStreams, run: onlyReplicaIsPromoted},
	{name: "F3", part: "none waited for", with: onStreams, run: primaryDiesUnwatched},
	{name: "F4", title: "slots of a Redis Cluster move under load", with: onRedis, short: true, run: slotsMove},
	{name: "F5", title: "one node cut off from Redis, without a reset", with: onRedis, run: nodeIsCutOff},
	{name: "F5", part: "for longer than the stream reaches", with: onStreams, run: nodeMissesTheLog},
	{name: "F6", title: "node killed", with: onAll, short: true, run: nodeDies},
	{name: "F7", title: "node told to stop", with: onAll, short: true, run: nodeIsStopped},
	{name: "F8", title: "rolling restart", with: onRedis, short: true, run: nodesAreReplaced},
	{name: "F9", title: "a node's clients reconnect at once", with: onAll, short: true, run: clientsStorm},
	{name: "F10", title: "a client that never reads", with: onAll, run: clientNeverReads},
	{name: "F11", title: "clients vanish without closing", with: onAll, short: true, run: clientsVanish},
	{name: "F12", title: "broadcast with acknowledgement while a node dies", with: onRedis, short: true, run: askedNodeDies},
	{name: "F13", title: "garbage in a shared Redis", with: onRedis, short: true, run: garbageInRedis},
}

// columns are the adapters, of those wanted, for which the row has a line. A
// variant has none where nothing is promised.
func (r row) columns(wanted []string) []string {
	return slices.DeleteFunc(slices.Clone(wanted), func(adapter string) bool {
		return r.part != "" && !slices.Contains(r.with, adapter)
	})
}

// reasonAgainst says why the row is not run for an adapter, or nothing.
func (r row) reasonAgainst(adapter string) string {
	if !slices.Contains(r.with, adapter) {
		return "nothing is promised for this adapter"
	}
	return ""
}
