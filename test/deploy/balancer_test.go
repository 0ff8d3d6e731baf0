//go:build integration

package deploy

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/roomcast/roomcast/internal/testutil/certificate"
	"github.com/roomcast/roomcast/internal/testutil/process"
)

// backend is where a node is, as a balancer's configuration names it.
type backend struct{ port, adminPort int }

func backendsOf(nodes []*node) (backends []backend) {
	for _, n := range nodes {
		backends = append(backends, backend{n.port, n.adminPort})
	}
	return backends
}

// balancer is a load balancer as the documents configure it.
type balancer struct {
	name  string
	start func(t testing.TB, backends []backend, pair *certificate.Pair) (url string)
}

var balancers = []balancer{
	{"nginx", startNginx},
	{"haproxy", startHAProxy},
}

// shipped reads a file of the folder deploy.
func shipped(t testing.TB, path ...string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(append([]string{"..", "..", "deploy"}, path...)...))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// replace is strings.ReplaceAll for a text that must be there.
func replace(t testing.TB, text, before, after string) string {
	t.Helper()
	if !strings.Contains(text, before) {
		t.Fatalf("the configuration has no %q:\n%s", before, text)
	}
	return strings.ReplaceAll(text, before, after)
}

// startNginx starts nginx with roomcast.conf before the nodes, over TLS with pair. It
// ends with the test.
func startNginx(t testing.TB, backends []backend, pair *certificate.Pair) string {
	t.Helper()
	port := freePort(t)
	site := shipped(t, "nginx", "roomcast.conf")
	scheme := "http"
	if pair != nil {
		scheme = "https"
		site = replace(t, site, "    listen 3000;\n", shipped(t, "nginx", "tls.conf"))
		site = replace(t, site, "listen 443", "listen "+addressOf(port))
		site = replace(t, site, "/etc/nginx/roomcast.crt", pair.File)
		site = replace(t, site, "/etc/nginx/roomcast.key", pair.KeyFile)
	} else {
		site = replace(t, site, "listen 3000", "listen "+addressOf(port))
	}
	for i, b := range backends {
		site = replace(t, site, fmt.Sprintf("node%d:3000", i+1), addressOf(b.port))
	}
	main := shipped(t, "nginx", "nginx.conf")
	dir := t.TempDir()
	main = replace(t, main, "http {\n", "http {\n"+temporary(dir))
	write(t, filepath.Join(dir, "conf.d", "roomcast.conf"), site)
	config := filepath.Join(dir, "nginx.conf")
	write(t, config, main)
	launch(t, exec.Command(need(t, "nginx"), "-p", dir, "-c", config, "-e", "stderr",
		"-g", "daemon off; pid "+filepath.Join(dir, "nginx.pid")+"; error_log stderr warn;"), port)
	return scheme + "://" + addressOf(port)
}

// temporary has nginx keep its temporary files in dir.
func temporary(dir string) (directives string) {
	for _, kind := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		directives += fmt.Sprintf("    %s_temp_path %s;\n", kind, filepath.Join(dir, kind))
	}
	return directives
}

// checkOf is what a line of haproxy.cfg that has a node checked says of it.
func checkOf(number int) *regexp.Regexp {
	return regexp.MustCompile(fmt.Sprintf(`(server [a-z]+%d \S+) check port 9090`, number))
}

// startHAProxy starts HAProxy with haproxy.cfg before the nodes, over TLS with pair.
// It ends with the test.
func startHAProxy(t testing.TB, backends []backend, pair *certificate.Pair) string {
	t.Helper()
	port := freePort(t)
	config := shipped(t, "haproxy", "haproxy.cfg")
	dir := t.TempDir()
	scheme := "http"
	if pair != nil {
		scheme = "https"
		config = replace(t, config, "    bind :3001\n", shipped(t, "haproxy", "tls.cfg"))
		config = replace(t, config, "bind :443", "bind "+addressOf(port))
		pem := filepath.Join(dir, "roomcast.pem")
		write(t, pem, read(t, pair.File)+read(t, pair.KeyFile))
		config = replace(t, config, "/etc/haproxy/roomcast.pem", pem)
	} else {
		config = replace(t, config, "bind :3001", "bind "+addressOf(port))
	}
	for i, b := range backends {
		config = replace(t, config, fmt.Sprintf(" node%d:3000", i+1), " "+addressOf(b.port))
		config = checkOf(i+1).ReplaceAllString(config, fmt.Sprintf("$1 check port %d", b.adminPort))
	}
	path := filepath.Join(dir, "haproxy.cfg")
	write(t, path, config)
	launch(t, exec.Command(need(t, "haproxy"), "-db", "-f", path), port)
	return scheme + "://" + addressOf(port)
}

// launch starts a balancer and returns when it listens. It ends with the test, and
// must not have complained.
func launch(t testing.TB, cmd *exec.Cmd, port int) {
	t.Helper()
	var complaints bytes.Buffer
	cmd.Stdout, cmd.Stderr = &complaints, &complaints
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM} // nginx ends its workers then
	p, err := process.Start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.Signal(syscall.SIGTERM)
		select {
		case <-p.Ended():
		case <-time.After(patience):
			t.Errorf("%s does not end", cmd.Path)
		}
		p.Kill()
		if text := complaints.String(); strings.Contains(text, "[emerg]") || strings.Contains(text, "[ALERT]") {
			t.Errorf("%s says:\n%s", cmd.Path, text)
		}
	})
	eventually(t, cmd.Path+" to listen", func() bool {
		c, err := net.DialTimeout("tcp", addressOf(port), time.Second)
		if err != nil {
			return false
		}
		return c.Close() == nil
	})
}

func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func read(t testing.TB, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
