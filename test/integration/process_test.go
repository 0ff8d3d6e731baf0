//go:build integration

package integration

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/roomcast/roomcast/pkg/adapter/redis"
	"github.com/roomcast/roomcast/pkg/server"
)

// asNode makes the test program a node. Its value is a processOptions, as JSON.
const asNode = "ROOMCAST_TEST_AS_NODE"

// processOptions configure a node in a process of its own.
type processOptions struct {
	Redis    string // an address
	Adapter  kind
	NodeJS   bool // there are Node.js servers
	Recovers bool // clients may come back
}

// mortal are the options of nodes that get killed: their death is noticed sooner.
func mortal() server.Options {
	return server.Options{HeartbeatInterval: 500 * time.Millisecond, HeartbeatTimeout: 2 * time.Second}
}

// process is a node in a process of its own.
type process struct {
	URL, ID string

	cmd *exec.Cmd
}

// startProcess starts a node that ends with the test, unless it was killed before.
func startProcess(t testing.TB, options processOptions) *process {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	value, err := json.Marshal(options)
	if err != nil {
		t.Fatal(err)
	}
	p := &process{cmd: exec.Command(program)}
	p.cmd.Env = append(os.Environ(), asNode+"="+string(value))
	p.cmd.Stderr = os.Stderr
	in, err := p.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = in.Close()
		_ = p.cmd.Wait() // again, if it was killed
	})
	line, err := bufio.NewReader(out).ReadBytes('\n')
	if err != nil {
		t.Fatalf("the node's process says nothing: %v", err)
	}
	if err := json.Unmarshal(line, p); err != nil {
		t.Fatalf("the node's process says %q: %v", line, err)
	}
	return p
}

// kill ends the process as kill -9 does.
func (p *process) kill(t testing.TB) {
	t.Helper()
	if err := p.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = p.cmd.Wait()
}

// runNode is a process that is a node until its standard input ends, or a client tells
// it to be killed.
func runNode(value string) error {
	var p processOptions
	if err := json.Unmarshal([]byte(value), &p); err != nil {
		return err
	}
	options := mortal()
	options.Logger = errorLog(os.Stderr)
	if p.Recovers {
		options.Recovery = new(server.Recovery)
	}
	var err error
	client := goredis.NewClient(&goredis.Options{Addr: p.Redis})
	if options.Adapter, err = p.Adapter.open(client, redis.Options{NodeJS: p.NodeJS, Logger: options.Logger}); err != nil {
		return err
	}
	n, err := newNode(options)
	if err != nil {
		return err
	}
	server.On(n.Of("/"), "be killed", func(context.Context, *server.Socket, struct{}) error {
		return syscall.Kill(os.Getpid(), syscall.SIGKILL)
	})
	fmt.Printf("{\"URL\":%q,\"ID\":%q}\n", n.url, n.NodeID())
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}
