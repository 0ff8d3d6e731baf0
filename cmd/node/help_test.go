package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/alecthomas/kong"
)

var update = flag.Bool("update", false, "write the help in testdata and docs/configuration.md")

// golden compares text with a file, or writes it there.
func golden(t *testing.T, path, text string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if text != string(want) {
		t.Errorf("%s is not what the flags say: go test ./cmd/node -update writes it", path)
	}
}

func TestHelp_IsReadableInAnyTerminal(t *testing.T) {
	t.Setenv("COLUMNS", "80")
	for _, args := range [][]string{{}, {"serve"}, {"demo"}, {"health"}} {
		code, help, errOut := command(t, append(args, "--help")...)
		if code != exitOK || errOut != "" {
			t.Errorf("%v: code %d, %q; want %d", args, code, errOut, exitOK)
		}
		for line := range strings.Lines(help) {
			// One URL cannot be broken.
			if width := utf8.RuneCountInString(strings.TrimRight(line, "\n")); width > 80 && !strings.Contains(line, "://") {
				t.Errorf("%v: a line has %d characters, want 80 at most: %s", args, width, line)
			}
		}
		golden(t, filepath.Join("testdata", strings.Join(append([]string{"help"}, args...), "-")+".txt"), help)
	}
}

func TestHelp_EveryFlagHasAGroupAndASentence(t *testing.T) {
	for _, name := range []string{"serve", "demo"} {
		for _, flag := range flagsOf(t, name) {
			if name == "serve" && flag.Group == nil && flag.Name != "check" {
				t.Errorf("--%s stands in no group of the help", flag.Name)
			}
			if !strings.HasSuffix(flag.Help, ".") {
				t.Errorf("--%s of %s has the help %q, want a sentence", flag.Name, name, flag.Help)
			}
		}
	}
}

func TestHelp_ConfigurationIsDocumentedAsItIs(t *testing.T) {
	var b strings.Builder
	b.WriteString(`# Configuration

Every setting of ` + "`node`" + ` is a flag and an environment variable; the command line wins. What is not allowed is refused at start, with exit code 2
and a sentence that names the flag or the variable. ` + "`node serve --help`" + ` shows the same as this page, which is made of it
(` + "`go test ./cmd/node -update`" + `).

Durations are written as in 25s or 1m30s, sizes in bytes, lists with commas.
`)
	parser, err := newParser(&commands{}, io.Discard, io.Discard, func(int) {})
	if err != nil {
		t.Fatal(err)
	}
	for _, node := range parser.Model.Children {
		if len(node.Flags) > 0 {
			writeCommand(&b, node)
		}
	}
	golden(t, filepath.Join("..", "..", "docs", "configuration.md"), b.String())
}

// writeCommand writes a command's flags as one table for each group.
func writeCommand(b *strings.Builder, node *kong.Node) {
	fmt.Fprintf(b, "\n## node %s\n\n%s\n", node.Name, node.Help)
	for _, group := range groupsOf(node.Flags) {
		if group != "" {
			fmt.Fprintf(b, "\n### %s\n", group)
		}
		b.WriteString("\n| flag | variable | default | meaning |\n| --- | --- | --- | --- |\n")
		for _, flag := range node.Flags {
			if groupOf(flag) == group {
				fmt.Fprintf(b, "| `--%s` | `%s` | %s | %s |\n", flag.Name, flag.Tag.Envs[0], defaultOf(flag), meaningOf(flag))
			}
		}
	}
}

func defaultOf(flag *kong.Flag) string {
	switch {
	case flag.Default != "":
		return "`" + flag.Default + "`"
	case flag.IsBool():
		return "off"
	}
	return ""
}

// meaningOf is what the help says, and what is allowed.
func meaningOf(flag *kong.Flag) string {
	text := flag.Help
	if words := split(flag.Tag.Get(tagAllowed)); len(words) > 0 {
		text += " Allowed: " + strings.Join(words, ", ") + "."
	}
	switch least, most := flag.Tag.Get(tagMin), flag.Tag.Get(tagMax); {
	case most != "":
		text += fmt.Sprintf(" From %s to %s.", least, most)
	case least != "" && strings.Trim(least, "0s") != "":
		text += fmt.Sprintf(" At least %s.", least)
	}
	if needed := flag.Tag.Get(tagNeeds); needed != "" {
		text += fmt.Sprintf(" Needs `--%s`.", needed)
	}
	if adapters := split(flag.Tag.Get(tagFor)); len(adapters) > 0 {
		text += " For " + adaptersText(adapters) + "."
	}
	return strings.ReplaceAll(text, "|", `\|`)
}
