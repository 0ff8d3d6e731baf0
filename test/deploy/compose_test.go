//go:build integration

package deploy

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// composeLimit is how long docker-compose may take, the build of the image included.
const composeLimit = 8 * time.Minute

// composition is docker-compose.yml, running under a name of its own.
type composition struct {
	name, url, haproxyURL string

	environment []string
}

// startComposition builds the image and starts everything, on ports that are free. It
// ends with the test and leaves nothing behind.
func startComposition(t *testing.T, adapter string) *composition {
	t.Helper()
	needEngine(t)
	port, haproxyPort, adminPort := freePort(t), freePort(t), freePort(t)
	name := fmt.Sprintf("roomcasttest%d", port)
	c := &composition{name: name, url: "http://" + addressOf(port), haproxyURL: "http://" + addressOf(haproxyPort)}
	c.environment = append(os.Environ(),
		"ROOMCAST_ADAPTER="+adapter,
		"ROOMCAST_IMAGE="+name,
		"ROOMCAST_PORT="+addressOf(port), // for this machine alone
		"ROOMCAST_HAPROXY_PORT="+addressOf(haproxyPort),
		fmt.Sprintf("ROOMCAST_ADMIN_PORT=%d", adminPort),
		"DOCKER_BUILDKIT=0", "COMPOSE_DOCKER_CLI_BUILD=0", // what every engine understands
	)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("%s", c.run(t, "logs", "--no-color", "--tail", "40"))
		}
		c.run(t, "down", "-v", "--remove-orphans")
		if out, err := exec.Command("docker", "rmi", name).CombinedOutput(); err != nil {
			t.Errorf("remove the image: %v\n%s", err, out)
		}
	})
	c.run(t, "up", "-d")
	for _, service := range []string{"node1", "node2", "node3"} {
		eventually(t, service+" to be healthy", func() bool { return c.inspect(t, service, "{{.State.Health.Status}}") == "healthy" })
	}
	eventually(t, "nginx to answer", func() bool { return answers(c.url) })
	return c
}

// needEngine skips the test where there is nothing to run containers with.
func needEngine(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("docker-compose"); err != nil {
		t.Skip("docker-compose is not installed, so docker-compose.yml was not run")
	}
	if out, err := exec.Command("docker", "info").CombinedOutput(); err != nil {
		t.Skipf("no Docker engine answers, so docker-compose.yml was not run: %v: %.200s", err, out)
	}
}

// run runs docker-compose and returns what it says.
func (c *composition) run(t testing.TB, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), composeLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, "docker-compose", append([]string{"-p", c.name, "--profile", "haproxy"}, args...)...)
	cmd.Dir = filepath.Join("..", "..")
	cmd.Env = c.environment
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("docker-compose %v: %v\n%s", args, err, out)
	}
	return string(out)
}

// inspect returns what the engine says of a service's container.
func (c *composition) inspect(t testing.TB, service, format string) string {
	t.Helper()
	out, err := exec.Command("docker", "inspect", "--format", format, c.name+"_"+service+"_1").CombinedOutput()
	if err != nil {
		t.Fatalf("docker inspect: %v\n%s", err, out)
	}
	return strings.TrimSpace(string(out))
}

func answers(url string) bool {
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: time.Second}
	response, err := client.Get(url)
	if err != nil {
		return false
	}
	_ = response.Body.Close()
	return response.StatusCode == http.StatusOK
}

// Two people chat through nginx, on two nodes. The node of one is killed while the
// other speaks, and she misses nothing.
func TestCompose_KilledNodeLosesNoMessageOfAChat(t *testing.T) {
	c := startComposition(t, "streams")
	version := regexp.MustCompile(`redis_version:(\S+)`).FindString(c.run(t, "exec", "-T", "redis", "redis-cli", "info", "server"))
	t.Log(version)
	pictures := t.ArtifactDir()
	t.Logf("pictures in %s", pictures)
	chat := startScript(t, nil, "compose.mjs", need(t, "chromium", "chromium-browser", "google-chrome"), c.url, "node2:3000", pictures)
	chat.next(t, new(struct{}))
	chat.tell(t, "talk 150")
	c.run(t, "kill", "node2")
	chat.next(t, new(struct{}))
	var end struct {
		Heard int
		Node  string
	}
	chat.ask(t, "end", &end)
	t.Logf("%d messages were heard by both, at the end on %s", end.Heard, end.Node)
	c.run(t, "up", "-d")
	eventually(t, "node2 to be healthy again", func() bool { return c.inspect(t, "node2", "{{.State.Health.Status}}") == "healthy" })
}

// The image has one program, which runs as nobody and tells the engine how it is; who
// connects through either balancer does so at the first try.
func TestCompose_BothBalancersBeforeThreeNodes(t *testing.T) {
	c := startComposition(t, "pubsub")
	if user := c.inspect(t, "node1", "{{.Config.User}}"); user != "65532:65532" {
		t.Errorf("the node runs as %q", user)
	}
	for name, url := range map[string]string{"nginx": c.url, "haproxy": c.haproxyURL} {
		t.Run(name, func(t *testing.T) {
			eventually(t, name+" to answer", func() bool { return answers(url) })
			crowd, first := gatherCrowd(t, url, 200, "default", nil)
			expectFlawless(t, crowd, first)
		})
	}
}
