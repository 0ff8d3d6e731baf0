package redis_test

import "context"

// quiet is a goredis logger that says nothing.
type quiet struct{}

func (quiet) Printf(context.Context, string, ...any) {}
