package main

import (
	"bufio"
	"fmt"
	"slices"
	"strings"
)

// event is one line of `go test -json`, as `go doc test2json` describes it.
type event struct {
	Action  string
	Package string
	Test    string
	Output  string
	Elapsed float64
}

// subject is what an event is about: a test, or a package when Test is empty.
type subject struct {
	pkg, test string
}

// report adds events up.
type report struct {
	out                     *bufio.Writer
	output                  map[subject]*strings.Builder
	passed, failed, skipped int
	testsOf, failuresOf     map[string]int
	skips                   []string
	brokenPackages          []string
}

func newReport(out *bufio.Writer) *report {
	return &report{
		out:        out,
		output:     map[subject]*strings.Builder{},
		testsOf:    map[string]int{},
		failuresOf: map[string]int{},
	}
}

// add takes one event.
func (r *report) add(e event) {
	at := subject{e.Package, e.Test}
	switch e.Action {
	case "output":
		r.keep(at, e.Output)
	case "build-output":
		fmt.Fprint(r.out, e.Output)
	case "pass", "fail", "skip":
		if e.Test == "" {
			r.endPackage(at, e)
		} else {
			r.endTest(at, e)
		}
		delete(r.output, at)
	}
}

func (r *report) keep(at subject, text string) {
	if r.output[at] == nil {
		r.output[at] = &strings.Builder{}
	}
	r.output[at].WriteString(text)
}

func (r *report) text(at subject) string {
	if b := r.output[at]; b != nil {
		return b.String()
	}
	return ""
}

func (r *report) endTest(at subject, e event) {
	r.testsOf[at.pkg]++
	switch e.Action {
	case "pass":
		r.passed++
	case "fail":
		r.failed++
		r.failuresOf[at.pkg]++
		fmt.Fprintf(r.out, "FAIL %s %s\n%s\n", at.pkg, at.test, r.text(at))
	case "skip":
		r.skipped++
		r.skips = append(r.skips, fmt.Sprintf("%s %s: %s", at.pkg, at.test, reason(r.text(at))))
	}
}

// endPackage shows the package's own line. A package may fail with no test
// failing: it does not build, it leaks a goroutine at its end, or it panics.
func (r *report) endPackage(at subject, e event) {
	if e.Action == "fail" && r.failuresOf[at.pkg] == 0 {
		r.brokenPackages = append(r.brokenPackages, at.pkg)
		fmt.Fprintf(r.out, "FAIL %s\n%s", at.pkg, r.text(at))
		r.unfinished(at.pkg)
	}
	if r.testsOf[at.pkg] > 0 {
		fmt.Fprintf(r.out, "%-4s %s %.1fs, %d tests\n", e.Action, at.pkg, e.Elapsed, r.testsOf[at.pkg])
	}
	// The package may run again, with other flags.
	delete(r.testsOf, at.pkg)
	delete(r.failuresOf, at.pkg)
	r.out.Flush()
}

// unfinished shows the output of tests that never ended, where the reason of a
// panic or of a deadline is.
func (r *report) unfinished(pkg string) {
	for at, text := range r.output {
		if at.pkg == pkg && at.test != "" {
			fmt.Fprintf(r.out, "unfinished: %s\n%s\n", at.test, text)
		}
	}
}

// finish shows the skips and, alone on the last line, the totals.
func (r *report) finish() {
	slices.Sort(r.skips)
	for _, s := range r.skips {
		fmt.Fprintln(r.out, "skipped", s)
	}
	for _, p := range r.brokenPackages {
		fmt.Fprintln(r.out, "failed outside its tests:", p)
	}
	fmt.Fprintf(r.out, "%d passed, %d failed, %d skipped\n", r.passed, r.failed+len(r.brokenPackages), r.skipped)
}

// ok says whether something ran and nothing failed.
func (r *report) ok() bool {
	return r.failed == 0 && len(r.brokenPackages) == 0 && r.passed > 0
}

// reason is what a skipped test said, without the lines that `go test` adds.
func reason(output string) string {
	var said []string
	for line := range strings.Lines(output) {
		line = strings.TrimSpace(line)
		if line != "" && !strings.HasPrefix(line, "===") && !strings.HasPrefix(line, "---") {
			said = append(said, line)
		}
	}
	if len(said) == 0 {
		return "no reason given"
	}
	return strings.Join(said, " ")
}
