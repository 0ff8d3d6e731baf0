package main

import (
	"bytes"
	"context"
	"net"
	"sync/atomic"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// mark is in each measured event once, and in nothing else that Redis sends. One character
// would not do: messages are binary, and some byte of a time is that character for hours.
const mark = "~measured~"

// tap counts the messages that Redis sends to one node, below the adapter.
type tap struct{ messages atomic.Int64 }

// client returns a client whose connections are tapped. The caller closes it.
func (t *tap) client(addr string) *goredis.Client {
	dial := goredis.NewDialer(&goredis.Options{DialTimeout: 3 * time.Second})
	return goredis.NewClient(&goredis.Options{
		Addr: addr,
		Dialer: func(ctx context.Context, network, addr string) (net.Conn, error) {
			c, err := dial(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			return &tapped{Conn: c, tap: t}, nil
		},
	})
}

type tapped struct {
	net.Conn
	tap  *tap
	tail []byte // of what was read before, in which a mark may have begun
}

func (c *tapped) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.tail = append(c.tail, p[:n]...)
	c.tap.messages.Add(int64(bytes.Count(c.tail, []byte(mark))))
	c.tail = append(c.tail[:0], c.tail[max(0, len(c.tail)-len(mark)+1):]...)
	return n, err
}
