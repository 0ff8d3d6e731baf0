package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	goredis "github.com/redis/go-redis/v9"

	"github.com/roomcast/roomcast/test/faults/node"
)

// garbageMemory is how much memory a node may need for what it drops.
const garbageMemory = 64 << 20

// nesting is deeper than anything that means something.
const nesting = 200_000

// garbage is what somebody else may write: empty and random bytes, headers of
// MessagePack that announce four billion of something, deep nesting, wrong types,
// unknown kinds, and broken JSON.
func garbage() []string {
	random := make([]byte, 300)
	for i := range random {
		random[i] = byte(rand.N(256))
	}
	random[0] = 0xc1 // which never begins anything
	texts := []string{
		"", string(random),
		"\xdd\xff\xff\xff\xff", "\xdf\xff\xff\xff\xff", "\xdb\xff\xff\xff\xff", "\xc6\xff\xff\xff\xff", "\xc9\xff\xff\xff\xff\x01",
		strings.Repeat("\x91", nesting),
		"\x93\x01\x02\x03", "\x93\xa4uid1\x80", "\x92\xa4uid1\x84", "\x93\xa4uid1\x81\xa4type\xcc\xfa\x80",
		"{", "[]", "null", `{"uid":1,"type":"x"}`, `{"uid":"uid1","type":250}`, `{"uid":"uid1","type":3,"data":{"packet":5}}`,
		`{"type":` + strings.Repeat("[", nesting) + strings.Repeat("]", nesting) + `}`,
	}
	return texts
}

// garbageInRedis is row F13.
func garbageInRedis(ctx context.Context, s *stage) error {
	if err := s.single(); err != nil {
		return err
	}
	if err := s.begin(ctx); err != nil {
		return err
	}
	before, err := s.states(ctx)
	if err != nil {
		return err
	}
	memory, err := s.memories()
	if err != nil {
		return err
	}
	receipts, err := s.litter(ctx)
	if err != nil {
		return err
	}
	v, err := s.finish(ctx)
	if err != nil {
		return err
	}
	after, err := s.states(ctx)
	if err != nil {
		return err
	}
	more, err := s.memories()
	if err != nil {
		return err
	}
	dropped, panics := 0, 0
	for i := range after {
		dropped += drops(after[i]) - drops(before[i])
		panics += int(after[i].Panics)
	}
	s.holds(0 < receipts && receipts <= dropped, "%d bad messages received, %d dropped and counted", receipts, dropped)
	s.none("panics", panics)
	s.none("disconnected clients", s.crowd.disconnections())
	s.none("lost", len(v.Misses))
	s.inOrderOnce(v)
	grown := slices.Max(more) - slices.Max(memory)
	s.holds(grown < garbageMemory, "memory %+d MiB (< 64 MiB)", grown>>20)
	return nil
}

func drops(s node.State) int {
	n := 0
	for _, count := range s.Dropped {
		n += int(count)
	}
	return n
}

func (s *stage) memories() ([]int64, error) {
	var all []int64
	for _, m := range s.fleet.living() {
		bytes, err := m.memory()
		if err != nil {
			return nil, err
		}
		all = append(all, bytes)
	}
	return all, nil
}

// litter writes all garbage to everything that the adapter reads, and returns how
// many times that was received.
func (s *stage) litter(ctx context.Context) (int, error) {
	client := goredis.NewClient(&goredis.Options{Addr: s.redis.Addr()})
	defer client.Close()
	receipts := 0
	channels, err := s.channels(ctx, client)
	if err != nil {
		return 0, err
	}
	for _, text := range garbage() {
		for _, channel := range channels {
			publish := client.Publish
			if s.adapter == "sharded" {
				publish = client.SPublish
			}
			n, err := publish(ctx, channel, text).Result()
			if err != nil {
				return 0, fmt.Errorf("faults: %w", err)
			}
			receipts += int(n)
		}
		if !s.logged() {
			continue
		}
		for _, fields := range badEntries(text) {
			if err := client.XAdd(ctx, &goredis.XAddArgs{Stream: "socket.io", Values: fields}).Err(); err != nil {
				return 0, fmt.Errorf("faults: %w", err)
			}
			receipts += stageNodes
		}
	}
	return receipts, nil
}

// badEntries are entries of a stream with a text where something else belongs.
func badEntries(text string) [][]any {
	return [][]any{
		{"x", text},
		{"uid", text, "nsp", "/", "type", "3", "data", text},
		{"uid", "uid1", "nsp", "/", "type", text, "data", "{}"},
		{"uid", "uid1", "nsp", "/", "type", "3", "data", text},
	}
}

// channels lists those that somebody hears.
func (s *stage) channels(ctx context.Context, client *goredis.Client) ([]string, error) {
	if s.adapter == "sharded" {
		return client.PubSubShardChannels(ctx, "*").Result()
	}
	found, err := client.PubSubChannels(ctx, "*").Result()
	if s.adapter == "pubsub" { // what a pattern hears is not listed
		found = append(found, "socket.io#/#", "socket.io#/#"+node.Room(0)+"#")
	}
	return found, err
}
