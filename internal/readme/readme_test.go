package readme

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// Every Go program in README.md is one of this folder's, to the letter, but for
// the package comment.
func TestREADME_ShowsProgramsThatCompile(t *testing.T) {
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	shown := regexp.MustCompile("(?s)```go\n(.*?)```").FindAllStringSubmatch(string(text), -1)
	programs := []string{"chat", "cluster", "invite"}
	if len(shown) != len(programs) {
		t.Fatalf("README.md shows %d programs, want %d", len(shown), len(programs))
	}
	for i, name := range programs {
		source, err := os.ReadFile(name + "/main.go")
		if err != nil {
			t.Fatal(err)
		}
		_, program, _ := strings.Cut(string(source), "\n") // the package comment is one line
		if shown[i][1] != program {
			t.Errorf("program %d of README.md is not %s/main.go", i+1, name)
		}
	}
}
