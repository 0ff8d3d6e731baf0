// Package process runs programs for tests and benches. What it starts is ended by
// its own id, and does not outlive who started it, whatever becomes of that.
package process

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"sync"
)

// Process is a running program. It is safe for concurrent use.
type Process struct {
	cmd    *exec.Cmd
	run    sync.WaitGroup
	output tail
	ended  chan struct{}
	err    error // how it ended; set before ended is closed
}

// Start starts cmd. Where the system can, the program is killed when this one
// dies. Its output is cmd's, or when that is not set kept for Err, the end of it.
func Start(cmd *exec.Cmd) (*Process, error) {
	p := &Process{cmd: cmd, ended: make(chan struct{})}
	if cmd.Stdout == nil {
		cmd.Stdout = &p.output
	}
	if cmd.Stderr == nil {
		cmd.Stderr = &p.output
	}
	dieWithParent(cmd)
	started := make(chan error)
	p.run.Go(func() {
		// To the system the parent is the thread that started the child, so this
		// thread lives as long as the child does.
		runtime.LockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			p.err = cmd.Wait()
			close(p.ended)
		}
	})
	if err := <-started; err != nil {
		p.run.Wait()
		return nil, fmt.Errorf("process: %w", err)
	}
	return p, nil
}

// PID returns the process' id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Ended is closed when the process has ended.
func (p *Process) Ended() <-chan struct{} { return p.ended }

// Err says how the process ended, with the last of its output; nil while it runs
// and when it ended with status 0.
func (p *Process) Err() error {
	select {
	case <-p.ended:
	default:
		return nil
	}
	if p.err == nil {
		return nil
	}
	return fmt.Errorf("process: %s: %w\n%s", p.cmd.Path, p.err, p.output.String())
}

// Signal sends a signal to the process; one that has ended gets none.
func (p *Process) Signal(s os.Signal) { _ = p.cmd.Process.Signal(s) }

// Kill ends the process as a crash does, with SIGKILL, and returns when it has
// gone.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill()
	p.run.Wait()
}
