//go:build integration

// Package browser drives the demo's page in a real browser.
package browser

import (
	"context"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// browsers are the programs that will do, by name.
var browsers = []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable"}

func TestDemo_InABrowser(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	program := filepath.Join(t.TempDir(), "node")
	build := exec.CommandContext(ctx, "go", "build", "-o", program, "github.com/roomcast/roomcast/cmd/node")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	pictures := t.ArtifactDir()
	script := exec.CommandContext(ctx, need(t, "node"), filepath.Join("..", "js", "browser.mjs"), need(t, browsers...), program, pictures)
	out, err := script.CombinedOutput()
	t.Logf("pictures in %s\n%s", pictures, out)
	if err != nil {
		t.Fatalf("the page does not do what it should: %v", err)
	}
}

// need returns the path of the first of these programs that is installed.
func need(t *testing.T, names ...string) string {
	t.Helper()
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Fatalf("this test needs %v: install it, or run make test as root on Debian, which does", names)
	return ""
}
