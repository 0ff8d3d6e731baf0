package adaptertest

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"
)

// recorder is a testing.TB that notes how a check ends instead of failing the test.
type recorder struct {
	testing.TB
	ctx    context.Context
	cancel context.CancelFunc

	mu       sync.Mutex
	cleanups []func()
	log      []string
	failed   bool
	skipped  bool
	ended    bool // what a late goroutine says counts no more
}

func newRecorder(t testing.TB) *recorder {
	r := &recorder{TB: t}
	r.ctx, r.cancel = context.WithCancel(t.Context())
	return r
}

// run runs f and then the cleanups, as a test does.
func (r *recorder) run(f func()) {
	r.apart(f)
	r.cancel()
	for {
		r.mu.Lock()
		n := len(r.cleanups)
		r.ended = n == 0
		if n == 0 {
			r.mu.Unlock()
			return
		}
		cleanup := r.cleanups[n-1]
		r.cleanups = r.cleanups[:n-1]
		r.mu.Unlock()
		r.apart(cleanup)
	}
}

// apart runs f on a goroutine of its own, which FailNow and SkipNow may end.
func (r *recorder) apart(f func()) {
	var wg sync.WaitGroup
	wg.Go(f)
	wg.Wait()
}

func (r *recorder) note(mark *bool, text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.ended {
		r.log = append(r.log, text)
		if mark != nil {
			*mark = true
		}
	}
}

func (r *recorder) Context() context.Context { return r.ctx }

func (r *recorder) Cleanup(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cleanups = append(r.cleanups, f)
}

func (r *recorder) Failed() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.failed
}

func (r *recorder) Skipped() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.skipped
}

func (r *recorder) lines() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.log)
}

func (r *recorder) Log(args ...any)                 { r.note(nil, fmt.Sprint(args...)) }
func (r *recorder) Logf(format string, args ...any) { r.note(nil, fmt.Sprintf(format, args...)) }
func (r *recorder) Fail()                           { r.note(&r.failed, "failed") }
func (r *recorder) Error(args ...any)               { r.note(&r.failed, fmt.Sprint(args...)) }
func (r *recorder) Errorf(format string, args ...any) {
	r.note(&r.failed, fmt.Sprintf(format, args...))
}
func (r *recorder) FailNow()          { r.Fail(); runtime.Goexit() }
func (r *recorder) Fatal(args ...any) { r.Error(args...); runtime.Goexit() }
func (r *recorder) Fatalf(format string, args ...any) {
	r.Errorf(format, args...)
	runtime.Goexit()
}
func (r *recorder) SkipNow()         { r.Skip() }
func (r *recorder) Skip(args ...any) { r.note(&r.skipped, fmt.Sprint(args...)); runtime.Goexit() }
func (r *recorder) Skipf(format string, args ...any) {
	r.Skip(fmt.Sprintf(format, args...))
}
