package process_test

import (
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/roomcast/roomcast/internal/testutil/process"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func start(t *testing.T, name string, args ...string) *process.Process {
	t.Helper()
	p, err := process.Start(exec.Command(name, args...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Kill)
	return p
}

func awaitEnd(t *testing.T, p *process.Process) {
	t.Helper()
	select {
	case <-p.Ended():
	case <-time.After(10 * time.Second):
		t.Fatal("the process does not end")
	}
}

func TestProcess_HasGoneWhenKillReturns(t *testing.T) {
	p := start(t, "sleep", "60")
	if err := p.Err(); err != nil {
		t.Errorf("while it runs: %v", err)
	}
	p.Kill()
	if err := syscall.Kill(p.PID(), 0); err != syscall.ESRCH {
		t.Errorf("signalling it: got %v, want that there is no such process", err)
	}
	if p.Err() == nil {
		t.Error("a killed process has no error")
	}
	p.Kill() // again does no harm
}

func TestProcess_ErrTellsTheLastOfItsOutput(t *testing.T) {
	p := start(t, "sh", "-c", "head -c 100000 /dev/zero; echo because; exit 3")
	awaitEnd(t, p)
	err := p.Err()
	if err == nil || !strings.Contains(err.Error(), "exit status 3") || !strings.HasSuffix(err.Error(), "because\n") {
		t.Errorf("got %.100v", err)
	}
	if err != nil && len(err.Error()) > 5000 {
		t.Errorf("the error has %d bytes", len(err.Error()))
	}
}

func TestProcess_EndsBySignal(t *testing.T) {
	p := start(t, "sh", "-c", `trap 'exit 0' TERM; echo; while :; do sleep 0.01; done`)
	pause := time.NewTicker(20 * time.Millisecond) // the shell may not have set its trap yet
	defer pause.Stop()
	<-pause.C
	p.Signal(syscall.SIGTERM)
	awaitEnd(t, p)
}

func TestStart_FailsForWhatIsNoProgram(t *testing.T) {
	if _, err := process.Start(exec.Command("/no/such/program")); err == nil {
		t.Error("started")
	}
}

// A parent that is killed cannot end its child; the system does.
func TestProcess_DoesNotOutliveItsParent(t *testing.T) {
	if testing.Short() {
		t.Skip("starts the test binary again")
	}
	parent, child := startFamily(t)
	_ = syscall.Kill(parent.PID(), syscall.SIGKILL)
	awaitEnd(t, parent)
	deadline := time.Now().Add(10 * time.Second)
	pause := time.NewTicker(5 * time.Millisecond)
	defer pause.Stop()
	for running(child) {
		if time.Now().After(deadline) {
			_ = syscall.Kill(child, syscall.SIGKILL)
			t.Fatal("the child lives on")
		}
		<-pause.C
	}
}
