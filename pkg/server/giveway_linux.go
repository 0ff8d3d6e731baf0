package server

import "syscall"

// giveWay lets other threads that wait for this processor go first: this process's, and those of
// other processes that the system schedules with it, as in one container.
func giveWay() {
	_, _, _ = syscall.Syscall(syscall.SYS_SCHED_YIELD, 0, 0, 0)
}
