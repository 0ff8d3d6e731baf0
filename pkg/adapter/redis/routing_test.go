package redis

import "testing"

func TestEscapeGlob_MatchesOnlyItself(t *testing.T) {
	if got, want := escapeGlob(`a*b?c[d]e\f^g-h`), `a\*b\?c\[d\]e\\f\^g\-h`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
