package readme

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// migrations says which package has the Go of a document.
var migrations = map[string]string{
	"from-node.md":      "fromnode",
	"from-googollee.md": "fromgoogollee",
}

var (
	goBlock  = regexp.MustCompile("(?s)```go\n(.*?)```")
	codeSpan = regexp.MustCompile("`([^`]+)`")
	spaces   = regexp.MustCompile(`\s+`)
)

// Every block of Go in these documents, and every call in the columns of their
// tables that are ours, stands in a package that compiles.
func TestMigration_DocumentsShowGoThatCompiles(t *testing.T) {
	for document, folder := range migrations {
		text, err := os.ReadFile(filepath.Join("..", "..", "docs", document))
		if err != nil {
			t.Fatal(err)
		}
		source, err := os.ReadFile(filepath.Join(folder, folder+".go"))
		if err != nil {
			t.Fatal(err)
		}
		shown := shownGo(string(text))
		if len(shown) < 10 {
			t.Errorf("docs/%s shows %d pieces of Go: are they found?", document, len(shown))
		}
		for _, piece := range shown {
			if !strings.Contains(squeeze(string(source)), squeeze(piece)) {
				t.Errorf("docs/%s shows what %s does not have: %s", document, folder, piece)
			}
		}
	}
}

// shownGo returns the blocks of Go in a document, and the code in all columns of its
// tables but the first, which is about the other library.
func shownGo(text string) (pieces []string) {
	for _, block := range goBlock.FindAllStringSubmatch(text, -1) {
		pieces = append(pieces, block[1])
	}
	for line := range strings.Lines(text) {
		cells := strings.SplitN(strings.TrimSpace(line), " | ", 2)
		if len(cells) < 2 || !strings.HasPrefix(line, "| ") {
			continue
		}
		for _, span := range codeSpan.FindAllStringSubmatch(cells[1], -1) {
			pieces = append(pieces, strings.TrimPrefix(span[1], "*"))
		}
	}
	return pieces
}

// squeeze makes texts comparable that differ in indentation only.
func squeeze(text string) string { return strings.TrimSpace(spaces.ReplaceAllString(text, " ")) }

func TestMigration_GoIsFoundInBlocksAndTables(t *testing.T) {
	text := "`no` | \n```go\nf(\n\tx)\n```\n| theirs | ours | |\n| `a` | `b()`, `*c` | text `d` |\n| `e` | | `f` |\n"
	got := strings.Join(shownGo(text), "; ")
	if want := "f(\n\tx)\n; b(); c; d; f"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
