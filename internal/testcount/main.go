// Command testcount reads what `go test -json` prints on standard input, shows
// one line per package, the whole output of what failed and the reason of what
// was skipped, and closes with the totals. It exits with 1 when a test, a
// package or a build failed, and when no test ran at all.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
)

func main() {
	out := bufio.NewWriter(os.Stdout)
	r := newReport(out)
	err := r.read(os.Stdin)
	r.finish()
	if flushErr := out.Flush(); err == nil {
		err = flushErr
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "testcount:", err)
		os.Exit(1)
	}
	if !r.ok() {
		os.Exit(1)
	}
}

// read consumes a stream of events; a line that is none is shown as it is.
func (r *report) read(in io.Reader) error {
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, maxLineBytes)
	for lines.Scan() {
		var e event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			fmt.Fprintln(r.out, lines.Text())
			continue
		}
		r.add(e)
	}
	return lines.Err()
}

// maxLineBytes is the longest event accepted: a failing test may print a whole
// payload in one line.
const maxLineBytes = 64 << 20
