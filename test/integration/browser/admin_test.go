//go:build integration

package browser

import (
	"context"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/roomcast/roomcast/internal/testutil/redisserver"
)

func TestClusterPage_InABrowser(t *testing.T) { look(t, "admin.mjs") }

func TestOfficialAdminUI_ShowsACluster(t *testing.T) { look(t, "adminui.mjs") }

// look runs a script that looks at a cluster of the built program on a Redis of its own.
func look(t *testing.T, script string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	program := filepath.Join(t.TempDir(), "node")
	build := exec.CommandContext(ctx, "go", "build", "-o", program, "github.com/roomcast/roomcast/cmd/node")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	pictures := t.ArtifactDir()
	redis := "redis://" + redisserver.Start(t).Addr()
	run := exec.CommandContext(ctx, need(t, "node"), filepath.Join("..", "js", script), need(t, browsers...), program, pictures, redis)
	out, err := run.CombinedOutput()
	t.Logf("pictures in %s\n%s", pictures, out)
	if err != nil {
		t.Fatalf("the page does not do what it should: %v", err)
	}
}
