package stream

import (
	"context"
	_ "embed" // for the scripts
	"errors"
	"fmt"
	"sync"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/roomcast/roomcast/pkg/adapter"
)

var (
	//go:embed lua/save.lua
	saveSource string
	//go:embed lua/take.lua
	takeSource string
	//go:embed lua/forget.lua
	forgetSource string

	saveScript   = newScript(saveSource)
	takeScript   = newScript(takeSource)
	forgetScript = newScript(forgetSource)
)

// script is one that Redis may know by its hash.
type script struct{ source, hash string }

func newScript(source string) script {
	return script{source, goredis.NewScript(source).Hash()}
}

// renewCount is how many records are renewed in one round trip.
const renewCount = 512

// Records keeps texts with an expiry, each a key of its own. A text begins with a
// prefix that names its owner; an empty one, as Take and Forget leave it behind, is no
// record to any reader, and keeps a late Save of the former owner from reviving it.
//
// Errors other than those named wrap adapter.ErrDegraded if Redis did not answer. Many
// calls share a round trip, which may go on when a call has ended with its context. Records
// is safe for concurrent use.
type Records struct {
	client goredis.UniversalClient
	calls  *batcher[goredis.Cmder]
	trips  sync.WaitGroup // Rest waits for them, of which there may be new ones meanwhile
}

// NewRecords keeps records in the Redis of any client of go-redis.
func NewRecords(client goredis.UniversalClient) *Records {
	r := &Records{client: client}
	r.calls = newBatcher(func(f func()) error { r.trips.Go(f); return nil }, r.send)
	return r
}

