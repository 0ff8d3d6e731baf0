package main

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
)

// statusOf asks for a page.
func statusOf(t *testing.T, address, path string) int {
	t.Helper()
	response, err := http.Get("http://" + address + path)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		t.Fatal(err)
	}
	return response.StatusCode
}

func TestServe_AdminPagesAreOnTheirOwnListenerOnly(t *testing.T) {
	t.Cleanup(http.DefaultClient.CloseIdleConnections)
	s := startServe(t, "--admin-listen", "127.0.0.1:0")
	admin, _ := s.banner["admin"].(string)
	for _, path := range []string{"/livez", "/readyz", "/debug/nodes", "/debug/pprof/", "/metrics"} {
		if got := statusOf(t, admin, path); got != http.StatusOK {
			t.Errorf("%s of the admin listener: %d, want 200", path, got)
		}
		if got := statusOf(t, s.address(), path); got != http.StatusNotFound {
			t.Errorf("%s of the public listener: %d, want 404", path, got)
		}
	}
	for _, path := range []string{"/metrics", "/debug/vars", "/debug/pprof/heap", "/debug/pprof/profile"} {
		if got := statusOf(t, s.address(), path); got != http.StatusNotFound {
			t.Errorf("%s of the public listener: %d, want 404", path, got)
		}
	}
}

func TestHealth_ExitCodeSaysWhetherTheNodeTakesClients(t *testing.T) {
	s := startServe(t, "--admin-listen", "127.0.0.1:0")
	address := s.banner["admin"].(string)
	t.Setenv("ROOMCAST_ADMIN_LISTEN", address)
	ask := func() (code int, out, errOut string) {
		var o, e strings.Builder
		code = run(context.WithoutCancel(t.Context()), []string{"health"}, &o, &e)
		return code, o.String(), e.String()
	}
	if code, out, errOut := ask(); code != exitOK || !strings.Contains(out, `"ready":true`) {
		t.Errorf("code %d, %q %q; want 0 and what the node says", code, out, errOut)
	}
	t.Setenv("ROOMCAST_MAX_CONNECTIONS", "1")
	full := startServe(t, "--admin-listen", "127.0.0.1:0")
	dial(t, full.address())
	t.Setenv("ROOMCAST_ADMIN_LISTEN", full.banner["admin"].(string))
	if code, _, errOut := ask(); code != exitError || !strings.Contains(errOut, "503") {
		t.Errorf("code %d, %q; want 1 of a node that is full", code, errOut)
	}
	t.Setenv("ROOMCAST_ADMIN_LISTEN", address)
	s.stop()
	if code, _, errOut := ask(); code != exitError || errOut == "" {
		t.Errorf("code %d, %q; want 1 and a sentence without a node", code, errOut)
	}
}

func TestHealth_FindsTheListenerFromThisMachine(t *testing.T) {
	for listen, want := range map[string]string{
		":9090": "127.0.0.1:9090", "0.0.0.0:9090": "127.0.0.1:9090", "[::]:9090": "[::1]:9090",
		"127.0.0.1:9090": "127.0.0.1:9090", "10.0.0.7:9090": "10.0.0.7:9090", "node2:9090": "node2:9090",
	} {
		got, err := (&healthCommand{AdminListen: listen}).address()
		if err != nil || got != want {
			t.Errorf("%s: got %q %v, want %q", listen, got, err, want)
		}
	}
}

func TestServe_EndsWithExitCode0WhenDrainedFromItsAdminListener(t *testing.T) {
	t.Cleanup(http.DefaultClient.CloseIdleConnections)
	t.Setenv("ROOMCAST_ADMIN_TOKEN", "the test's own token")
	s := startServe(t, "--admin-listen", "127.0.0.1:0")
	act := `{"kind":"drain","node":"` + s.banner["node"].(string) + `"}`
	request, err := http.NewRequestWithContext(t.Context(), "POST", "http://"+s.banner["admin"].(string)+"/actions", strings.NewReader(act))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer the test's own token")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	s.logs.until(t, "stopped")
	s.wg.Wait()
	if response.StatusCode != http.StatusOK || s.code != exitOK {
		t.Errorf("status %d, exit code %d; want 200 and 0", response.StatusCode, s.code)
	}
}
