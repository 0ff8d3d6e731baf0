package redis_test

import (
	"fmt"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/roomcast/roomcast/internal/testutil/rediscluster"
	"github.com/roomcast/roomcast/pkg/adapter/redis"
)

// Each kind of channel is moved to another master while messages are sent there. What is
// sent before the subscription has followed may be missed.
func TestSharded_ChannelsFollowTheirSlots(t *testing.T) {
	t.Parallel()
	cluster := rediscluster.Start(t)
	byInterest := sharded(redis.ShardedOptions{Options: interested})
	member := func(id string) *node {
		client := goredis.NewClusterClient(cluster.Options())
		t.Cleanup(func() { _ = client.Close() })
		return join(t, byInterest(t, client), "/", id)
	}
	a, b := member("a"), member("b")
	b.occupy(t, "room")
	b.own(t, "AAAA")
	for _, c := range []struct{ channel, room string }{
		{"socket.io#/#room#", "room"}, {"socket.io-roomcast-ids#/#AAAA#", "a-socket-of-nodeAAAA"},
	} {
		slot := rediscluster.Slot(c.channel)
		owner, err := cluster.Owner(t.Context(), slot)
		if err != nil {
			t.Fatal(err)
		}
		masters, err := cluster.Masters(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		target := masters[0]
		if target == owner {
			target = masters[1]
		}
		a.emit(t, "before in "+c.room, c.room)
		b.expect(t, "before in "+c.room)
		if err := cluster.MoveSlot(t.Context(), slot, target); err != nil {
			t.Fatal(err)
		}
		moved := time.Now()
		sent := 0
		eventually(t, "hearing the room again", func() bool {
			sent++
			a.emit(t, fmt.Sprintf("after in %s", c.room), c.room)
			return b.count("after in "+c.room) > 0
		})
		took := time.Since(moved)
		t.Logf("%s: heard again after %v, with %d of %d messages", c.channel, took.Round(time.Millisecond), b.count("after in "+c.room), sent)
		if took > 5*time.Second {
			t.Errorf("%s was silent for %v, want at most 5s", c.channel, took)
		}
	}
}
