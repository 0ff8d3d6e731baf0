package process

import (
	"os/exec"
	"syscall"
)

// dieWithParent has the system kill the child when its parent dies, so that a
// program that is killed leaves nothing behind. A program with children of its own may
// have chosen another signal.
func dieWithParent(cmd *exec.Cmd) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	if cmd.SysProcAttr.Pdeathsig == 0 {
		cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	}
}
