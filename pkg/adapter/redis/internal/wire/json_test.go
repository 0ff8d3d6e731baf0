package wire

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"
)

// jsonTexts are values and near misses.
var jsonTexts = []string{
	`null`, `true`, `false`, `0`, `-0`, `12.5e-3`, `1E+9`, `""`, `"é\u00e9\"\\\/\b\f\n\r\t"`, `"\ud800"`, `[]`, `{}`, ` [ 1 , [ ] , { "a" : { } } ] `,
	`{"a":1,"a":2}`, `[[[[]]]]`, "\"\u2028\x7f\"", ``, ` `, `[`, `]`, `{`, `}`, `[1`, `[1,`, `[1,]`, `[,1]`, `[1 2]`, `{"a"}`, `{"a":}`, `{"a":1,}`, `{a:1}`, `{1:1}`, `[}`, `{]`,
	`"`, `"a`, `"\`, `"\x"`, `"\u12"`, `"\u12g4"`, "\"\n\"", `01`, `-`, `+1`, `.5`, `1.`, `1e`, `1e+`, `0x1`, `tru`, `nul`, `truefalse`, `1 1`, `NaN`, `{"a":1 "b":2}`, `'a'`, "\x00", `[1]]`, `"a"b`,
}

// skipped says whether text is one JSON value.
func skipped(text []byte) bool {
	j := jsonReader{text}
	_, ok := j.skip()
	return ok && j.peek() == 0 && len(j.rest) == 0 && utf8.Valid(text)
}

func FuzzJSON_TheGrammarIsThatOfTheStandardLibrary(f *testing.F) {
	for _, text := range jsonTexts {
		f.Add([]byte(text))
	}
	f.Add([]byte(strings.Repeat("[", 1000) + strings.Repeat("]", 1000)))
	f.Fuzz(func(t *testing.T, text []byte) {
		want := json.Valid(text) && utf8.Valid(text)
		if got := skipped(text); got != want && !(want && strings.Count(string(text), "[")+strings.Count(string(text), "{") > 1000) {
			t.Errorf("%q: got %v, want %v", text, got, want)
		}
	})
}

func FuzzJSON_StringsAreThoseOfTheStandardLibrary(f *testing.F) {
	for _, text := range jsonTexts {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		j := jsonReader{text}
		got, ok := j.text()
		var want string
		if !ok || !utf8.Valid(text) || len(j.rest) > 0 {
			return
		}
		if err := json.Unmarshal(text, &want); err != nil || string(got) != want {
			t.Errorf("%q: got %q, want %q, %v", text, got, want, err)
		}
	})
}
