//go:build integration

package integration

import (
	"testing"

	"github.com/roomcast/roomcast/internal/testutil/redisserver"
	"github.com/roomcast/roomcast/pkg/adapter/redis"
	"github.com/roomcast/roomcast/pkg/server"
)

// On a stream clients come back to any node, over every transport.
func TestRecovery_OnAnyNodeOfAStream(t *testing.T) {
	for _, c := range chapters {
		if c.recovery == nil {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			addr := redisserver.Addr(t)
			var nodes []*node
			for range 3 {
				o := c.options()
				o.Adapter = over(t, streams, addr, redis.Options{})
				nodes = append(nodes, startNodeOn(t, o))
			}
			awaitMembers(t, nodes)
			player := startPlayer(t)
			for _, f := range c.features {
				for _, story := range f.stories {
					for _, transport := range transports {
						t.Run(story+"/"+transport, func(t *testing.T) {
							player.play(t, nil, scene{Story: story, Transport: transport, Nodes: urlsOf(nodes), Adapter: streams})
						})
					}
				}
			}
		})
	}
}

// Nodes are killed under way. Their clients come back to others as who they were, and
// to everything that they have missed, in order, once.
func TestKilled_ClientsRecoverOnAnotherNode(t *testing.T) {
	player := startPlayer(t)
	for _, transport := range transports {
		t.Run(transport, func(t *testing.T) {
			addr := redisserver.Addr(t)
			s := scene{Story: "recoveryAfterKills", Transport: transport, Redis: "redis://" + addr, Askers: []int{2, 3}}
			for range 2 {
				s.Nodes = append(s.Nodes, startProcess(t, processOptions{Redis: addr, Adapter: streams, NodeJS: true, Recovers: true}).URL)
			}
			s.Nodes = append(s.Nodes, startRecovering(t, addr).url, startRecoveringReference(t, addr).url)
			player.play(t, nil, s)
		})
	}
}

// A node is killed. Its client comes back to another one, or to a Node.js server, and
// has its id, its data, its rooms, and what it has missed.
func TestKilled_ClientRecoversOnEitherKindOfServer(t *testing.T) {
	addr := redisserver.Addr(t)
	own, reference := startRecovering(t, addr).url, startRecoveringReference(t, addr).url
	player := startPlayer(t)
	for name, others := range map[string][]string{"roomcast": {own, reference}, "Node.js": {reference, own}} {
		t.Run(name, func(t *testing.T) {
			victim := startProcess(t, processOptions{Redis: addr, Adapter: streams, NodeJS: true, Recovers: true})
			player.play(t, nil, scene{Story: "recoveryAfterKill", Transport: "websocket", Nodes: append([]string{victim.URL}, others...), Redis: "redis://" + addr})
		})
	}
}

// startRecovering starts a node on a stream, beside Node.js servers.
func startRecovering(t *testing.T, redisAddr string) *node {
	t.Helper()
	options := mortal()
	options.Recovery = new(server.Recovery)
	options.Adapter = over(t, streams, redisAddr, redis.Options{NodeJS: true})
	return startNodeOn(t, options)
}

// startRecoveringReference starts a server of the reference on a stream.
func startRecoveringReference(t *testing.T, redisAddr string) reference {
	t.Helper()
	options := referenceOptions{Redis: "redis://" + redisAddr, Adapter: streams, Recovery: map[string]any{"skipMiddlewares": false}}
	return startReference(t, 1, options)[0]
}
