package stream

import (
	"context"
	"unsafe"

	goredis "github.com/redis/go-redis/v9"
)

// command is a command of Redis whose reply is kept as it came.
type command struct{ *goredis.RawCmd }

func newCommand(ctx context.Context, args ...any) command {
	return command{goredis.NewRawCmd(ctx, args...)}
}

// NoRetry implements goredis.Cmder: go-redis would repeat a command whose reply was
// lost, and what a repeated command has done cannot be told.
func (c command) NoRetry() bool { return true }

// reply returns what Redis answered.
func (c command) reply() *reply {
	if err := c.Err(); err != nil {
		return &reply{err: err}
	}
	raw := c.Val()
	// Nobody writes to the bytes again, so that the texts in them need no copy.
	return &reply{rest: unsafe.String(unsafe.SliceData(raw), len(raw))}
}

// refused returns the error that Redis answered with, or nil.
func (c command) refused() error {
	if raw := c.Val(); len(raw) > 0 && raw[0] == '-' {
		r := c.reply()
		r.line()
		return r.err
	}
	return nil
}

// commander runs commands: a session, or the client's pool.
type commander interface {
	// run sends commands in one round trip. It fails with what kept the replies from
	// coming, or with the first of them that is a refusal.
	run(ctx context.Context, commands ...command) error
}

// exec sends commands in one round trip, each led by ASKING where a slot is on its
// way to the server.
func exec(ctx context.Context, pipe goredis.Pipeliner, asking bool, commands []command) error {
	list := make([]goredis.Cmder, 0, 2*len(commands))
	for _, c := range commands {
		if asking {
			list = append(list, newCommand(ctx, "asking"))
		}
		list = append(list, c)
	}
	if err := pipe.BatchProcess(ctx, list...); err != nil {
		return err
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return err
	}
	return firstRefusal(commands)
}

// firstRefusal returns what Redis refused one of the commands with, or nil.
func firstRefusal(commands []command) error {
	for _, c := range commands {
		if err := c.refused(); err != nil {
			return err
		}
	}
	return nil
}
