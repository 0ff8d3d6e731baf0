package natsadapter_test

import (
	"fmt"
	"go/scanner"
	"go/token"
	"strings"
	"testing"
)

// The README says how small a backend can be.
func TestAdapter_HasAtMostAHundredLines(t *testing.T) {
	lines := codeLines([]byte(read(t, "nats.go")))
	t.Logf("nats.go has %d lines of code", lines)
	if lines > 100 {
		t.Errorf("nats.go has %d lines of code, want at most 100", lines)
	}
	if claim := fmt.Sprintf("%d lines", lines); !strings.Contains(read(t, "README.md"), claim) {
		t.Errorf("README.md does not say %q", claim)
	}
}

// codeLines counts the lines that are neither blank nor comment alone.
func codeLines(source []byte) int {
	file := token.NewFileSet().AddFile("", -1, len(source))
	var s scanner.Scanner
	s.Init(file, source, nil, 0)
	lines := map[int]bool{}
	for {
		pos, tok, text := s.Scan()
		if tok == token.EOF {
			return len(lines)
		}
		first := file.Line(pos)
		for i := range strings.Count(text, "\n") { // of a raw string, or of the semicolon that ends a line
			if tok == token.STRING {
				lines[first+i+1] = true
			}
		}
		if tok != token.SEMICOLON || text == ";" {
			lines[first] = true
		}
	}
}

func TestCodeLines_CountsCodeOnly(t *testing.T) {
	const source = "// Package a.\npackage a\n\n/* more\nof it */\nvar b = `c\n\nd` // e\nfunc f() {\n}\n"
	if got := codeLines([]byte(source)); got != 6 {
		t.Errorf("got %d lines, want 6", got)
	}
}
