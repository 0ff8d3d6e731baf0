//go:build integration

// Package deploy proves what is shipped for operators: real load balancers with the
// files of deploy/, docker-compose.yml with the images that are there, and that the
// documents show what was tested.
package deploy

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// patience bounds every wait; a test that needs it has failed. A thousand clients
// wait at the same time for a machine that is busy with other things.
const patience = time.Minute

// program is the path of cmd/node, built for these tests.
var program string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "roomcast-deploy-")
	if err != nil {
		fail(err)
	}
	program = filepath.Join(dir, "node")
	build := exec.Command("go", "build", "-o", program, "github.com/roomcast/roomcast/cmd/node")
	if out, err := build.CombinedOutput(); err != nil {
		fail(fmt.Errorf("build: %w\n%s", err, out))
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		_ = os.RemoveAll(dir)
		os.Exit(code)
	}))
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// need returns the path of the first of these programs that is installed.
func need(t testing.TB, names ...string) string {
	t.Helper()
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Fatalf("this test needs %v: install it, or run make test as root on Debian, which does", names)
	return ""
}

// eventually waits until condition holds, which is looked at often.
func eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	for !condition() {
		if time.Now().After(deadline) {
			t.Fatalf("waited %v for %s", patience, what)
		}
		<-look.C
	}
}