// Rest waits for round trips that are under way, or for ctx, whose error it returns then.
// When nobody waits for their answers they end as soon as go-redis lets them.
func (r *Records) Rest(ctx context.Context) error {
	select {
	case <-r.calls.rest():
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// send makes one round trip. Each command has its own error, also when none was sent.
func (r *Records) send(ctx context.Context, commands []goredis.Cmder) {
	pipe := r.client.Pipeline()
	_ = pipe.BatchProcess(ctx, commands...)
	_, _ = pipe.Exec(ctx)
}

// way returns the address of the server of a cluster that has key: what is asked of one
// that does not answer must not hold up what is asked of others.
func (r *Records) way(ctx context.Context, key string) string {
	cluster, ok := r.client.(*goredis.ClusterClient)
	if !ok {
		return ""
	}
	master, err := cluster.MasterForKey(ctx, key)
	if err != nil {
		return ""
	}
	return master.Options().Addr
}

// ask has Redis execute a command about key, and returns what it answers.
func (r *Records) ask(ctx context.Context, key string, command ...any) (answer any, err error) {
	err = redial(ctx, unknown, func() error {
		a := &firstAnswer{Cmd: goredis.NewCmd(ctx, command...)}
		if err := r.calls.do(ctx, r.way(ctx, key), a); err != nil {
			return err
		}
		answer, err = a.result()
		return err
	})
	return answer, err
}

// firstAnswer is a command whose first answer counts: go-redis sends all of a round trip
// again when the reply to one command is lost, and what another has taken is not there
// to be taken again.
type firstAnswer struct {
	*goredis.Cmd
	answer any
	there  bool
}

// SetErr implements goredis.Cmder: without an error go-redis has read an answer.
func (a *firstAnswer) SetErr(err error) {
	if err == nil && !a.there {
		a.answer, a.there = a.Val(), true
	}
	a.Cmd.SetErr(err)
}

func (a *firstAnswer) result() (any, error) {
	if a.there {
		return a.answer, nil
	}
	return nil, a.Err()
}

// Save keeps value under key for window. It fails with ErrTaken when another owner's
// value is there, and, unless it is the owner's first, when the record was taken or
// forgotten since. value must begin with prefix.
func (r *Records) Save(ctx context.Context, key, value, prefix string, first bool, window time.Duration) error {
	flag := ""
	if first {
		flag = "1"
	}
	kept, err := r.run(ctx, saveScript, key, value, prefix, flag, milliseconds(window))
	if err == nil && kept == refused {
		return adapter.ErrTaken
	}
	return failed("save", err)
}

// Find returns the value of key. It fails with ErrNoRecord.
func (r *Records) Find(ctx context.Context, key string) (string, error) {
	answer, err := r.ask(ctx, key, "get", key)
	if err != nil {
		return "", failed("find", err)
	}
	value, _ := answer.(string)
	if value == "" {
		return "", adapter.ErrNoRecord
	}
	return value, nil
}

// Owner says whose a record is.
type Owner struct {
	// Prefix is what the owner's values begin with.
	Prefix string
	// Any is empty, or what the values of all owners begin with, and no others: then a
	// record without an owner will do as well.
	Any string
}

// Take returns the value of key, which at most one call does, until it is saved again.
// It fails with ErrNoRecord, and with ErrTaken when the record is not owner's. For window
// the place of the record stays marked as empty.
func (r *Records) Take(ctx context.Context, key string, owner Owner, window time.Duration) (string, error) {
	answer, err := r.run(ctx, takeScript, key, owner.Prefix, owner.Any, milliseconds(window))
	if err == nil && answer == refused {
		return "", adapter.ErrTaken
	}
	value, _ := answer.(string)
	return value, failed("take", err)
}

// Owned is a record and its owner.
type Owned struct {
	// Key is where the record is.
	Key string
	// Prefix is what the values of its owner begin with.
	Prefix string
}

// Keep keeps records for another window, in few round trips. missing are the indexes,
// in order, of those that are not there or are another owner's.
func (r *Records) Keep(ctx context.Context, records []Owned, window time.Duration) (missing []int, err error) {
	for from := 0; from < len(records); from += renewCount {
		batch := records[from:min(from+renewCount, len(records))]
		held, err := r.renew(ctx, batch, window)
		if err != nil {
			return missing, failed("renew", err)
		}
		for i, o := range batch {
			if held[i].Val() != o.Prefix {
				missing = append(missing, from+i)
			}
		}
	}
	return missing, nil
}

// renew is one round trip of Keep. It returns what the values begin with. Another
// owner's record lives longer by it as well, which is no harm.
func (r *Records) renew(ctx context.Context, batch []Owned, window time.Duration) (held []*goredis.StringCmd, err error) {
	err = redial(ctx, unknown, func() error {
		pipe := r.client.Pipeline()
		held = held[:0]
		for _, o := range batch {
			held = append(held, pipe.GetRange(ctx, o.Key, 0, int64(len(o.Prefix))-1))
			pipe.PExpire(ctx, o.Key, max(window, time.Millisecond))
		}
		_, err := pipe.Exec(ctx)
		return err
	})
	return held, err
}

// Forget removes the value of key, and keeps its owner from saving one later than this:
// for window the place of the record stays marked as empty. It fails with ErrTaken if the
// value is another owner's.
func (r *Records) Forget(ctx context.Context, key, prefix string, window time.Duration) error {
	forgotten, err := r.run(ctx, forgetScript, key, prefix, milliseconds(window))
	if err == nil && forgotten == refused {
		return adapter.ErrTaken
	}
	return failed("forget", err)
}

// refused is what a script answers about a record that is another owner's.
const refused = int64(0)

// run runs a script for one record.
func (r *Records) run(ctx context.Context, s script, key string, args ...any) (answer any, err error) {
	answer, err = r.ask(ctx, key, append([]any{"evalsha", s.hash, 1, key}, args...)...)
	if goredis.HasErrorPrefix(err, "NOSCRIPT") {
		answer, err = r.ask(ctx, key, append([]any{"eval", s.source, 1, key}, args...)...)
	}
	return answer, err
}

// milliseconds returns an expiry that Redis accepts.
func milliseconds(window time.Duration) int64 { return max(window.Milliseconds(), 1) }

// failed says what was being done when err came; that there is nothing is ErrNoRecord.
func failed(what string, err error) error {
	switch _, refused := errors.AsType[goredis.Error](err); {
	case err == nil:
		return nil
	case errors.Is(err, goredis.Nil):
		return adapter.ErrNoRecord
	case refused:
		return fmt.Errorf("stream: %s record: %w", what, err)
	}
	return fmt.Errorf("stream: %s record: %w: %w", what, adapter.ErrDegraded, err)
}
