//go:build integration

package deploy

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// scriptLimit ends a script that hangs; its own waits are much shorter.
const scriptLimit = 8 * time.Minute

// script is a running script of the folder test/integration/js.
type script struct {
	in    io.WriteCloser
	lines *bufio.Scanner
}

// startScript runs a script until the test ends, with further environment variables.
// It ends with its standard input.
func startScript(t testing.TB, environment []string, name string, args ...string) *script {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), scriptLimit)
	cmd := exec.CommandContext(ctx, need(t, "node"), append([]string{filepath.Join("..", "integration", "js", name)}, args...)...)
	cmd.Env = append(cmd.Environ(), environment...)
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
	s := &script{in: in, lines: bufio.NewScanner(out)}
	t.Cleanup(func() {
		defer cancel()
		_ = in.Close()
		if err := cmd.Wait(); err != nil || complaints.Len() > 0 {
			t.Errorf("%s: %v\n%s", name, err, complaints.Bytes())
		}
	})
	return s
}

// tell sends a command.
func (s *script) tell(t testing.TB, command string) {
	t.Helper()
	if _, err := io.WriteString(s.in, command+"\n"); err != nil {
		t.Fatal(err)
	}
}

// ask sends a command and stores the answer in v.
func (s *script) ask(t testing.TB, command string, v any) {
	t.Helper()
	s.tell(t, command)
	s.next(t, v)
}

// next stores the next line that the script says in v.
func (s *script) next(t testing.TB, v any) {
	t.Helper()
	if !s.lines.Scan() {
		t.Fatalf("the script has ended: %v", s.lines.Err())
	}
	var failure struct{ Error string }
	if err := json.Unmarshal(s.lines.Bytes(), &failure); err != nil || failure.Error != "" {
		t.Fatalf("the script says %s", s.lines.Bytes())
	}
	if err := json.Unmarshal(s.lines.Bytes(), v); err != nil {
		t.Fatalf("the script says %s: %v", s.lines.Bytes(), err)
	}
}
