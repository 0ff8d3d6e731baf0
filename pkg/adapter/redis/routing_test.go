package redis

import (
	"strings"
	"testing"
)

func TestEscapeGlob_MatchesOnlyItself(t *testing.T) {
	if got, want := escapeGlob(`a*b?c[d]e\f^g-h`), `a\*b\?c\[d\]e\\f\^g\-h`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestIsID_CountsAsJavaScriptDoes(t *testing.T) {
	for room, want := range map[string]bool{
		someID: true, someID[1:]: false, someID + "x": false, "": false,
		strings.Repeat("é", 20):       true,
		strings.Repeat("é", 10):       false,
		strings.Repeat("日", 20):       true,
		strings.Repeat("🚀", 10):       true,
		strings.Repeat("🚀", 20):       false,
		strings.Repeat("日", 21):       false,
		"🚀" + strings.Repeat("x", 18): true,
	} {
		if got := isID(room); got != want {
			t.Errorf("%q: got %v, want %v", room, got, want)
		}
	}
}
