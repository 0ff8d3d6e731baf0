package stream

import (
	"log/slog"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/roomcast/roomcast/pkg/adapter"
)

// Config says what a Log needs. Zero values stand for the defaults.
type Config struct {
	// Client is a *goredis.Client, also one that follows sentinels, or a
	// *goredis.ClusterClient. The log has two connections of its own beside it, made
	// with its options, and does not close it.
	Client goredis.UniversalClient
	// Name is the key of the stream.
	Name string
	// MaxLen is about how many entries the stream keeps. Default: 10,000.
	MaxLen int64
	// ReadCount is how many entries are read at once. Default: 100.
	ReadCount int64
	// Block is how long a read waits for entries. A connection that has fallen silent
	// is noticed after it and Timing.Answer. Default: 5 s.
	Block time.Duration
	// MaxAge is about how long entries are kept. Default: as long as MaxLen allows.
	MaxAge time.Duration
	// WaitReplicas is how many replicas of Redis shall have an entry before it is no
	// longer kept here. Where they are too few, entries are kept for as long as there
	// is room for them; none is held back.
	WaitReplicas int
	// WaitTimeout is how long Redis waits for replicas. Default: 100 ms.
	WaitTimeout time.Duration
	// QueueBytes bounds the entries that wait to be written, or to be read again.
	// Default: 16 MiB.
	QueueBytes int64
	// Seal returns a text that proves that an entry was written by somebody who may.
	// seq is the writer's number of the entry. Nil for a log whose writers are all
	// believed.
	Seal func(e *Entry, seq string) string
	// Open says whether that text is the one that belongs to the entry and its number,
	// which may be empty. Entries of which it is not are passed over and counted.
	Open func(e *Entry, seq, seal string) bool
	// Part hears what happens to the log.
	Part Part
	// Timing is the log's sense of time.
	Timing Timing
	// Logger hears of what has no place in Part. Default: slog.Default().
	Logger *slog.Logger
}

// Part is what an adapter's knowledge of its backend wants to hear of a log. Its
// methods are called one at a time and must not wait.
type Part interface {
	// Recovered says that entries travel in both directions.
	Recovered()
	// Lost says that they do not, and why. It may be called again with another cause.
	Lost(cause error)
	// LogGap says that the log had lost its oldest entries before they were read here.
	LogGap(adapter.Gap)
	// LogReset says that the log was found empty, or another one than before.
	LogReset(adapter.Gap)
	// Repeated counts entries that were in the log already.
	Repeated(n int)
	// Drop counts entries that were not delivered or not written, by a word of
	// adapter.Status.
	Drop(reason string, n int)
}

// Words of adapter.Status for Part.Drop.
const (
	malformed = "malformed"
	unsigned  = "unsigned"
	expired   = "expired"
)

func (c Config) withDefaults() Config {
	c.Timing = c.Timing.withDefaults()
	positive(&c.MaxLen, 10_000)
	positive(&c.ReadCount, 100)
	positive(&c.Block, 5*time.Second)
	positive(&c.WaitTimeout, 100*time.Millisecond)
	positive(&c.QueueBytes, 16<<20)
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return c
}

// positive gives v its default.
func positive[T ~int64](v *T, value T) {
	if *v <= 0 {
		*v = value
	}
}
