package main

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"runtime"
	"strings"
	"time"
)

// result is what a row found for one adapter.
type result struct {
	row, title, part, adapter string
	inapplicable              string // why the row was not run, or ""
	figures                   []figure
	took                      time.Duration
}

// figure is one measured value, with what was promised of it.
type figure struct {
	text  string
	wrong bool
}

// note adds a value of which nothing was promised.
func (r *result) note(format string, args ...any) {
	r.figures = append(r.figures, figure{text: fmt.Sprintf(format, args...)})
}

// holds adds a value that is as promised, or not.
func (r *result) holds(ok bool, format string, args ...any) {
	r.figures = append(r.figures, figure{text: fmt.Sprintf(format, args...), wrong: !ok})
}

// none adds a number that is promised to be zero.
func (r *result) none(what string, n int) { r.holds(n == 0, "%s %d", what, n) }

// atMost adds a time with its bound.
func (r *result) atMost(what string, got, limit time.Duration) {
	r.holds(got <= limit, "%s %s (≤ %s)", what, round(got), round(limit))
}

// below adds a time with its bound, which it must not reach.
func (r *result) below(what string, got, limit time.Duration) {
	r.holds(got < limit, "%s %s (< %s)", what, round(got), round(limit))
}

// fail adds an error that ended the row.
func (r *result) fail(err error) { r.holds(false, "%v", err) }

func (r *result) failed() bool {
	for _, f := range r.figures {
		if f.wrong {
			return true
		}
	}
	return false
}

// verdict is PASS, FAIL or why the row does not apply.
func (r *result) verdict() string {
	switch {
	case r.inapplicable != "":
		return "n.a."
	case r.failed():
		return "FAIL"
	default:
		return "PASS"
	}
}

// String is the line that is printed. A figure that is not as promised has a "!".
func (r *result) String() string {
	return fmt.Sprintf("%-4s %-8s %s %3.0f s  %s", r.row, r.adapter, r.verdict(), r.took.Seconds(), r.details())
}

func (r *result) details() string {
	if r.inapplicable != "" {
		return r.inapplicable
	}
	texts := make([]string, len(r.figures))
	for i, f := range r.figures {
		texts[i] = f.text
		if f.wrong {
			texts[i] = "!" + f.text
		}
	}
	text := strings.ReplaceAll(strings.Join(texts, "; "), "\n", " ")
	if r.part != "" {
		return r.part + ": " + text
	}
	return text
}

// round shortens a time to what matters of it.
func round(d time.Duration) string {
	switch {
	case d >= time.Second:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d >= 10*time.Millisecond:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	default:
		return fmt.Sprintf("%.1f ms", float64(d.Microseconds())/1000)
	}
}

// document is the page with all results.
func document(ctx context.Context, results []*result, sc scale) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "# Behaviour under faults\n\nMade by `make faults`; do not edit. Scale %s: %d clients on 3 nodes, half of them in %d rooms, "+
		"%d broadcasts/s of %d bytes from random nodes. %d CPU cores, shared by the nodes, Redis and the clients; %s; %s.\n\n"+
		"A client is not lost, late or wrong unless a figure says so. A figure marked with ! is not as promised.\n",
		sc.name, sc.clients, sc.rooms, sc.rate, sc.size, runtime.NumCPU(), redisVersion(ctx), runtime.Version())
	row := ""
	for _, r := range results {
		if r.row != row {
			row = r.row
			fmt.Fprintf(&b, "\n## %s: %s\n\n| adapter | | figures |\n| --- | --- | --- |\n", r.row, r.title)
		}
		fmt.Fprintf(&b, "| %s | %s | %s |\n", r.adapter, r.verdict(), strings.ReplaceAll(r.details(), "|", "\\|"))
	}
	return b.Bytes()
}

// redisVersion is that of the redis-server in PATH.
func redisVersion(ctx context.Context) string {
	output, err := exec.CommandContext(ctx, "redis-server", "--version").Output()
	if err != nil {
		return "no Redis"
	}
	for field := range strings.FieldsSeq(string(output)) {
		if version, ok := strings.CutPrefix(field, "v="); ok {
			return "Redis " + version
		}
	}
	return "Redis of an unknown version"
}
