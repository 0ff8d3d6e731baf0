package redis_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"sync/atomic"
	"testing"

	goredis "github.com/redis/go-redis/v9"

	"github.com/roomcast/roomcast/internal/testutil/redisserver"
	"github.com/roomcast/roomcast/pkg/adapter/redis"
)

// Bytes that are in each event of a test once, or at the end of each member's, and in
// nothing else that Redis sends.
const (
	mark    = "~"
	endMark = "^"
)

// wiretap counts the messages that Redis sends to a client, below the adapter.
type wiretap struct{ messages, ends atomic.Int64 }

func (w *wiretap) client(t *testing.T, addr string) *goredis.Client {
	t.Helper()
	dialer := goredis.NewDialer(&goredis.Options{DialTimeout: patience})
	client := goredis.NewClient(&goredis.Options{
		Addr: addr,
		Dialer: func(ctx context.Context, network, addr string) (net.Conn, error) {
			c, err := dialer(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			return &tapped{c, w}, nil
		},
	})
	t.Cleanup(func() { _ = client.Close() })
	return client
}

type tapped struct {
	net.Conn
	tap *wiretap
}

func (c *tapped) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.tap.messages.Add(int64(bytes.Count(p[:n], []byte(mark))))
	c.tap.ends.Add(int64(bytes.Count(p[:n], []byte(endMark))))
	return n, err
}

// member is a node whose connections are tapped, with a socket's id and two rooms.
type member struct {
	*node
	tap   wiretap
	id    string
	rooms []string
}

// populate joins nodes. Each room is on two of them.
func populate(t *testing.T, addr string, nodes int, make maker) []*member {
	t.Helper()
	var all []*member
	for i := range nodes {
		m := &member{
			id:    fmt.Sprintf("id-of-a-socket--T%03d", i),
			rooms: []string{fmt.Sprint("room", i), fmt.Sprint("room", (i+1)%nodes)},
		}
		m.node = join(t, make(t, m.tap.client(t, addr)), "/", fmt.Sprint("member ", i))
		m.own(t, m.id[16:])
		m.occupy(t, m.rooms...)
		all = append(all, m)
	}
	return all
}

// reach makes each member publish one broadcast to each room and returns how many
// messages Redis has sent to members because of that.
func reach(t *testing.T, round string, members []*member, rooms []string) (sent int) {
	t.Helper()
	received := func() (sum int) {
		for _, m := range members {
			sum += int(m.tap.messages.Load())
		}
		return sum
	}
	before, end := received(), "end of "+round+endMark
	ends := members[0].tap.ends.Load() + int64(len(members))
	for _, m := range members {
		for _, room := range rooms {
			m.emit(t, mark, room)
		}
		m.emit(t, end)
	}
	for _, m := range members {
		eventually(t, "all to end", func() bool { return m.count(end) == len(members)-1 })
		eventually(t, "its own end to come", func() bool { return m.tap.ends.Load() == ends }) // behind its own marks
	}
	return received() - before
}

// The figure counts what Redis writes to the nodes' connections, the sender's own included
// if it has the room.
func TestReach_ARoomsMessageGoesToTheNodesThatHaveIt(t *testing.T) {
	t.Parallel()
	const nodes = 6
	for name, c := range map[string]struct {
		make    maker
		private int // how many nodes get a message to an id
	}{
		"classic_by_interest": {classic(interested), 1},
		"sharded_by_interest": {sharded(redis.ShardedOptions{Options: interested}), 1},
		"sharded_dynamic":     {sharded(redis.ShardedOptions{}), nodes},
	} {
		t.Run(name, func(t *testing.T) {
			members := populate(t, redisserver.Start(t).Addr(), nodes, c.make)
			var rooms, ids []string
			for _, m := range members {
				rooms, ids = append(rooms, m.rooms[0]), append(ids, m.id)
			}
			for _, sort := range []struct {
				name  string
				rooms []string
				nodes int // that have one of them
			}{{"rooms", rooms, 2}, {"ids", ids, 1}} {
				got, wanted := reach(t, sort.name, members, sort.rooms), nodes*nodes*sort.nodes
				want := wanted
				if sort.nodes == 1 {
					want = nodes * nodes * c.private
				}
				t.Logf("%s: %d messages received, %d wanted: %.2f", sort.name, got, wanted, float64(got)/float64(wanted))
				if got != want {
					t.Errorf("%s: %d messages received, want %d", sort.name, got, want)
				}
			}
		})
	}
}
