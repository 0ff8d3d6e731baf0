package rediscluster_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/roomcast/roomcast/internal/testutil/rediscluster"
)

func TestSlot_IsThatOfRedis(t *testing.T) {
	c := rediscluster.Start(t)
	client := goredis.NewClusterClient(c.Options())
	defer client.Close()
	for _, name := range []string{"", "a", "socket.io#/#", "{a}b", "a{}b", "a{b", "{{a}}", "x{y}z{w}"} {
		want, err := client.ClusterKeySlot(t.Context(), name).Result()
		if err != nil {
			t.Fatal(err)
		}
		if got := rediscluster.Slot(name); int64(got) != want {
			t.Errorf("%q: got %d, want %d", name, got, want)
		}
	}
}

func TestCluster_SlotMovesUnderLoadWithItsKeys(t *testing.T) {
	c := rediscluster.Start(t)
	client := goredis.NewClusterClient(c.Options())
	defer client.Close()
	slot := rediscluster.Slot("{a}")
	from, err := c.Owner(t.Context(), slot)
	if err != nil {
		t.Fatal(err)
	}
	masters, err := c.Masters(t.Context())
	if err != nil || len(masters) != 3 {
		t.Fatalf("got masters %v, %v", masters, err)
	}
	to := masters[0]
	if to == from {
		to = masters[1]
	}
	ctx, stop := context.WithCancel(t.Context())
	var load sync.WaitGroup
	written := 0
	load.Go(func() {
		for ctx.Err() == nil {
			if err := client.Set(t.Context(), fmt.Sprintf("{a}%d", written), "1", 0).Err(); err != nil {
				t.Errorf("write %d: %v", written, err)
				return
			}
			written++
		}
	})
	err = c.MoveSlot(t.Context(), slot, to)
	stop()
	load.Wait()
	if err != nil {
		t.Fatal(err)
	}
	if owner, err := c.Owner(t.Context(), slot); owner != to || err != nil {
		t.Errorf("the slot is at %s, %v, want %s", owner, err, to)
	}
	for i := range written {
		if err := client.Get(t.Context(), fmt.Sprintf("{a}%d", i)).Err(); err != nil {
			t.Fatalf("key %d of %d: %v", i, written, err)
		}
	}
}

func TestCluster_ReplicaTakesTheSlotsOfADeadMaster(t *testing.T) {
	c := rediscluster.Start(t)
	slot := rediscluster.Slot("a")
	dead, err := c.Owner(t.Context(), slot)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Kill(dead); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(30 * time.Second)
	pause := time.NewTicker(20 * time.Millisecond)
	defer pause.Stop()
	for owner := dead; owner == dead; {
		if time.Now().After(deadline) {
			t.Fatal("nobody has taken the slots")
		}
		<-pause.C
		if now, err := c.Owner(t.Context(), slot); err == nil { // else nobody has it yet
			owner = now
		}
	}
	if err := c.Restart(dead); err != nil {
		t.Fatal(err)
	}
}

func TestCluster_FailsOverWhileTheMasterLives(t *testing.T) {
	c := rediscluster.Start(t)
	before, err := c.Owner(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	after, err := c.Failover(t.Context(), before)
	if err != nil || after == before {
		t.Fatalf("from %s to %s: %v", before, after, err)
	}
	if owner, err := c.Owner(t.Context(), 0); owner != after || err != nil {
		t.Errorf("slot 0 is at %s, %v, want %s", owner, err, after)
	}
}
