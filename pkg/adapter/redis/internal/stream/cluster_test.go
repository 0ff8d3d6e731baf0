package stream

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/roomcast/roomcast/internal/testutil/rediscluster"
	"github.com/roomcast/roomcast/internal/testutil/redissentinel"
	"github.com/roomcast/roomcast/pkg/adapter"
)

// load appends numbered entries from one node, as fast as another one hears them, until
// stop is called, which returns how many those are.
func load(t *testing.T, from, to *node) (stop func() int) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var appending sync.WaitGroup
	count := 0
	appending.Go(func() {
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for ctx.Err() == nil {
			if from.Append(entry(strconv.Itoa(count))) == nil {
				count++
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
			}
		}
	})
	to.await(10)
	return func() int {
		cancel()
		appending.Wait()
		return count
	}
}

func TestCluster_MovedStreamIsFollowed(t *testing.T) {
	cluster := rediscluster.Start(t)
	var nodes []*node
	for range 2 {
		client := goredis.NewClusterClient(cluster.Options())
		t.Cleanup(func() { _ = client.Close() })
		nodes = append(nodes, open(t, client, func(c *Config) { c.Block = 5 * time.Second }))
	}
	a, b := nodes[0], nodes[1]
	a.listen()
	b.listen()
	stop := load(t, a, b)
	slot := rediscluster.Slot("log")
	for range 2 {
		masters, err := cluster.Masters(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, addr := range masters {
			if err := cluster.MoveSlot(t.Context(), slot, addr); err != nil {
				t.Fatal(err)
			}
			heard := len(b.texts())
			start := time.Now()
			b.await(heard + 50)
			if took := time.Since(start); took > 5*time.Second {
				t.Errorf("after a move nothing came for %v", took)
			}
		}
	}
	count := stop()
	for _, n := range nodes {
		n.await(count)
		checkNumbered(t, n.texts(), count)
		if gaps, resets, _ := n.part.counts(); gaps+resets > 0 {
			t.Errorf("%d gaps, %d resets", gaps, resets)
		}
	}
	got, err := b.readAll(b.await(1)[0].ID)
	if err != nil || len(got) != count-1 {
		t.Errorf("recovered %d of %d entries: %v", len(got), count-1, err)
	}
}

func TestCluster_ReplicaTakesOver(t *testing.T) {
	cluster := rediscluster.Start(t)
	client := goredis.NewClusterClient(cluster.Options())
	t.Cleanup(func() { _ = client.Close() })
	a := open(t, client)
	a.listen()
	stop := load(t, a, a)
	owner, err := cluster.Owner(t.Context(), rediscluster.Slot("log"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := cluster.Failover(t.Context(), owner); err != nil {
		t.Fatal(err)
	}
	a.await(len(a.texts()) + 100)
	count := stop()
	a.await(count)
	checkNumbered(t, a.texts(), count)
}

func TestSentinel_ReplicatedEntriesSurviveThePrimary(t *testing.T) {
	group := redissentinel.Start(t, 2)
	var nodes []*node
	for range 2 {
		client := goredis.NewFailoverClient(group.Options())
		t.Cleanup(func() { _ = client.Close() })
		nodes = append(nodes, open(t, client, func(c *Config) { c.WaitReplicas = 1 }))
	}
	a, b := nodes[0], nodes[1]
	a.listen()
	b.listen()
	stop := load(t, a, b)
	old, err := group.KillPrimary(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := group.AwaitPrimary(t.Context(), old); err != nil {
		t.Fatal(err)
	}
	promoted := time.Now()
	b.await(len(b.texts()) + 1)
	t.Logf("back %v after the promotion", time.Since(promoted).Round(time.Millisecond))
	count := stop()
	for _, n := range nodes {
		n.await(count)
		checkNumbered(t, n.texts(), count)
		if gaps, resets, _ := n.part.counts(); gaps+resets > 0 {
			t.Errorf("%d gaps, %d resets", gaps, resets)
		}
	}
}

func TestSentinel_LivingPrimaryThatIsDemotedIsLeft(t *testing.T) {
	group := redissentinel.Start(t, 1)
	client := goredis.NewFailoverClient(group.Options())
	t.Cleanup(func() { _ = client.Close() })
	a := open(t, client, func(c *Config) { c.WaitReplicas = 1 })
	a.listen()
	stop := load(t, a, a)
	if _, err := group.Failover(t.Context()); err != nil {
		t.Fatal(err)
	}
	a.await(len(a.texts()) + 500)
	count := stop()
	a.await(count)
	checkNumbered(t, a.texts(), count)
}

// A reader whose server is demoted alive is not told by its connection.
func TestReader_LeavesAServerThatIsNoLongerTold(t *testing.T) {
	t.Parallel()
	first, second := startRedis(t), startRedis(t)
	two := newClient(t, second.Addr())
	host, port, _ := strings.Cut(first.Addr(), ":")
	two.ReplicaOf(t.Context(), host, port)
	var mu sync.Mutex
	addr := first.Addr()
	client := newMovingClient(t, func() string {
		mu.Lock()
		defer mu.Unlock()
		return addr
	})
	a, b := open(t, client), open(t, two)
	a.listen()
	a.append("0")
	a.await(1)
	eventually(t, "replication", func() bool { return two.XLen(t.Context(), "log").Val() == 1 })
	two.ReplicaOf(t.Context(), "no", "one")
	mu.Lock()
	addr = second.Addr()
	mu.Unlock()
	b.append("1", "2")
	a.await(3)
	checkNumbered(t, a.texts(), 3)
}

func TestCluster_MasterThatHangsHoldsUpItsOwnRecordsOnly(t *testing.T) {
	cluster := rediscluster.Start(t)
	masters, err := cluster.Masters(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var hangs atomic.Bool
	begun := make(chan struct{}, 1)
	client := goredis.NewClusterClient(cluster.Options())
	t.Cleanup(func() { _ = client.Close() })
	client.OnNewNode(func(node *goredis.Client) {
		if node.Options().Addr != masters[0] {
			return
		}
		node.AddHook(tripHook(func(ctx context.Context, next func() error) error {
			if !hangs.Load() {
				return next()
			}
			signal(begun)
			<-ctx.Done()
			return ctx.Err()
		}))
	})
	keys := make(map[bool]string) // by whether their master hangs
	for i := 0; len(keys) < 2; i++ {
		key := strconv.Itoa(i)
		master, err := client.MasterForKey(t.Context(), key)
		if err != nil {
			t.Fatal(err)
		}
		keys[master.Options().Addr == masters[0]] = key
	}
	hangs.Store(true) // its server has said whose the keys are, maybe
	r := NewRecords(client)
	hanging, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	all.Go(func() {
		if _, err := r.Find(hanging, keys[true]); !errors.Is(err, context.Canceled) {
			t.Errorf("the master that hangs: %v", err)
		}
	})
	<-begun
	ctx, end := context.WithTimeout(t.Context(), soon)
	defer end()
	if _, err := r.Find(ctx, keys[false]); !errors.Is(err, adapter.ErrNoRecord) {
		t.Errorf("a master that works: %v", err)
	}
	cancel()
	all.Wait()
}
