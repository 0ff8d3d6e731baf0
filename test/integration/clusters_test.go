//go:build integration

package integration

import (
	"testing"

	"github.com/roomcast/roomcast/internal/testutil/redisserver"
	"github.com/roomcast/roomcast/pkg/adapter/memory"
	"github.com/roomcast/roomcast/pkg/adapter/redis"
	"github.com/roomcast/roomcast/pkg/server"
)

// cluster is a set of nodes on which stories are played.
type cluster struct {
	orders []order // each story is played on each
	redis  string  // the URL of what connects the nodes, or empty
}

// order is the nodes of a cluster as a story numbers them.
type order struct {
	urls []string
	own  []int // which are roomcast's; nil means all
}

func startOne(t *testing.T, options func() server.Options, _ string) cluster {
	return cluster{orders: []order{{urls: []string{startNodeOn(t, options()).url}}}}
}

func startOnMemory(t *testing.T, options func() server.Options, _ string) cluster {
	shared := memory.New()
	var nodes []*node
	for range 3 {
		o := options()
		o.Adapter = shared
		nodes = append(nodes, startNodeOn(t, o))
	}
	awaitMembers(t, nodes)
	return cluster{orders: []order{{urls: urlsOf(nodes)}}}
}

func startOnRedis(t *testing.T, options func() server.Options, _ string) cluster {
	addr := redisserver.Addr(t)
	var nodes []*node
	for range 3 {
		nodes = append(nodes, startNode(t, addr, options()))
	}
	awaitMembers(t, nodes)
	return cluster{orders: []order{{urls: urlsOf(nodes)}}, redis: "redis://" + addr}
}

// startMixed starts two nodes of roomcast and two of the reference.
func startMixed(t *testing.T, options func() server.Options, parser string) cluster {
	addr := redisserver.Addr(t)
	reference := startReference(t, addr, 2, parser)
	var nodes []*node
	for range 2 {
		o := options()
		o.Adapter = overRedis(t, addr, redis.Options{NodeJS: true})
		nodes = append(nodes, startNodeOn(t, o))
	}
	awaitMembers(t, nodes)
	return cluster{redis: "redis://" + addr, orders: []order{
		{urls: []string{nodes[0].url, reference[0].url, nodes[1].url, reference[1].url}, own: []int{0, 2}},
		{urls: []string{reference[0].url, nodes[0].url, reference[1].url, nodes[1].url}, own: []int{1, 3}},
	}}
}

// reference is a running server of the reference implementation.
type reference struct {
	*script
	url string
}

// startReference starts servers of the reference implementation on a Redis.
func startReference(t *testing.T, redisAddr string, count int, parser string) (servers []reference) {
	t.Helper()
	for range count {
		servers = append(servers, reference{script: startScript(t, "node.mjs", "redis://"+redisAddr, parser)})
	}
	for i := range servers {
		var ready struct{ URL string }
		servers[i].next(t, &ready)
		servers[i].url = ready.URL
	}
	return servers
}
