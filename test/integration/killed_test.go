//go:build integration

package integration

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/roomcast/roomcast/internal/testutil/redisserver"
	"github.com/roomcast/roomcast/pkg/adapter/redis"
	"github.com/roomcast/roomcast/pkg/server"
)

const (
	// scheduling is what a busy machine may add to a deadline.
	scheduling = 500 * time.Millisecond
	// normal is how long a call may take when every node answers, which takes some
	// milliseconds.
	normal = time.Second
)

// family is a node that asks and three that can be killed, with two clients each.
type family struct {
	asker     *node
	processes []*process
	clients   [][]*listener // of each node, the asker's first
}

func startFamily(t *testing.T) family {
	addr := redisserver.Addr(t)
	f := family{asker: startNode(t, addr, mortal())}
	f.clients = append(f.clients, []*listener{listen(t, f.asker), listen(t, f.asker)})
	for range 3 {
		p := startProcess(t, processOptions{Redis: addr, Adapter: classic})
		f.processes = append(f.processes, p)
		f.clients = append(f.clients, []*listener{listenAt(t, p.URL), listenAt(t, p.URL)})
	}
	f.awaitClients(t, f.clients...)
	return f
}

// awaitClients waits until the asker finds just these clients, without an error.
func (f *family) awaitClients(t *testing.T, clients ...[]*listener) {
	t.Helper()
	eventually(t, "all clients to be found", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), normal/5) // no call waits long for a dead server that Redis still counts
		defer cancel()
		sockets, err := f.asker.Of("/").All().FetchSockets(ctx)
		return err == nil && slices.Equal(idsOf(sockets), idsOfClients(clients))
	})
}

func idsOf(sockets []server.RemoteSocket) (ids []string) {
	for _, s := range sockets {
		ids = append(ids, s.ID)
	}
	slices.Sort(ids)
	return ids
}

func idsOfClients(clients [][]*listener) (ids []string) {
	for _, here := range clients {
		for _, l := range here {
			ids = append(ids, l.id)
		}
	}
	slices.Sort(ids)
	return ids
}

// expectLost checks that err names the killed node and no other, and that it came
// no later than its silence was noticed.
func expectLost(t *testing.T, err error, p *process, killed time.Time) *server.PartialError {
	t.Helper()
	took := time.Since(killed)
	t.Logf("answered %v after the kill: %v", took, err)
	var missing *server.PartialError
	if !errors.As(err, &missing) || !errors.Is(err, server.ErrNodeLost) {
		t.Fatalf("got error %v, want one that says that a node was lost", err)
	}
	if !slices.Equal(missing.Nodes, []string{p.ID}) || missing.Unnamed != 0 {
		t.Errorf("nodes %q and %d without a name are missing, want %s", missing.Nodes, missing.Unnamed, p.ID)
	}
	if limit := mortal().HeartbeatTimeout + scheduling; took > limit {
		t.Errorf("it took %v, want at most %v", took, limit)
	}
	return missing
}

// A node is killed. A call in that moment says what the others have, names the
// killed one, and waits no longer than its silence is tolerated; the next calls are
// complete and as quick as ever.
func TestKilled_FetchSocketsNamesTheNode(t *testing.T) {
	f := startFamily(t)
	victim := f.processes[2]
	victim.kill(t)
	killed := time.Now()
	sockets, err := f.asker.Of("/").All().FetchSockets(t.Context())
	expectLost(t, err, victim, killed)
	if got, want := idsOf(sockets), idsOfClients(f.clients[:3]); !slices.Equal(got, want) {
		t.Errorf("got sockets %q, want those of the three others %q", got, want)
	}

	start := time.Now()
	sockets, err = f.asker.Of("/").All().FetchSockets(t.Context())
	if took := time.Since(start); err != nil || took > normal {
		t.Errorf("afterwards a call took %v with error %v", took, err)
	}
	if count, err := f.asker.Of("/").CountNodes(t.Context()); count != 3 || err != nil {
		t.Errorf("afterwards there are %d nodes (error %v), want 3", count, err)
	}
	if got, want := idsOf(sockets), idsOfClients(f.clients[:3]); !slices.Equal(got, want) {
		t.Errorf("afterwards the sockets are %q, want %q", got, want)
	}
}

// A node is killed while it gathers acknowledgements. The call ends when its silence
// is noticed, with all that came, and leaves nothing behind.
func TestKilled_BroadcastWithAcknowledgementsEnds(t *testing.T) {
	f := startFamily(t)
	victim := f.processes[0]
	f.clients[1][0].mute.Store(true)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	call := server.CallAll[string](ctx, f.asker.Of("/").All(), "who")
	var answers []string
	var killed time.Time
	for answer, err := range call.Each() {
		if err != nil {
			t.Fatal(err)
		}
		if answers = append(answers, answer); len(answers) == 7 {
			victim.kill(t)
			killed = time.Now()
		}
	}
	missing := expectLost(t, call.Err(), victim, killed)
	if missing.Expected != 8 || missing.Received != 7 || len(answers) != 7 {
		t.Errorf("%d answers, and the error says %d of %d; want 7 of 8", len(answers), missing.Received, missing.Expected)
	}

	answers, err := server.CallAll[string](ctx, f.asker.Of("/").All(), "who").Wait()
	slices.Sort(answers)
	if want := idsOfClients([][]*listener{f.clients[0], f.clients[2], f.clients[3]}); err != nil || !slices.Equal(answers, want) {
		t.Errorf("afterwards %q answered with error %v, want %q", answers, err, want)
	}
}

// Servers of Node.js have no name and no heartbeat. One that hangs is reported as a
// number when the call's time is over, with what the others have; when Redis has
// noticed its death calls are complete again.
func TestReference_LostServerIsCounted(t *testing.T) {
	addr := redisserver.Addr(t)
	lost := startReference(t, 1, referenceOptions{Redis: "redis://" + addr})[0]
	var nodes []*node
	var clients [][]*listener
	for range 2 {
		n := startNodeOn(t, server.Options{Adapter: overRedis(t, addr, redis.Options{NodeJS: true})})
		nodes = append(nodes, n)
		clients = append(clients, []*listener{listen(t, n)})
	}
	awaitMembers(t, nodes)
	f := family{asker: nodes[0]}
	f.awaitClients(t, clients[0], clients[1], []*listener{listenAt(t, lost.url)})

	lost.suspend(t)
	everybody := nodes[0].Of("/").All()
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	sockets, err := everybody.FetchSockets(ctx)
	expectUncounted(t, err)
	if got, want := idsOf(sockets), idsOfClients(clients); !slices.Equal(got, want) {
		t.Errorf("got sockets %q, want %q", got, want)
	}
	ctx, cancel = context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	answers, err := server.CallAll[string](ctx, everybody, "who").Wait()
	expectUncounted(t, err)
	if slices.Sort(answers); !slices.Equal(answers, idsOfClients(clients)) {
		t.Errorf("%q have answered, want %q", answers, idsOfClients(clients))
	}

	lost.kill(t)
	start := time.Now()
	f.awaitClients(t, clients...)
	if took := time.Since(start); took > normal {
		t.Errorf("it took %v until calls were complete again", took)
	}
}

// expectUncounted checks that err says that one server without a name is missing
// because the call's time was over.
func expectUncounted(t *testing.T, err error) {
	t.Helper()
	var missing *server.PartialError
	if !errors.As(err, &missing) || !errors.Is(err, context.DeadlineExceeded) || missing.Unnamed != 1 || len(missing.Nodes) != 0 {
		t.Errorf("got error %v, want one that counts one Node.js server", err)
	}
}
