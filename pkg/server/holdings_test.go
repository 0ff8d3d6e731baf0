package server_test

import (
	"os"
	"runtime"
	"runtime/metrics"
	"strings"
	gosync "sync"
	"testing"
	"time"
)

// heap returns the bytes that are in use after a collection.
func heap() int64 {
	runtime.GC()
	runtime.GC() // empties the pools' second generation
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}

// grows runs f and fails if more than limit bytes stay in use at its end.
func grows(t *testing.T, limit int64, f func()) {
	t.Helper()
	before := heap()
	f()
	if grown := heap() - before; grown > limit {
		t.Errorf("memory grew by %d KiB, want at most %d KiB", grown>>10, limit>>10)
	} else {
		t.Logf("memory grew by %d KiB of at most %d KiB", grown>>10, limit>>10)
	}
}

// peaks returns by how much the heap, garbage included, grew at most while f ran.
func peaks(f func()) int64 {
	size := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	before, stop := heap(), make(chan struct{})
	var most int64
	var sampling gosync.WaitGroup
	sampling.Go(func() {
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for {
			metrics.Read(size)
			most = max(most, int64(size[0].Value.Uint64())-before)
			select {
			case <-tick.C:
			case <-stop:
				return
			}
		}
	})
	f()
	close(stop)
	sampling.Wait()
	return most
}

// descriptors counts the open files of this process but two: the runtime's poller, and the
// one of a server, which stays from the first client on that was idle and belongs to none.
func descriptors(t *testing.T) int {
	t.Helper()
	files, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip("open files cannot be counted here")
	}
	pollers := 0
	for _, file := range files {
		if name, _ := os.Readlink("/proc/self/fd/" + file.Name()); name == "anon_inode:[eventpoll]" {
			pollers++
		}
	}
	return len(files) - min(pollers, 2)
}

// givesBack runs f and fails unless goroutines, open files and sessions are as
// many as before within 5 s.
func givesBack(t *testing.T, v *victim, f func()) {
	t.Helper()
	v.bystander.check(t)
	before := v.holdings(t)
	f()
	begin, after := time.Now(), holdings{}
	for deadline := begin.Add(5 * time.Second); ; {
		if after = v.holdings(t); after.within(before) {
			t.Logf("everything was given back after %v", time.Since(begin))
			return
		}
		if time.Now().After(deadline) {
			stacks := make([]byte, 64<<10)
			t.Fatalf("5 s later there are %+v, before there were %+v\n%s", after, before, stacks[:runtime.Stack(stacks, true)])
		}
		<-time.After(10 * time.Millisecond)
	}
}

// holdings are what a client makes a process hold.
type holdings struct {
	files, goroutines int
	sessions          int64
}

func (h holdings) within(limit holdings) bool {
	return h.files <= limit.files && h.goroutines <= limit.goroutines && h.sessions <= limit.sessions
}

func (v *victim) holdings(t *testing.T) holdings {
	t.Helper()
	return holdings{descriptors(t), goroutines(), v.sessions()}
}

// goroutines counts the goroutines but those that a server keeps for the next
// handler, which are bounded and belong to no client, and the one of its poller.
func goroutines() (n int) {
	stacks := make([]byte, 1<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	pollers := 0
	for stack := range strings.SplitSeq(string(stacks), "\n\n") {
		if !strings.Contains(stack, "server.(*tasks).next(") {
			n++
		}
		if strings.Contains(stack, "engine.(*parking).run(") {
			pollers++
		}
	}
	return n - min(pollers, 1)
}

func (v *victim) sessions() int64 {
	sessions := v.server.Stats().Sessions
	return sessions["polling"] + sessions["websocket"]
}
