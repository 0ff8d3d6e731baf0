package bus

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/roomcast/roomcast/internal/testutil/rediscluster"
	"github.com/roomcast/roomcast/pkg/adapter"
)

// member starts a sharded bus on a cluster.
func member(t testing.TB, c *rediscluster.Cluster) *node {
	return start(t, goredis.NewClusterClient(c.Options()), Config{Sharded: true})
}

func channelNames(n int) []string {
	var names []string
	for i := range n {
		names = append(names, fmt.Sprint("channel", i))
	}
	return names
}

func TestCluster_ALaneForEachMaster(t *testing.T) {
	t.Parallel()
	c := rediscluster.Start(t)
	a, b := member(t, c), member(t, c)
	names := channelNames(600)
	b.listen(t, names...)
	a.await(t)
	if s := b.health.Status(); s.State != adapter.Up {
		t.Errorf("after the first Await: %+v", s)
	}
	if got := len(a.outbox.present().lanes); got != 4 { // and one for slots without a master
		t.Errorf("got %d lanes", got)
	}
	for i := range 3 {
		for _, name := range names {
			a.say(t, name, fmt.Sprint(i))
		}
	}
	for _, name := range names {
		b.expect(t, name, "2")
		if got := b.list(name); !slices.Equal(got, []string{"0", "1", "2"}) {
			t.Fatalf("%s: heard %v", name, got)
		}
	}
	if n, err := a.Subscribers(t.Context(), names[0]); n != 1 || err != nil {
		t.Errorf("got %d subscribers, %v, want 1", n, err)
	}
	if s := b.health.Status(); s.State != adapter.Up || s.Gaps != 0 || s.Interruptions != 0 || len(s.Dropped) != 0 {
		t.Errorf("got %+v", s)
	}
}

