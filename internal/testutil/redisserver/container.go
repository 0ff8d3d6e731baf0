package redisserver

import (
	"context"
	"net"
	"net/url"
	"os"
	"testing"
	"time"

	"github.com/testcontainers/testcontainers-go"
	"github.com/testcontainers/testcontainers-go/wait"

	"github.com/roomcast/roomcast/internal/testutil/redisproc"
)

// image is the Redis that operators are most likely to run.
const image = "redis:7-alpine"

const (
	hostOverride = "TESTCONTAINERS_HOST_OVERRIDE"
	reaperOff    = "TESTCONTAINERS_RYUK_DISABLED"
)

// Addr returns the address of a Redis of the test's own: a container where a
// Docker engine answers, else a redis-server process. It ends with the test.
func Addr(t testing.TB) string {
	t.Helper()
	if dockerAnswers() {
		addr, err := startContainer(t)
		if err == nil {
			logVersion(t, addr, nil)
			return addr
		}
		t.Logf("redisserver: no container, a process instead: %v", err)
	}
	return Start(t).Addr()
}

// docker returns where the Docker engine listens.
func docker() (network, addr string) {
	if u, err := url.Parse(os.Getenv("DOCKER_HOST")); err == nil && u.Scheme != "" {
		return u.Scheme, u.Host + u.Path
	}
	return "unix", "/var/run/docker.sock"
}

// dockerAnswers says whether a Docker engine can be reached.
func dockerAnswers() bool {
	network, addr := docker()
	c, err := net.DialTimeout(network, addr, time.Second)
	if err != nil {
		return false
	}
	_ = c.Close()
	return true
}

func startContainer(t testing.TB) (string, error) {
	if network, _ := docker(); network == "unix" {
		// Inside a container of its own, testcontainers would look for the published
		// port at the bridge's gateway; a local engine publishes it here.
		setDefault(hostOverride, "localhost")
	}
	// The reaper is one more image, and a goroutine that leak checks would find.
	// The container ends with the test anyway.
	setDefault(reaperOff, "true")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	container, err := testcontainers.Run(ctx, image,
		testcontainers.WithExposedPorts("6379/tcp"),
		testcontainers.WithWaitStrategy(wait.ForLog("Ready to accept connections")))
	t.Cleanup(func() {
		if err := testcontainers.TerminateContainer(container); err != nil {
			t.Logf("redisserver: %v", err)
		}
	})
	if err != nil {
		return "", err
	}
	addr, err := container.Endpoint(ctx, "")
	if err != nil {
		return "", err
	}
	return addr, redisproc.Await(addr)
}

// setDefault sets an environment variable that is not set.
func setDefault(name, value string) {
	if os.Getenv(name) == "" {
		_ = os.Setenv(name, value)
	}
}
