package process

import (
	"os/exec"
	"syscall"
)

// dieWithParent has the system kill the child when its parent dies, so that a
// program that is killed leaves nothing behind.
func dieWithParent(cmd *exec.Cmd) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
}
