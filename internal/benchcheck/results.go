package main

import (
	"bufio"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// results are the allocations per operation of each benchmark, one for each of its runs.
type results map[string][]int64

// readResults reads what go test has printed; lines that say nothing of allocations are
// left out.
func readResults(in io.Reader) (results, error) {
	all, pkg := make(results), ""
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		line := lines.Text()
		if name, ok := strings.CutPrefix(line, "pkg: "); ok {
			pkg = name
			continue
		}
		fields := strings.Fields(line)
		at := slices.Index(fields, "allocs/op")
		if at < 1 || !strings.HasPrefix(line, "Benchmark") {
			continue
		}
		count, err := strconv.ParseInt(fields[at-1], 10, 64)
		if err != nil {
			return nil, fmt.Errorf("%q: %w", line, err)
		}
		name := pkg + " " + withoutProcessors(fields[0])
		all[name] = append(all[name], count)
	}
	return all, lines.Err()
}

// withoutProcessors removes the number of processors, which go test appends to a name.
func withoutProcessors(name string) string {
	cut := strings.LastIndexByte(name, '-')
	if cut < 0 {
		return name
	}
	if _, err := strconv.Atoi(name[cut+1:]); err != nil {
		return name
	}
	return name[:cut]
}

// tolerated is how many percent more allocations are no regression: what is written or read
// in batches depends on the machine. One more in twenty is one.
const tolerated = 4

// regressions returns a line for each benchmark whose every new run allocates more often
// than any run of the baseline, and how many benchmarks both sides have.
func regressions(baseline, fresh results) (lines []string, compared int) {
	for name, before := range baseline {
		now := fresh[name]
		if len(now) == 0 {
			continue
		}
		compared++
		if most, least := slices.Max(before), slices.Min(now); least*100 > most*(100+tolerated) {
			lines = append(lines, fmt.Sprintf("%s: %d allocations, at most %d before", name, least, most))
		}
	}
	slices.Sort(lines)
	return lines, compared
}
