//go:build integration

package deploy

import (
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/roomcast/roomcast/internal/testutil/process"
	"github.com/roomcast/roomcast/internal/testutil/redisserver"
)

// clusterSecret is what the nodes of these tests share.
const clusterSecret = "a secret of the tests alone"

// node is a `node serve` process that can be stopped and started again on its ports.
type node struct {
	port, adminPort int
	redis           string // its address

	environment []string
	process     *process.Process
}

// startNodes starts three nodes on a Redis of their own, with further environment
// variables. They end with the test.
func startNodes(t testing.TB, environment ...string) []*node {
	t.Helper()
	addr := redisserver.Addr(t)
	var nodes []*node
	for range 3 {
		n := &node{port: freePort(t), adminPort: freePort(t), redis: addr}
		n.environment = append([]string{
			"ROOMCAST_LISTEN=" + addressOf(n.port),
			"ROOMCAST_ADMIN_LISTEN=" + addressOf(n.adminPort),
			"ROOMCAST_ADVERTISE=http://" + addressOf(n.port),
			"ROOMCAST_CLUSTER_SECRET=" + clusterSecret,
			"ROOMCAST_REDIS=redis://" + addr,
			"ROOMCAST_LOG_LEVEL=warn",
		}, environment...)
		n.start(t)
		t.Cleanup(func() { n.process.Kill() })
		nodes = append(nodes, n)
	}
	awaitMembers(t, nodes)
	return nodes
}

// awaitMembers waits until each node knows all others.
func awaitMembers(t testing.TB, nodes []*node) {
	t.Helper()
	for _, n := range nodes {
		eventually(t, "all nodes to know each other", func() bool {
			var report struct {
				Nodes  []struct{ ID string }
				Silent []string
			}
			return n.asks("/debug/nodes", &report) == http.StatusOK && len(report.Nodes) == len(nodes) && len(report.Silent) == 0
		})
	}
}

// start starts the node's process and waits until it is ready.
func (n *node) start(t testing.TB) {
	t.Helper()
	cmd := exec.Command(program, "serve")
	cmd.Env = append(os.Environ(), n.environment...)
	cmd.Stdout, cmd.Stderr = t.Output(), t.Output()
	var err error
	if n.process, err = process.Start(cmd); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a node to be ready", func() bool {
		select {
		case <-n.process.Ended():
			t.Fatal(errors.Join(errors.New("a node ended"), n.process.Err()))
		default:
		}
		return n.asks("/readyz", nil) == http.StatusOK
	})
}

// stop tells the process to end, as an operator does, and waits until it has.
func (n *node) stop(t testing.TB) {
	t.Helper()
	start := time.Now()
	n.process.Signal(syscall.SIGTERM)
	select {
	case <-n.process.Ended():
	case <-time.After(patience):
		t.Fatalf("a node has not stopped %v after SIGTERM", patience)
	}
	if err := n.process.Err(); err != nil {
		t.Errorf("a node that was stopped: %v", err)
	}
	t.Logf("a node stopped within %v", time.Since(start).Round(time.Millisecond))
}

// asks returns the status with which the admin listener answers, 0 when it does not,
// and stores the answer in v, unless nil.
func (n *node) asks(path string, v any) int {
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: time.Second}
	response, err := client.Get("http://" + addressOf(n.adminPort) + path)
	if err != nil {
		return 0
	}
	defer response.Body.Close()
	if v != nil {
		if err := json.NewDecoder(response.Body).Decode(v); err != nil {
			return 0
		}
	}
	return response.StatusCode
}
