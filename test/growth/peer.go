package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
)

// setup says what a server is to be.
type setup struct {
	// redis is the address of the Redis of its cluster; empty: it is alone.
	redis string
	// namespaces are there besides the main one: /0, /1 and so on.
	namespaces int
}

// peer is a kind of server that is measured.
type peer struct {
	name    string
	command func(*programs, setup) *exec.Cmd
}

var (
	roomcast = peer{"roomcast", func(p *programs, s setup) *exec.Cmd { return p.roomcast(s) }}
	routed   = peer{"roomcast, InterestRouting", func(p *programs, s setup) *exec.Cmd { return p.roomcast(s, "--interest-routing") }}
	socketIO = peer{"socket.io on Node.js", (*programs).socketIO}

	both = []peer{roomcast, socketIO}
)

// programs is what is started.
type programs struct {
	folder string // of what was built
}

// build makes the server of this project.
func build(ctx context.Context) (*programs, error) {
	folder, err := os.MkdirTemp("", "roomcast-growth-")
	if err != nil {
		return nil, fmt.Errorf("growth: %w", err)
	}
	p := &programs{folder: folder}
	cmd := exec.CommandContext(ctx, "go", "build", "-o", p.server(), "./test/bench/server")
	cmd.Dir = root
	if output, err := cmd.CombinedOutput(); err != nil {
		p.remove()
		return nil, fmt.Errorf("growth: the server is not built: %w\n%s", err, output)
	}
	return p, nil
}

func (p *programs) remove() { _ = os.RemoveAll(p.folder) }

func (p *programs) server() string { return filepath.Join(p.folder, "server") }

// roomcast has memory given back soon, as a pass does not wait for long.
func (p *programs) roomcast(s setup, args ...string) *exec.Cmd {
	args = append(args, "--listen", "127.0.0.1:0", "--release-after", "1s", "--namespaces", strconv.Itoa(s.namespaces))
	if s.redis != "" {
		args = append(args, "--adapter", "pubsub", "--redis", "redis://"+s.redis)
	}
	return exec.Command(p.server(), args...)
}

func (p *programs) socketIO(s setup) *exec.Cmd {
	given := map[string]any{"namespaces": s.namespaces}
	if s.redis != "" {
		given["redis"] = "redis://" + s.redis
	}
	argument, _ := json.Marshal(given) // texts and numbers
	cmd := exec.Command("node", "bench.mjs", string(argument))
	cmd.Dir = scripts
	return cmd
}

// scripts is where the packages of Node.js are installed.
var scripts = filepath.Join(root, "test", "integration", "js")

// machine says what the figures were measured on.
func (p *programs) machine(ctx context.Context) (string, error) {
	said := func(program string, args ...string) (string, error) {
		output, err := exec.CommandContext(ctx, program, args...).Output()
		if err != nil {
			return "", fmt.Errorf("growth: %s: %w", program, err)
		}
		return strings.TrimSpace(string(output)), nil
	}
	node, err := said("node", "--version")
	if err != nil {
		return "", err
	}
	redis, err := said("redis-server", "--version")
	if err != nil {
		return "", err
	}
	_, redis, _ = strings.Cut(redis, "v=")
	redis, _, _ = strings.Cut(redis, " ")
	text := fmt.Sprintf("%d processors (%s/%s), %s, Node.js %s", runtime.NumCPU(), runtime.GOOS, runtime.GOARCH,
		strings.Replace(runtime.Version(), "go", "Go ", 1), strings.TrimPrefix(node, "v"))
	for _, name := range []string{"socket.io", "@socket.io/redis-adapter"} {
		version, err := installed(name)
		if err != nil {
			return "", err
		}
		text += ", " + name + " " + version
	}
	return text + ", Redis " + redis, nil
}

// installed returns the version of a package of Node.js.
func installed(name string) (string, error) {
	text, err := os.ReadFile(filepath.Join(scripts, "node_modules", filepath.FromSlash(name), "package.json"))
	if err != nil {
		return "", fmt.Errorf("growth: make growth installs what Node.js needs: %w", err)
	}
	var about struct {
		Version string `json:"version"`
	}
	if err := json.Unmarshal(text, &about); err != nil {
		return "", fmt.Errorf("growth: %s: %w", name, err)
	}
	return about.Version, nil
}
