package main

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// processorTime is the user's and the system's time that a process has used, of all its
// threads, to the nanosecond: /proc tells it in steps of 10 ms.
func processorTime(pid int) (time.Duration, error) {
	// What clock_getcpuclockid(3) returns: the process' scheduler clock.
	clock := int32(^pid<<3 | 2)
	var at unix.Timespec
	if err := unix.ClockGettime(clock, &at); err != nil {
		return 0, fmt.Errorf("growth: the processor time of process %d: %w", pid, err)
	}
	return time.Duration(at.Nano()), nil
}

// residentMemory is a process' share of the machine's memory, in bytes.
func residentMemory(pid int) (int64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return 0, fmt.Errorf("growth: %w", err)
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, "Pss:"); ok {
			kilobytes, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
			return kilobytes << 10, err
		}
	}
	return 0, errors.New("growth: the memory of a process is not told")
}
