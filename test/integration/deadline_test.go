//go:build integration

package integration

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/roomcast/roomcast/pkg/server"
)

// A node is killed, and the caller has less time than its silence is tolerated: the
// call ends with its context, names the node, and has what came.
func TestKilled_ContextThatEndsFirstEndsTheCall(t *testing.T) {
	f := startFamily(t)
	victim := f.processes[1]
	victim.kill(t)
	everybody := f.asker.Of("/").All()
	rest := idsOfClients([][]*listener{f.clients[0], f.clients[1], f.clients[3]})
	const short = 300 * time.Millisecond
	expect := func(what string, began time.Time, err error, ids []string) {
		t.Helper()
		var missing *server.PartialError
		if !errors.As(err, &missing) || !errors.Is(err, context.DeadlineExceeded) || !slices.Equal(missing.Nodes, []string{victim.ID}) {
			t.Errorf("%s: got error %v, want one that names %s because the time is over", what, err, victim.ID)
		}
		if took := time.Since(began); took > short+scheduling {
			t.Errorf("%s took %v, want %v", what, took, short)
		}
		if slices.Sort(ids); !slices.Equal(ids, rest) {
			t.Errorf("%s: got %q, want the sockets of the others %q", what, ids, rest)
		}
	}
	began := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), short)
	defer cancel()
	answers, err := server.CallAll[string](ctx, everybody, "who").Wait()
	expect("CallAll", began, err, answers)
	began = time.Now()
	ctx, cancel = context.WithTimeout(t.Context(), short)
	defer cancel()
	sockets, err := everybody.FetchSockets(ctx)
	expect("FetchSockets", began, err, idsOf(sockets))
	f.awaitClients(t, f.clients[0], f.clients[1], f.clients[3])
}
