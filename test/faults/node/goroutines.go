package node

import (
	"bytes"
	"runtime/pprof"
	"strconv"
	"strings"
)

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