// The lanes that were not lost are asked whether that is so, and do not wait for their
// next probe to answer.
func TestCluster_OutageOfOneMasterEndsWithoutDelay(t *testing.T) {
	t.Parallel()
	c := rediscluster.Start(t)
	rare := DefaultTiming()
	rare.Probe = time.Hour
	n := start(t, goredis.NewClusterClient(c.Options()), Config{Sharded: true, Timing: rare})
	n.await(t)
	owner, err := c.Owner(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	admin := plain(owner)
	defer admin.Close()
	for round := range uint64(3) {
		if err := admin.ClientKillByFilter(t.Context(), "type", "pubsub").Err(); err != nil {
			t.Fatal(err)
		}
		eventually(t, "noticing", func() bool { return n.health.Status().Interruptions == round+1 })
		n.becomes(t, adapter.Up)
	}
}

func TestCluster_ClassicPublishesThroughOneMaster(t *testing.T) {
	t.Parallel()
	c := rediscluster.Start(t)
	a, b := start(t, goredis.NewClusterClient(c.Options()), Config{}), start(t, goredis.NewClusterClient(c.Options()), Config{})
	b.listen(t, "x", "y")
	a.await(t)
	for i := range 1000 {
		a.say(t, []string{"x", "y"}[i%2], fmt.Sprint(i))
	}
	b.expect(t, "y", "999")
	if got := len(b.list("x")) + len(b.list("y")); got != 1000 {
		t.Errorf("heard %d", got)
	}
	if n, err := a.Subscribers(t.Context(), "x"); n != 1 || err != nil {
		t.Errorf("got %d subscribers, %v, want 1", n, err)
	}
}

// load says numbers on the channels, in order on each, until stop, which returns how
// many there were on each.
func (n *node) load(t *testing.T, names []string) (stop func() []int) {
	ctx, cancel := context.WithCancel(t.Context())
	said := make([]int, len(names))
	var run sync.WaitGroup
	run.Go(func() {
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for i := 0; ctx.Err() == nil; i = (i + 1) % len(names) {
			if n.trySay(names[i], fmt.Sprint(said[i])) == nil {
				said[i]++
			}
			<-tick.C
		}
	})
	return func() []int {
		cancel()
		run.Wait()
		return said
	}
}

// inOrder returns how many of a channel's numbers were heard, and fails the test if
// one came twice or late.
func (n *node) inOrder(t *testing.T, name string) int {
	t.Helper()
	last, count := -1, 0
	for _, text := range n.list(name) {
		var number int
		if _, err := fmt.Sscan(text, &number); err != nil {
			continue
		}
		if number <= last {
			t.Errorf("%s: %d came after %d", name, number, last)
		}
		last = number
		count++
	}
	return count
}

func TestCluster_MovedSlotIsSubscribedAtItsNewOwnerUnderLoad(t *testing.T) {
	t.Parallel()
	c := rediscluster.Start(t)
	a, b := member(t, c), member(t, c)
	names := channelNames(20)
	b.listen(t, names...)
	a.await(t)
	masters, err := c.Masters(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	stop := a.load(t, names)
	pause(t, 200*time.Millisecond)
	slowest := time.Duration(0)
	for _, name := range names[:10] {
		slot := slotOf(name)
		from, err := c.Owner(t.Context(), slot)
		if err != nil {
			t.Fatal(err)
		}
		to := masters[(slices.Index(masters, from)+1)%len(masters)]
		if err := c.MoveSlot(t.Context(), slot, to); err != nil {
			t.Fatal(err)
		}
		moved := time.Now()
		admin := plain(to)
		eventually(t, "the subscription at the new owner", func() bool {
			found, err := admin.PubSubShardNumSub(t.Context(), name).Result()
			return err == nil && found[name] == 1
		})
		_ = admin.Close()
		slowest = max(slowest, time.Since(moved))
	}
	said := stop()
	lost := 0
	for i, name := range names {
		a.say(t, name, "after")
		b.expect(t, name, "after")
		heard := b.inOrder(t, name)
		if i >= 10 && heard != said[i] {
			t.Errorf("%s did not move: %d of %d heard", name, heard, said[i])
		}
		lost += said[i] - heard
	}
	s := b.health.Status()
	t.Logf("subscribed again after %v at most, %d messages missed, %d gaps told", slowest.Round(time.Millisecond), lost, s.Gaps)
	if slowest > 5*time.Second {
		t.Error("want at most 5s")
	}
	if lost > 0 && s.Gaps == 0 {
		t.Error("messages were missed in silence")
	}
	if len(a.health.Status().Dropped) > 0 || s.State != adapter.Up || s.Interruptions > 0 {
		t.Errorf("dropped %v, status %+v", a.health.Status().Dropped, s)
	}
}

func TestCluster_DeadMastersSlotsGoToItsReplica(t *testing.T) {
	t.Parallel()
	c := rediscluster.Start(t)
	a, b := member(t, c), member(t, c)
	names := channelNames(60)
	b.listen(t, names...)
	a.await(t)
	dead, err := c.Owner(t.Context(), slotOf(names[0]))
	if err != nil {
		t.Fatal(err)
	}
	stop := a.load(t, names)
	if err := c.Kill(dead); err != nil {
		t.Fatal(err)
	}
	b.becomes(t, adapter.Degraded)
	for _, name := range names {
		if a.lane(name).part.name == dead {
			continue
		}
		a.say(t, name, "meanwhile")
		b.expect(t, name, "meanwhile")
		if err := b.Await(t.Context(), Channel{Name: name}); err != nil {
			t.Errorf("%s of a living master: %v", name, err)
		}
		break
	}
	eventually(t, "the promotion", func() bool {
		owner, err := c.Owner(t.Context(), slotOf(names[0]))
		return err == nil && owner != dead
	})
	promoted := time.Now()
	a.becomes(t, adapter.Up)
	b.becomes(t, adapter.Up)
	took := time.Since(promoted)
	t.Logf("up again %v after the promotion", took.Round(time.Millisecond))
	if took > 2*time.Second {
		t.Error("want at most 2s")
	}
	stop()
	for _, name := range names {
		a.say(t, name, "after")
		b.expect(t, name, "after")
		b.inOrder(t, name)
	}
	eventually(t, "the gap", func() bool { return len(b.gaps()) > 0 }) // watchers hear of it after the status
	gaps := b.gaps()
	if !slices.Equal(gaps[0].Topics, []string{"/"}) || gaps[0].From.IsZero() || !gaps[0].From.Before(promoted) {
		t.Errorf("got gaps %+v", gaps)
	}
	for _, l := range b.outbox.present().lanes {
		if l.part.name == dead {
			t.Error("the dead master has a lane")
		}
	}
}

func TestCluster_DemotedMastersMessagesCountOnce(t *testing.T) {
	t.Parallel()
	c := rediscluster.Start(t)
	a, b := member(t, c), member(t, c)
	names := channelNames(10)
	b.listen(t, names...)
	a.await(t)
	owner, err := c.Owner(t.Context(), slotOf(names[0]))
	if err != nil {
		t.Fatal(err)
	}
	stop := a.load(t, names)
	if _, err := c.Failover(t.Context(), owner); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the lanes of the new master", func() bool {
		return a.lane(names[0]).part.name != owner && b.lane(names[0]).part.name != owner
	})
	a.await(t)
	b.await(t)
	pause(t, 500*time.Millisecond)
	stop()
	for _, name := range names {
		a.say(t, name, "after")
		b.expect(t, name, "after")
		b.inOrder(t, name)
		if got := b.count(name, "after"); got != 1 {
			t.Errorf("%s: heard %d times", name, got)
		}
	}
}

func TestCluster_StartsBeforeTheCluster(t *testing.T) {
	t.Parallel()
	client := goredis.NewClusterClient(&goredis.ClusterOptions{Addrs: []string{"127.0.0.1:1"}})
	n := start(t, client, Config{Sharded: true})
	n.Subscribe(Channel{Name: "x"}, Route{To: n})
	eventually(t, "knowing that nobody is there", func() bool {
		_, err := n.health.Check()
		return err != nil && err != errNotUp
	})
	n.say(t, "x", "lost")
	eventually(t, "expiry", func() bool { return n.health.Status().Dropped["expired"] == 1 })
	eventually(t, "the queue to be empty", func() bool { return n.Waiting() == 0 })
	if _, err := n.Subscribers(t.Context(), "x"); !errors.Is(err, adapter.ErrDegraded) {
		t.Errorf("counting without Redis: got %v, want ErrDegraded", err)
	}
}
