package main

import (
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const baseline = `goos: linux
pkg: example.com/a
BenchmarkOne-2      	 100	 36 ns/op	 48 B/op	 1 allocs/op
BenchmarkOne-2      	 100	 36 ns/op	 48 B/op	 2 allocs/op
BenchmarkMany/x-2   	 100	 36 ns/op	 9 ns/delivery	 48 B/op	 100 allocs/op
BenchmarkNone-2     	 100	 36 ns/op	 0 B/op	 0 allocs/op
BenchmarkTime-2     	 100	 36 ns/op
--- BENCH: BenchmarkTime-2
pkg: example.com/b
BenchmarkOne-2      	 100	 36 ns/op	 48 B/op	 1 allocs/op
`

func TestRegressions_AreWhatEveryRunHasMoreOf(t *testing.T) {
	for name, c := range map[string]struct {
		old, new string
		want     []string
	}{
		"nothing":                  {"", "", nil},
		"other processors":         {"BenchmarkOne-2", "BenchmarkOne-16", nil},
		"as many as the worst run": {"48 B/op	 1 allocs/op\nBenchmarkMany", "48 B/op	 3 allocs/op\nBenchmarkMany", nil},
		"slower and larger":        {"36 ns/op	 48 B/op", "99 ns/op	 999 B/op", nil},
		"a few in a hundred":       {" 100 allocs/op", " 104 allocs/op", nil},
		"more in a hundred":        {" 100 allocs/op", " 105 allocs/op", []string{"example.com/a BenchmarkMany/x: 105 allocations, at most 100 before"}},
		"one instead of none":      {" 0 allocs/op", " 1 allocs/op", []string{"example.com/a BenchmarkNone: 1 allocations, at most 0 before"}},
		"in its package":           {"b\nBenchmarkOne-2      	 100	 36 ns/op	 48 B/op	 1 ", "b\nBenchmarkOne-2      	 100	 36 ns/op	 48 B/op	 2 ", []string{"example.com/b BenchmarkOne: 2 allocations, at most 1 before"}},
	} {
		before, err := readResults(strings.NewReader(baseline))
		if err != nil {
			t.Fatal(err)
		}
		now, err := readResults(strings.NewReader(strings.Replace(baseline, c.old, c.new, 1)))
		if err != nil {
			t.Fatal(err)
		}
		if got, compared := regressions(before, now); !slices.Equal(got, c.want) || compared != 4 {
			t.Errorf("%s: got %q of %d, want %q of 4", name, got, compared, c.want)
		}
	}
}

func TestCheck_FailsWhenNothingWasCompared(t *testing.T) {
	full, empty := filepath.Join(t.TempDir(), "full"), filepath.Join(t.TempDir(), "empty")
	for name, text := range map[string]string{full: baseline, empty: "PASS\n"} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := check(io.Discard, []string{full, full}); err != nil {
		t.Error(err)
	}
	for _, files := range [][]string{nil, {full}, {full, empty}, {empty, full}, {full, full + "er"}} {
		if err := check(io.Discard, files); err == nil {
			t.Errorf("%q: got no error", files)
		}
	}
}
