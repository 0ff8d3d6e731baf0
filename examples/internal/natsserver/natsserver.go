// Package natsserver runs a NATS server for tests.
package natsserver

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/roomcast/roomcast/internal/testutil/process"
)

// Start starts nats-server from PATH on a port of 127.0.0.1 and returns its address.
// It ends with the test, which fails where there is no nats-server.
func Start(t testing.TB) string {
	t.Helper()
	// Room for the packet of 1 MiB of the kit, which is more than a server's default.
	config := filepath.Join(t.TempDir(), "nats.conf")
	if err := os.WriteFile(config, []byte("max_payload: 8MB\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	log, said, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("nats-server", "--config", config, "--addr", "127.0.0.1", "--port", "-1")
	cmd.Stdout, cmd.Stderr = said, said
	server, err := process.Start(cmd)
	_ = said.Close() // the server has its own
	if err != nil {
		t.Fatalf("the package nats-server is missing: %v", err)
	}
	addr := make(chan string, 1)
	var reading sync.WaitGroup
	reading.Go(func() {
		defer close(addr)
		readAddr(log, addr)
	})
	t.Cleanup(func() {
		server.Kill()
		reading.Wait()
		_ = log.Close()
	})
	a, ok := <-addr
	if !ok {
		t.Fatal("nats-server ended before it listened")
	}
	return a
}

// readAddr passes on the address in a server's log once it serves, and reads the rest.
func readAddr(log io.Reader, addr chan<- string) {
	const listening = "Listening for client connections on "
	found := ""
	for lines := bufio.NewScanner(log); lines.Scan(); {
		if _, after, ok := strings.Cut(lines.Text(), listening); ok {
			found = after
		}
		if strings.HasSuffix(lines.Text(), "Server is ready") {
			addr <- found
		}
	}
}
