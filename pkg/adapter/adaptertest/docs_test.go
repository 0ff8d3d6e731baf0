package adaptertest

import (
	"os"
	"slices"
	"strings"
	"testing"
)

// The document for authors of adapters lists all rules, in the kit's order and words.
func TestDocs_ListEveryRule(t *testing.T) {
	document, err := os.ReadFile("../../../docs/adapters.md")
	if err != nil {
		t.Fatal(err)
	}
	_, list, _ := strings.Cut(string(document), "\n## All rules\n")
	var got, want []string
	for line := range strings.Lines(list) {
		if strings.HasPrefix(line, "| `") {
			got = append(got, strings.TrimSpace(line))
		}
	}
	for _, k := range checks() {
		want = append(want, "| `"+k.name+"` | "+k.clause+" |")
	}
	if !slices.Equal(got, want) {
		t.Errorf("docs/adapters.md lists %d rules; it should have these lines:\n%s", len(got), strings.Join(want, "\n"))
	}
}
