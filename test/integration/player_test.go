//go:build integration

package integration

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// scriptLimit ends a script that hangs; its own waits are much shorter.
const scriptLimit = 8 * time.Minute

// script is a running Node.js process.
type script struct {
	in     io.WriteCloser
	lines  *bufio.Scanner
	cmd    *exec.Cmd
	killed bool
}

// startScript runs a script of the folder js until the test ends. It ends with
// its standard input.
func startScript(t testing.TB, name string, args ...string) *script {
	t.Helper()
	program, err := exec.LookPath("node")
	if err != nil {
		t.Fatal("this test needs Node.js: install it, or run make test as root on Debian, which does")
	}
	for _, module := range []string{"socket.io-client", "socket.io", "socket.io-msgpack-parser", "redis", filepath.Join("@socket.io", "redis-emitter"), filepath.Join("@socket.io", "redis-streams-adapter")} {
		if _, err := os.Stat(filepath.Join("js", "node_modules", module)); err != nil {
			t.Fatalf("the JavaScript package %s is missing: make test installs it", module)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), scriptLimit)
	cmd := exec.CommandContext(ctx, program, append([]string{filepath.Join("js", name)}, args...)...)
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s := &script{in: in, lines: bufio.NewScanner(out), cmd: cmd}
	s.lines.Buffer(nil, 1<<20)
	t.Cleanup(func() {
		defer cancel()
		_ = in.Close()
		if err := cmd.Wait(); !s.killed && (err != nil || complaints.Len() > 0) {
			t.Errorf("%s: %v\n%s", name, err, complaints.Bytes())
		}
	})
	return s
}

// suspend stops the script's process where it is. It must be killed afterwards.
func (s *script) suspend(t testing.TB) {
	t.Helper()
	if err := s.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	s.killed = true // what it says from now on is no complaint
	t.Cleanup(func() { _ = s.cmd.Process.Kill() })
}

// kill ends the script's process as kill -9 does.
func (s *script) kill(t testing.TB) {
	t.Helper()
	s.killed = true
	if err := s.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
}

// next reads the script's next line, a JSON object, into v.
func (s *script) next(t testing.TB, v any) {
	t.Helper()
	if !s.lines.Scan() {
		t.Fatalf("the script has ended: %v", s.lines.Err())
	}
	if err := json.Unmarshal(s.lines.Bytes(), v); err != nil {
		t.Fatalf("the script said %q: %v", s.lines.Bytes(), err)
	}
}

// player is a script that plays stories with the official client.
type player struct{ *script }

func startPlayer(t testing.TB) player {
	t.Helper()
	return player{startScript(t, "player.mjs")}
}

// scene is a story, and what it needs.
type scene struct {
	Story     string   `json:"story"`
	Transport string   `json:"transport"`
	Nodes     []string `json:"nodes"`
	Askers    []int    `json:"askers,omitempty"` // the nodes that ask, by index; none means all
	Parser    string   `json:"parser,omitempty"`
	Redis     string   `json:"redis,omitempty"`
	Adapter   kind     `json:"adapter,omitempty"`
	Clients   int      `json:"clients,omitempty"`
	Events    int      `json:"events,omitempty"`
}

// play plays one story to its end and stores its result in result, unless nil.
func (p player) play(t testing.TB, result any, s scene) {
	t.Helper()
	line, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.in.Write(append(line, '\n')); err != nil {
		t.Fatal(err)
	}
	var end struct {
		Story, Error string
		Result       json.RawMessage
	}
	p.next(t, &end)
	if end.Error != "" {
		t.Fatalf("%s over %s: %s", s.Story, s.Transport, end.Error)
	}
	if result == nil {
		return
	}
	if err := json.Unmarshal(end.Result, result); err != nil {
		t.Fatalf("result %s: %v", end.Result, err)
	}
}
