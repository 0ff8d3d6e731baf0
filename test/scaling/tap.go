package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"sync"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// mark is in each measured event, before its number, and in nothing else that Redis sends. One
// character would not do: messages are binary, and some byte of a time is that character for hours.
const mark = "~measured "

// digits of an event's number.
const digits = 4

// marked returns what event n carries.
func marked(n int) string { return fmt.Sprintf("%s%0*d", mark, digits, n) }

// tap tells which events Redis has sent to one node, below the adapter. A reader of a stream asks
// for an entry again to see that it is still the same one: that is no message more.
type tap struct {
	mu     sync.Mutex
	events map[string]bool // by number
}

// messages returns how many events there were.
func (t *tap) messages() int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return int64(len(t.events))
}

func (t *tap) see(number string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.events == nil {
		t.events = make(map[string]bool)
	}
	t.events[number] = true
}

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
	tail []byte // of what was read before, in which an event may have begun
}

func (c *tapped) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.tail = append(c.tail, p[:n]...)
	for {
		i := bytes.Index(c.tail, []byte(mark))
		if i < 0 {
			c.tail = c.tail[max(0, len(c.tail)-len(mark)+1):]
			return n, err
		}
		number, end := i+len(mark), i+len(mark)+digits
		if end > len(c.tail) {
			c.tail = c.tail[i:]
			return n, err
		}
		c.tap.see(string(c.tail[number:end]))
		c.tail = c.tail[end:]
	}
}
