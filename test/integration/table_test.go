//go:build integration

package integration

import (
	"flag"
	"fmt"
	"os"
	"strings"
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
type table map[string]*[len(columns)]int

func (results table) add(feature string, column int) {
	if results[feature] == nil {
		results[feature] = new([len(columns)]int)
	}
	results[feature][column]++
}

// complete says whether every feature was played wherever it can be.
func (results table) complete() bool {
	for _, c := range chapters {
		for _, f := range c.features {
			for column := range columns {
				if got := results[f.name]; f.runs(column) > 0 && (got == nil || got[column] != f.runs(column)) {
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
func (results table) String() string {
	var text strings.Builder
	text.WriteString("|")
	for _, column := range columns {
		text.WriteString(" | " + column.name)
	}
	text.WriteString(" |\n| ---" + strings.Repeat(" | :-:", len(columns)) + " |\n")
	for _, c := range chapters {
		for _, f := range c.features {
			text.WriteString("| " + f.name)
			for column := range columns {
				fmt.Fprintf(&text, " | %s", results.cell(&f, column))
			}
			text.WriteString(" |\n")
		}
	}
	return text.String()
}

func (results table) cell(f *feature, column int) string {
	if counts := results[f.name]; counts != nil && counts[column] > 0 {
		return fmt.Sprintf("✓ %d", counts[column])
	}
	return "–"
}

// compare checks that README.md has this table between its markers, or writes it.
func (results table) compare(t *testing.T) {
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
