package redis

import (
	"context"
	"encoding/base64"
	"errors"
	"strconv"
	"unicode/utf16"

	"github.com/roomcast/roomcast/pkg/adapter/redis/internal/bus"
	"github.com/roomcast/roomcast/pkg/adapter/redis/internal/stream"
	"github.com/roomcast/roomcast/pkg/adapter/redis/internal/wire"
)

// sharedLog is a stream and how many links use it.
type sharedLog struct {
	*stream.Log
	part  *bus.Part
	links int
}

// acquireLog returns the log that namespace travels through, which releaseLog gives back.
func (a *StreamsAdapter) acquireLog(namespace string) *sharedLog {
	name := a.streamOf(namespace)
	a.mu.Lock()
	defer a.mu.Unlock()
	s := a.logs[name]
	if s == nil {
		part := a.health.Part("stream "+name, nil)
		s = &sharedLog{Log: stream.Open(a.logConfig(name, part)), part: part}
		a.logs[name] = s
	}
	s.links++
	return s
}

// releaseLog closes a log after its last link.
func (a *StreamsAdapter) releaseLog(ctx context.Context, s *sharedLog) error {
	a.mu.Lock()
	s.links--
	last := s.links == 0
	if last {
		delete(a.logs, s.Name)
	}
	rest := len(a.logs) == 0
	a.mu.Unlock()
	if !last {
		return nil
	}
	defer s.part.Remove()
	err := s.Log.Close(ctx)
	if rest {
		err = errors.Join(err, a.records.Rest(ctx))
	}
	return err
}

func (a *StreamsAdapter) logConfig(name string, part *bus.Part) stream.Config {
	o := &a.options
	c := stream.Config{
		Client: a.client, Name: name, MaxLen: o.MaxLen, ReadCount: o.ReadCount, Block: o.Block, MaxAge: o.MaxAge,
		WaitReplicas: o.WaitReplicas, QueueBytes: o.PublishQueueBytes, Logger: o.Logger, Part: part,
	}
	if o.HMACKey != nil {
		c.Seal = func(e *stream.Entry, seq string) string { return a.sealEntry(name, e, seq) }
		c.Open = func(e *stream.Entry, seq, seal string) bool { return a.openEntry(name, e, seq, seal) }
	}
	return c
}

// streamOf returns the name of the stream that namespace travels through. With several,
// their numbers are those of Node.js, which may be negative.
func (a *StreamsAdapter) streamOf(namespace string) string {
	o := &a.options
	if o.StreamCount == 1 {
		return o.StreamName
	}
	hash := int32(0)
	for _, unit := range utf16.Encode([]rune(namespace)) {
		hash = hash*31 + int32(unit)
	}
	return o.StreamName + "-" + strconv.Itoa(int(hash)%o.StreamCount)
}

// sealEntry signs an entry together with its number: who could change that would silence
// its writer.
func (a *StreamsAdapter) sealEntry(name string, e *stream.Entry, seq string) string {
	w := wireEntry(e)
	w.Own = ""
	w.Seal(a.opts.HMACKey, sealContext(name, seq, e.Own))
	return base64.StdEncoding.EncodeToString([]byte(w.Own))
}

func (a *StreamsAdapter) openEntry(name string, e *stream.Entry, seq, seal string) bool {
	decoded, err := base64.StdEncoding.DecodeString(seal)
	if err != nil {
		return false
	}
	w := wireEntry(e)
	w.Own = string(decoded)
	return w.Open(a.opts.HMACKey, sealContext(name, seq, e.Own)) == nil && w.Own == ""
}

// sealContext is what is signed of an entry beside its other fields.
func sealContext(name, seq, own string) string { return strconv.Quote(name) + strconv.Quote(seq) + own }

func wireEntry(e *stream.Entry) wire.Entry {
	return wire.Entry{UID: e.UID, Topic: e.Topic, Type: e.Type, Data: e.Data, Own: e.Own}
}
