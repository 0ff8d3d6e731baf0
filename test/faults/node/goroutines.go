package node

import (
	"bytes"
	"fmt"
	"runtime/pprof"
	"strconv"
	"strings"
	"time"
)

// goroutineLimit is how long those that are ending may take for that.
const goroutineLimit = time.Second

// idleWorker is where a goroutine stands that the server keeps for the next
// handler, up to a number of them.
const idleWorker = "server.(*tasks).next"

// busyGoroutines counts those that are there for something: idle workers are not.
func busyGoroutines() int {
	var profile bytes.Buffer
	_ = pprof.Lookup("goroutine").WriteTo(&profile, 1) // a buffer takes everything
	busy := 0
	for group := range strings.SplitSeq(profile.String(), "\n\n") {
		count := 0
		for line := range strings.Lines(group) {
			if before, _, ok := strings.Cut(line, " @ "); ok {
				count, _ = strconv.Atoi(before)
			}
		}
		if !strings.Contains(group, idleWorker) {
			busy += count
		}
	}
	return busy
}

// awaitGoroutines returns when no more than before are left, or says which are.
func awaitGoroutines(before int) error {
	tick := time.NewTicker(goroutineLimit / 100)
	defer tick.Stop()
	for deadline := time.Now().Add(goroutineLimit); busyGoroutines() > before; <-tick.C {
		if time.Now().After(deadline) {
			var left bytes.Buffer
			_ = pprof.Lookup("goroutine").WriteTo(&left, 1) // a buffer takes everything
			return fmt.Errorf("node: more goroutines than the %d at the start: %s", before, &left)
		}
	}
	return nil
}
