package main

import (
	"context"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// processLimit bounds what a process does in a test, whatever hangs.
const processLimit = time.Minute

// runProcess runs this program in a process of its own, which serves when it returns.
func runProcess(t *testing.T, args ...string) (cmd *exec.Cmd, logs *logs, banner map[string]any) {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), processLimit)
	logs = newLogs()
	cmd = exec.CommandContext(ctx, program, append([]string{"serve", "--listen", "127.0.0.1:0"}, args...)...)
	cmd.Env = append(os.Environ(), asProgram+"=1")
	cmd.Stderr = logs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // of what a test that failed has left
		cancel()
		_ = cmd.Wait()
	})
	return cmd, logs, logs.until(t, "serving")
}

func tellToStop(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
}

func TestServe_DrainsOnSIGTERMAndEndsWithExitCode0(t *testing.T) {
	const window = 2 * time.Second
	cmd, logs, banner := runProcess(t, "--drain", window.String(), "--admin-listen", "127.0.0.1:0")
	address := banner["address"].(string)
	dial(t, address) // never reads, and so never answers the close: it must not hold it up
	var reading sync.WaitGroup
	for range 10 {
		c := dial(t, address)
		reading.Go(func() {
			for _, packet := range c.ExpectClose() {
				if strings.HasPrefix(packet, "41") {
					t.Errorf("a client was told %q, after which it stays away", packet)
				}
			}
		})
	}
	told := time.Now()
	tellToStop(t, cmd)
	if err := cmd.Wait(); err != nil {
		t.Errorf("the program ended with %v, want exit code 0", err)
	}
	if took := time.Since(told); took > window+5*time.Second {
		t.Errorf("the program took %v to stop, want %v at most", took, window+5*time.Second)
	}
	reading.Wait()
	logs.until(t, "server drains")
	logs.until(t, "stopped")
}

// Its window is long: whatever the machine does meanwhile, the node still drains when it is asked.
func TestServe_DrainRefusesClientsUntilASecondSignalEndsItAtOnce(t *testing.T) {
	cmd, logs, banner := runProcess(t, "--drain", "1h", "--admin-listen", "127.0.0.1:0")
	address := banner["address"].(string)
	dial(t, address)
	tellToStop(t, cmd)
	logs.until(t, "server drains")
	for _, url := range []string{
		"http://" + address + "/socket.io/?EIO=4&transport=polling", "http://" + banner["admin"].(string) + "/readyz",
	} {
		response, err := http.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		if response.StatusCode != http.StatusServiceUnavailable {
			t.Errorf("%s is answered with %s while the node drains, want 503", url, response.Status)
		}
	}
	http.DefaultClient.CloseIdleConnections()
	tellToStop(t, cmd)
	told := time.Now()
	if err := cmd.Wait(); err == nil {
		t.Error("it ended with exit code 0, as if all clients had been let go")
	}
	if took := time.Since(told); took > 10*time.Second {
		t.Errorf("it took %v", took)
	}
}
