package server

import "syscall"

// giveWay asks the system to let other threads that wait for this processor go first: this
// process's, and those of other processes that it schedules together with it, as in one container.
func giveWay() {
	_, _, _ = syscall.Syscall(syscall.SYS_SCHED_YIELD, 0, 0, 0)
}
