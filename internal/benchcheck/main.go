// Command benchcheck compares two files of what `go test -bench -benchmem` prints, and fails
// when a benchmark allocates more often than it did:
//
//	benchcheck BASELINE NEW
//
// Times are benchstat's to compare: they depend on the machine.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
)

func main() {
	if err := check(os.Stdout, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "benchcheck:", err)
		os.Exit(1)
	}
}

func check(out io.Writer, files []string) error {
	if len(files) != 2 {
		return errors.New("usage: benchcheck BASELINE NEW")
	}
	var sides [2]results
	for i, name := range files {
		file, err := os.Open(name)
		if err != nil {
			return err
		}
		sides[i], err = readResults(file)
		_ = file.Close()
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	more, compared := regressions(sides[0], sides[1])
	for _, line := range more {
		fmt.Fprintln(out, line)
	}
	switch {
	case compared == 0:
		return errors.New("the files have no benchmark in common")
	case len(more) > 0:
		return fmt.Errorf("%d of %d benchmarks allocate more often than in %s", len(more), compared, files[0])
	}
	fmt.Fprintf(out, "%d benchmarks allocate no more often than in %s\n", compared, files[0])
	return nil
}
