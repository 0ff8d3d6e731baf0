//go:build integration

package integration

import (
	"encoding/json"
	"testing"

	sdk "go.opentelemetry.io/otel/sdk/trace"

	"github.com/roomcast/roomcast/internal/testutil/redisserver"
	"github.com/roomcast/roomcast/pkg/adapter/memory"
	"github.com/roomcast/roomcast/pkg/adapter/redis"
	"github.com/roomcast/roomcast/pkg/tracing"
)

// cluster is a set of nodes on which stories are played.
type cluster struct {
	orders []order // each story is played on each
	redis  string  // the URL of what connects the nodes, or empty
	kind   kind    // of their adapters
}

// order is the nodes of a cluster as a story numbers them.
type order struct {
	urls []string
	own  []int // which are roomcast's; nil means all
}

func startOne(t *testing.T, c *chapter) cluster {
	return cluster{orders: []order{{urls: []string{startNodeOn(t, c.options()).url}}}}
}

func startOnMemory(t *testing.T, c *chapter) cluster {
	shared := memory.New()
	var nodes []*node
	for range 3 {
		o := c.options()
		o.Adapter = shared
		nodes = append(nodes, startNodeOn(t, o))
	}
	awaitMembers(t, nodes)
	return cluster{orders: []order{{urls: urlsOf(nodes)}}, kind: inProcess}
}

func startOnRedis(t *testing.T, c *chapter) cluster {
	addr := redisserver.Addr(t)
	var nodes []*node
	for range 3 {
		nodes = append(nodes, startNode(t, addr, c.options()))
	}
	awaitMembers(t, nodes)
	return cluster{orders: []order{{urls: urlsOf(nodes)}}, redis: "redis://" + addr, kind: classic}
}

// startMixed starts two nodes of roomcast and two of the reference, with adapters of a
// kind.
func startMixed(k kind) func(t *testing.T, c *chapter) cluster {
	return func(t *testing.T, c *chapter) cluster {
		addr := redisserver.Addr(t)
		reference := startReference(t, 2, c.reference(k, addr))
		var nodes []*node
		for range 2 {
			o := c.options()
			o.Observer = tracing.Observer(tracing.Options{Provider: sdk.NewTracerProvider()}) // what it adds to messages harms nobody
			o.Adapter = over(t, k, addr, redis.Options{NodeJS: true})
			nodes = append(nodes, startNodeOn(t, o))
		}
		awaitMembers(t, nodes)
		return cluster{kind: k, redis: "redis://" + addr, orders: []order{
			{urls: []string{nodes[0].url, reference[0].url, nodes[1].url, reference[1].url}, own: []int{0, 2}},
			{urls: []string{reference[0].url, nodes[0].url, reference[1].url, nodes[1].url}, own: []int{1, 3}},
		}}
	}
}

// reference is a running server of the reference implementation.
type reference struct {
	*script
	url string
}

// referenceOptions configure a server of the reference implementation, as node.mjs
// takes them.
type referenceOptions struct {
	Redis    string         `json:"redis,omitempty"`
	Adapter  kind           `json:"adapter,omitempty"`
	Parser   string         `json:"parser,omitempty"`
	Recovery map[string]any `json:"recovery,omitempty"`
}

// startReference starts servers of the reference implementation.
func startReference(t *testing.T, count int, options referenceOptions) (servers []reference) {
	t.Helper()
	argument, err := json.Marshal(options)
	if err != nil {
		t.Fatal(err)
	}
	for range count {
		servers = append(servers, reference{script: startScript(t, "node.mjs", string(argument))})
	}
	for i := range servers {
		var ready struct{ URL string }
		servers[i].next(t, &ready)
		servers[i].url = ready.URL
	}
	return servers
}
