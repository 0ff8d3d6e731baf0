package natsadapter_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"regexp"
	"strings"
	"testing"
)

// What docs/adapters.md shows of this adapter and of its test is what they are, and
// no declaration of the adapter is left out.
func TestDocument_ShowsTheAdapterToTheLetter(t *testing.T) {
	code, test := read(t, "nats.go"), read(t, "nats_test.go")
	shown := map[string]bool{}
	for _, block := range regexp.MustCompile("(?s)```go\n(.*?)```").FindAllStringSubmatch(read(t, "../../docs/adapters.md"), -1) {
		if !strings.Contains(code, block[1]) && !strings.Contains(test, block[1]) {
			t.Errorf("docs/adapters.md shows what is neither in nats.go nor in nats_test.go:\n%s", block[1])
		}
		shown[block[1]] = true
	}
	for name, declaration := range declarations(t, code) {
		if !shown[declaration+"\n"] {
			t.Errorf("docs/adapters.md does not show %s", name)
		}
	}
}

// declarations returns the text of what a file declares, without imports and comments.
func declarations(t *testing.T, code string) map[string]string {
	t.Helper()
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, "", code, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for _, d := range file.Decls {
		text := code[files.Position(d.Pos()).Offset:files.Position(d.End()).Offset]
		name, _, _ := strings.Cut(text, "\n")
		if g, ok := d.(*ast.GenDecl); !ok || g.Tok != token.IMPORT {
			found[name] = text
		}
	}
	if len(found) < 8 {
		t.Errorf("found %d declarations: are they all?", len(found))
	}
	return found
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
