package packet

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestScanner_AgreesWithTheStandardLibrary(t *testing.T) {
	pieces := []string{`0`, `-0`, `1.5`, `1e5`, `1E+5`, `1e-05`, `01`, `-`, `1.`, `.1`, `1e`, `1e+`, `0x1`, `"a"`, `"\n\t\"\\\/\b\f\r"`, `"\u0000"`, `"\uD83D\uDE00"`,
		`"\ud800"`, `"\u12"`, `"\x"`, `"`, `"\`, `"é😀"`, "\"\x7f\"", "\"\x1f\"", `true`, `tru`, `truex`, `false`, `null`, `nul`, `[]`, `[ ]`, `[,]`, `[1,]`, `[1 2]`, `{}`, `{ }`,
		`{"a":1}`, `{"a" : 1 , "b" : [ ] }`, `{"a"}`, `{"a":}`, `{"a":1,}`, `{1:1}`, `{"a":1 "b":2}`, `{"":{"":[{}]}}`, `]`, `}`, ``, ` `, `[1]]`, `[[1]`}
	for _, a := range pieces {
		for _, text := range []string{a, "[" + a + "]", "[1, " + a + " ]", `{"x":` + a + `}`, `{"x":[` + a + `,{}]}`, a + a} {
			s := scanner{data: []byte(text), levels: deepest, attachments: plainData}
			// Blanks around the value are for others to allow.
			want := json.Valid([]byte(text)) && strings.TrimSpace(text) == text
			if err := s.scan(); (err == nil) != want {
				t.Errorf("%q: got %v, want valid %v", text, err, want)
			}
		}
	}
}

func TestScanner_RefusesWhateverIsNotUTF8(t *testing.T) {
	for _, bad := range []string{"\x80", "\xff", "\xc0\xaf", "\xe0\x80\x80", "\xed\xa0\x80", "\xed\xbf\xbf", "\xf4\x90\x80\x80", "\xf8\x88\x80\x80\x80", "\xe2\x82"} {
		for _, text := range []string{`"` + bad + `"`, `{"` + bad + `":1}`, `["é` + bad + `"]`} {
			s := scanner{data: []byte(text), levels: deepest, attachments: plainData}
			if err := s.scan(); err != errUTF8 {
				t.Errorf("%q: got %v, want %v", text, err, errUTF8)
			}
		}
	}
	s := scanner{data: []byte("\"\uFFFD\U0010FFFF\""), levels: deepest, attachments: plainData}
	if err := s.scan(); err != nil {
		t.Errorf("a replacement character that was sent: %v", err)
	}
}

func TestParseDigits_OnlyWhatWritesBackTheSame(t *testing.T) {
	for text, want := range map[string]uint64{"0": 0, "9": 9, "10": 10, "18446744073709551615": 1<<64 - 1} {
		if got, ok := parseDigits([]byte(text)); !ok || got != want {
			t.Errorf("%s: got %d, %v", text, got, ok)
		}
	}
	for _, text := range []string{"", "00", "01", "-1", "+1", "1.0", "1e1", " 1", "1 ", "18446744073709551616", "18446744073709551620", "99999999999999999999", "१"} {
		if got, ok := parseDigits([]byte(text)); ok {
			t.Errorf("%s: got %d, want a refusal", text, got)
		}
	}
}

func FuzzScanner(f *testing.F) {
	for _, seed := range []string{`["a",{"b":[1e9,"\ud800"]}]`, `{"a":"é"}`, "\"\xff\"", `-0.0e+1`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		s := scanner{data: data, levels: deepest, attachments: plainData}
		err := s.scan()
		want := json.Valid(data) && utf8.Valid(data) && strings.Trim(string(data), " \t\r\n") == string(data)
		if err != errDepth && (err == nil) != want {
			t.Errorf("%q: got %v, want valid %v", data, err, want)
		}
	})
}
