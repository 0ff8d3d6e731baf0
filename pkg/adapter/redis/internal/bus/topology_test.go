package bus

import (
	"context"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// The successor of a dead master is noticed soon, also when the lane's attempts to
// connect have become rare.
func TestTopology_IsReadOftenWhileALaneIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var read []time.Time
		client := goredis.NewClusterClient(&goredis.ClusterOptions{
			ClusterSlots: func(context.Context) ([]goredis.ClusterSlot, error) {
				mu.Lock()
				defer mu.Unlock()
				read = append(read, time.Now())
				return []goredis.ClusterSlot{{End: slots - 1, Nodes: []goredis.ClusterNode{{Addr: "dead"}}}}, nil
			},
			Dialer:   func(context.Context, string, string) (net.Conn, error) { return nil, net.ErrClosed },
			PoolSize: 1000, // after so many failures, a goroutine dials that outlives the client
			// It looks the name up, and net's resolver belongs to the bubble that uses it first.
			MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
		})
		start(t, client, Config{Sharded: true})
		time.Sleep(15 * time.Second)
		mu.Lock()
		defer mu.Unlock()
		longest := time.Duration(0)
		for i := range read[1:] {
			longest = max(longest, read[i+1].Sub(read[i]))
		}
		if longest > topologyAway+topologyPause {
			t.Errorf("the topology was not read for %v", longest)
		}
	})
}
