package redissentinel_test

import (
	"testing"

	goredis "github.com/redis/go-redis/v9"

	"github.com/roomcast/roomcast/internal/testutil/redissentinel"
)

func TestGroup_PromotesAReplicaOfADeadPrimary(t *testing.T) {
	g := redissentinel.Start(t, 1)
	client := goredis.NewFailoverClient(g.Options())
	defer client.Close()
	if err := client.Set(t.Context(), "a", "1", 0).Err(); err != nil {
		t.Fatal(err)
	}
	if err := client.Wait(t.Context(), 1, 0).Err(); err != nil {
		t.Fatal(err)
	}
	dead, err := g.KillPrimary(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	promoted, err := g.AwaitPrimary(t.Context(), dead)
	if err != nil {
		t.Fatal(err)
	}
	if promoted == dead {
		t.Errorf("the dead primary %s is primary", dead)
	}
	direct := goredis.NewClient(&goredis.Options{Addr: promoted})
	defer direct.Close()
	if got, err := direct.Get(t.Context(), "a").Result(); got != "1" || err != nil {
		t.Errorf("got %q, %v from the promoted replica", got, err)
	}
	if err := direct.Set(t.Context(), "b", "1", 0).Err(); err != nil {
		t.Errorf("the promoted replica takes no writes: %v", err)
	}
}

func TestGroup_FailsOverWhileThePrimaryLives(t *testing.T) {
	g := redissentinel.Start(t, 2)
	before, err := g.Primary(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	after, err := g.Failover(t.Context())
	if err != nil || after == before {
		t.Errorf("the primary was %s and is %s: %v", before, after, err)
	}
}
