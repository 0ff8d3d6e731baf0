package archtest

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"
)

// word is a text that must stand in no file. The patterns are written so that
// they do not match themselves.
type word struct {
	pattern *regexp.Regexp
	reason  string
}

var words = []word{
	{
		pattern: regexp.MustCompile(`\b(TO[D]O|FIX[M]E|X[X]X|HA[C]K)\b`),
		reason:  "unfinished work belongs in the tracker, where somebody sees it",
	},
	{
		pattern: regexp.MustCompile(`(^|[\s"'(=])/(hom[e]|wor[k]|roo[t]|User[s])/\w`),
		reason:  "a path of one machine means nothing on another",
	},
	{
		pattern: regexp.MustCompile(`(registry\.(np[m]|yar[n])|proxy\.gol[a]ng|sum\.gol[a]ng|deb\.deb[i]an)\w*\.\w+`),
		reason:  "where packages come from is each machine's own setting",
	},
	{
		pattern: regexp.MustCompile(`"resolve[d]":`),
		reason:  "a lock file names versions and hashes, not a registry",
	},
	{
		pattern: regexp.MustCompile(`(?i)\b(issue|fixes|closes|resolves|ticket)s? #\d+`),
		reason:  "a comment gives the reason itself; numbers of a tracker do not outlive it",
	},
}

func TestWords_StandInNoFile(t *testing.T) {
	all, err := paths()
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range all {
		text, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(path)))
		if err != nil {
			t.Fatal(err)
		}
		for _, finding := range forbiddenWords(path, string(text)) {
			t.Error(finding)
		}
	}
}

func forbiddenWords(path, text string) []string {
	if !utf8.ValidString(text) {
		return nil
	}
	var found []string
	for _, w := range words {
		if match := w.pattern.FindString(text); match != "" {
			found = append(found, path+" contains "+strings.TrimSpace(match)+": "+w.reason)
		}
	}
	return found
}

func TestWords_RulesCatchWhatTheyForbid(t *testing.T) {
	for _, text := range []string{
		"// TO" + "DO: later",
		"see /wo" + "rk/main",
		"https://registry.np" + "mjs.org/",
		`"resol` + `ved": "`,
		"as in issue " + "#12",
	} {
		if got := forbiddenWords("a.go", text); len(got) != 1 {
			t.Errorf("%q: got %q, want one finding", text, got)
		}
	}
	for _, text := range []string{"mount it at /chat/ beside /work", "an issue with 12 nodes", "a hackathon"} {
		if got := forbiddenWords("a.go", text); len(got) != 0 {
			t.Errorf("%q: got %q, want nothing", text, got)
		}
	}
}
