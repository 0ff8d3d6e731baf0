//go:build integration

package integration

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
)

var update = flag.Bool("update", false, "write the table of what was proven into README.md")

const (
	readme     = "../../README.md"
	tableBegin = "<!-- compatibility -->\n"
	tableEnd   = "<!-- end of compatibility -->\n"
)

// table counts, by the name of a feature, the stories that were played to their
// end in each column.
type table struct {
	mu     sync.Mutex
	counts map[string]*[len(columns)]int
}

func newTable() *table {
	t := &table{counts: make(map[string]*[len(columns)]int)}
	for _, c := range chapters {
		for _, f := range c.features {
			t.counts[f.name] = new([len(columns)]int)
		}
	}
	return t
}

func (results *table) add(feature string, column int) {
	results.mu.Lock()
	defer results.mu.Unlock()
	results.counts[feature][column]++
}

// complete says whether every feature was played wherever it can be.
func (results *table) complete() bool {
	for _, c := range chapters {
		for _, f := range c.features {
			for column := range columns {
				if results.counts[f.name][column] != f.runs(column) {
					return false
				}
			}
		}
	}
	return true
}

// runs is how often stories of c are played in a column.
func (c *chapter) runs(column int) (count int) {
	for _, f := range c.features {
		count += f.runs(column)
	}
	return count
}

// runs is how often stories of f are played in a column.
func (f *feature) runs(column int) (count int) {
	for _, story := range f.stories {
		if plays(column, story) {
			count += len(columns[column].transports) * columns[column].orders
		}
	}
	return count
}

// String returns the table in Markdown.
func (results *table) String() string {
	var text strings.Builder
	text.WriteString("|")
	for _, column := range columns {
		text.WriteString(" | " + column.name)
	}
	text.WriteString(" |\n| ---" + strings.Repeat(" | :-:", len(columns)) + " |\n")
	for _, c := range chapters {
		for _, f := range c.features {
			text.WriteString("| " + f.name)
			for _, count := range results.counts[f.name] {
				text.WriteString(" | " + cell(count))
			}
			text.WriteString(" |\n")
		}
	}
	return text.String()
}

func cell(count int) string {
	if count == 0 {
		return "–"
	}
	return fmt.Sprintf("✓ %d", count)
}

// compare checks that README.md has this table between its markers, or writes it.
func (results *table) compare(t *testing.T) {
	t.Helper()
	text, err := os.ReadFile(readme)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, begins := strings.Cut(string(text), tableBegin)
	shown, after, ends := strings.Cut(rest, tableEnd)
	want := results.String()
	switch {
	case !begins || !ends:
		t.Fatalf("README.md has no %q and %q", tableBegin, tableEnd)
	case shown == want:
	case *update:
		if err := os.WriteFile(readme, []byte(before+tableBegin+want+tableEnd+after), 0o644); err != nil {
			t.Fatal(err)
		}
	default:
		t.Errorf("README.md does not say what was proven; write it with: go test -tags integration -run TestCompatibility ./test/integration -update\n%s", want)
	}
}
