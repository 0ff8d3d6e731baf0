//go:build integration

package integration

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"strings"
	"sync"
	"testing"

	goredis "github.com/redis/go-redis/v9"

	"github.com/roomcast/roomcast/internal/testutil/redisserver"
	"github.com/roomcast/roomcast/pkg/adapter/redis"
	"github.com/roomcast/roomcast/pkg/server"
)

// burst is a program of the reference's kind that changes rooms and emits in one breath.
type burst struct{ *script }

func startBurst(t *testing.T, k kind, redisAddr string) burst {
	t.Helper()
	b := burst{startScript(t, "burst.mjs", "redis://"+redisAddr, string(k))}
	b.next(t, new(struct{}))
	return b
}

// tell plays one of its stories.
func (b burst) tell(t *testing.T, as, story string, ids []string, rounds int) {
	t.Helper()
	line, err := json.Marshal(map[string]any{"as": as, "story": story, "ids": ids, "rounds": rounds})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.in.Write(append(line, '\n')); err != nil {
		t.Fatal(err)
	}
	b.next(t, new(struct{}))
}

// A Node.js server, and its emitter, put sockets of roomcast nodes into rooms and emit
// to these rooms in the next moment: nothing is lost, and nothing reaches who has left.
// Over sharded pub/sub rooms have channels of their own, and nobody can promise that.
func TestBurst_JoinAndEmitInOneBreath(t *testing.T) {
	for _, k := range []kind{classic, streams} {
		t.Run(string(k), func(t *testing.T) { joinAndEmitInOneBreath(t, k) })
	}
}

func joinAndEmitInOneBreath(t *testing.T, k kind) {
	const rounds = 50
	addr := redisserver.Addr(t)
	program := startBurst(t, k, addr)
	var nodes []*node
	var listeners []*listener
	var ids []string
	for range 2 {
		n := startNodeOn(t, server.Options{Adapter: over(t, k, addr, redis.Options{NodeJS: true})})
		l := listen(t, n)
		nodes, listeners, ids = append(nodes, n), append(listeners, l), append(ids, l.id)
	}
	awaitMembers(t, nodes)
	for _, as := range []string{"server", "emitter"} {
		for _, story := range []string{"room", "rooms", "move"} {
			t.Run(as+" "+story, func(t *testing.T) {
				program.tell(t, as, story, ids, rounds)
				hearers := listeners
				if story == "room" {
					hearers = listeners[:1]
				}
				for _, l := range hearers {
					l.await(t, as+" "+story, rounds-1)
					l.expectAll(t, as+" "+story, 0, rounds-1)
					l.expectHeard(t, "ghost", 0)
				}
			})
		}
		t.Run(as+" seat", func(t *testing.T) {
			program.tell(t, as, "seat", ids, rounds)
			for i, l := range listeners {
				l.await(t, as+" seat", rounds-2+i)
				l.expectHeard(t, as+" seat", rounds/2)
				l.expectNoneTwice(t, as+" seat")
			}
		})
	}
	listeners[1].expectHeard(t, "server room", 0)
	listeners[1].expectHeard(t, "emitter room", 0)
}

// expectHeard checks how many events of sender were heard.
func (l *listener) expectHeard(t testing.TB, sender string, count int) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	if got := len(l.heard[sender]); got != count {
		t.Errorf("heard %d events of %s, want %d", got, sender, count)
	}
}

// logLines collects log lines.
type logLines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logLines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logLines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// A node that was not told of Node.js servers says so when one of them asks for
// something, once, and names the option. Emitters ask for nothing that it must be told
// of.
func TestBurst_NodeThatDoesNotKnowOfNodeJSSaysSoOnce(t *testing.T) {
	addr := redisserver.Addr(t)
	program := startBurst(t, classic, addr)
	client := goredis.NewClient(&goredis.Options{Addr: addr})
	t.Cleanup(func() { _ = client.Close() })
	log := &logLines{}
	bus, err := redis.New(client, redis.Options{Logger: slog.New(slog.NewTextHandler(log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	n := startNodeOn(t, server.Options{Adapter: bus})
	l := listen(t, n, "old")
	const sign = "option NodeJS"
	program.tell(t, "emitter", "rooms", []string{l.id}, 3)
	l.await(t, "emitter rooms", 2) // to several rooms: that goes to every node
	if got := strings.Count(log.String(), sign); got != 0 {
		t.Errorf("an emitter made the log say:\n%s", log)
	}
	for range 3 {
		program.tell(t, "server", "rooms", []string{l.id}, 3)
	}
	l.await(t, "server rooms", 2)
	if got := strings.Count(log.String(), sign); got != 1 || !strings.Contains(log.String(), "level=WARN") {
		t.Errorf("the log has %d warnings, want 1:\n%s", got, log)
	}
}
