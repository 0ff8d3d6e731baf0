package msgpack

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
)

func unhex(t *testing.T, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestAppendFromJSON_WritesTheShortestForm(t *testing.T) {
	for _, c := range []struct{ json, want string }{
		{`null`, "c0"}, {`true`, "c3"}, {` false `, "c2"},
		{`0`, "00"}, {`-0`, "00"}, {`127`, "7f"}, {`128`, "cc80"}, {`255`, "ccff"}, {`256`, "cd0100"},
		{`65536`, "ce00010000"}, {`4294967296`, "cf0000000100000000"},
		{`-1`, "ff"}, {`-32`, "e0"}, {`-33`, "d0df"}, {`-128`, "d080"}, {`-129`, "d1ff7f"},
		{`-32769`, "d2ffff7fff"}, {`-2147483649`, "d3ffffffff7fffffff"},
		{`9007199254740993`, "cf0020000000000001"}, {`18446744073709551615`, "cfffffffffffffffff"},
		{`18446744073709551616`, "cb43f0000000000000"}, {`-9223372036854775808`, "d38000000000000000"},
		{`1.0`, "01"}, {`1e3`, "cd03e8"}, {`0.5`, "cb3fe0000000000000"}, {`1e999`, "c0"}, {`-1E+400`, "c0"},
		{`""`, "a0"}, {`"é"`, "a2c3a9"}, {`"\u00e9\n\"\/"`, "a5c3a90a222f"}, {`"\ud83d\ude00"`, "a4f09f9880"},
		{`"\ud800"`, "a3efbfbd"}, {`"\ude00x"`, "a4efbfbd78"}, {`"\ud800\u0041"`, "a4efbfbd41"},
		{"\"a\xffb\"", "a561efbfbd62"},
		{`[]`, "90"}, {`{}`, "80"}, {`[1,[2,{"a":null}]]`, "920192 02 81a161c0"},
		{`{ "a" : 1 , "b" : [ ] }`, "82a16101a16290"},
	} {
		got, err := AppendFromJSON(nil, []byte(c.json), nil)
		if err != nil || !bytes.Equal(got, unhex(t, c.want)) {
			t.Errorf("%s: got %x, %v, want %s", c.json, got, err, c.want)
		}
	}
}

func TestAppendFromJSON_SizesOfStringsAndContainers(t *testing.T) {
	for _, n := range []int{0, 1, 15, 16, 17, 31, 32, 255, 256, 65535, 65536, 70000} {
		text := `"` + strings.Repeat("x", n) + `"`
		escaped := `"` + strings.Repeat(`\u0078`, n) + `"`
		plain, err := AppendFromJSON([]byte("head"), []byte(text), nil)
		if err != nil {
			t.Fatal(err)
		}
		slow, err := AppendFromJSON([]byte("head"), []byte(escaped), nil)
		if err != nil || !bytes.Equal(plain, slow) {
			t.Errorf("a string of %d: escaped and plain differ: %v", n, err)
		}
		list := "[" + strings.TrimSuffix(strings.Repeat("1,", n), ",") + "]"
		nested := fmt.Sprintf(`{"a":%s,"b":[%s,"tail"],"c":%s}`, list, list, text)
		packed, err := AppendFromJSON([]byte("head"), []byte(nested), nil)
		if err != nil {
			t.Fatal(err)
		}
		r := NewReader(packed[4:])
		back, _, err := r.AppendJSON(nil, nil)
		if err != nil || string(back) != nested || string(packed[:4]) != "head" {
			t.Errorf("containers of %d do not survive: %v", n, err)
		}
	}
}

func TestAppendFromJSON_PlaceholdersBecomeBinary(t *testing.T) {
	attachments := [][]byte{{1, 2}, bytes.Repeat([]byte{7}, 300)}
	json := `["f",{"_placeholder":true,"num":1},{"x":{ "num" : 0 , "_placeholder" : true }}]`
	packed, err := AppendFromJSON(nil, []byte(json), attachments)
	if err != nil {
		t.Fatal(err)
	}
	r := NewReader(packed)
	back, got, err := r.AppendJSON(nil, nil)
	want := `["f",{"_placeholder":true,"num":0},{"x":{"_placeholder":true,"num":1}}]`
	if err != nil || string(back) != want {
		t.Errorf("got %s, %v, want %s", back, err, want)
	}
	if len(got) != 2 || !bytes.Equal(got[0], attachments[1]) || !bytes.Equal(got[1], attachments[0]) {
		t.Errorf("attachments: got %v", got)
	}
}

func TestAppendFromJSON_OrdinaryObjectsAreNotPlaceholders(t *testing.T) {
	for _, json := range []string{
		`{"_placeholder":false,"num":0}`, `{"_placeholder":true}`, `{"num":0}`,
		`{"_placeholder":true,"num":0,"x":1}`, `{"_placeholder":true,"num":-1}`, `{"num":0,"num":0}`,
		`{"_placeholder":true,"num":"0"}`, `{}`,
	} {
		packed, err := AppendFromJSON(nil, []byte(json), [][]byte{{1}})
		if err != nil {
			t.Fatalf("%s: %v", json, err)
		}
		r := NewReader(packed)
		if back, _, err := r.AppendJSON(nil, nil); err != nil || string(back) != json {
			t.Errorf("got %s, %v, want %s", back, err, json)
		}
	}
	if _, err := AppendFromJSON(nil, []byte(`{"_placeholder":true,"num":1}`), [][]byte{{1}}); !errors.Is(err, ErrMalformed) {
		t.Errorf("a placeholder without its attachment: got %v, want ErrMalformed", err)
	}
}

func TestAppendFromJSON_RefusesWhatIsNotJSON(t *testing.T) {
	for _, json := range []string{
		``, ` `, `[`, `]`, `{`, `}`, `[1`, `[1,`, `[1,]`, `[,1]`, `[1 2]`, `{"a"}`, `{"a":}`, `{"a":1,}`, `{a:1}`,
		`{1:1}`, `[}`, `{]`, `"`, `"a`, `"\`, `"\x"`, `"\u12"`, `"\u12g4"`, "\"\n\"", `01`, `-`, `+1`, `.5`, `1.`,
		`1e`, `1e+`, `0x1`, `tru`, `nul`, `truefalse`, `1 1`, `NaN`, `{"a":1 "b":2}`, `'a'`,
	} {
		if got, err := AppendFromJSON([]byte("x"), []byte(json), nil); !errors.Is(err, ErrMalformed) || string(got) != "x" {
			t.Errorf("%q: got %q, %v, want ErrMalformed", json, got, err)
		}
	}
}

func TestDepthIsLimitedInBothDirections(t *testing.T) {
	nested := func(n int) []byte { return []byte(strings.Repeat("[", n) + strings.Repeat("]", n)) }
	if _, err := AppendFromJSON(nil, nested(MaxDepth), nil); err != nil {
		t.Errorf("depth %d: %v", MaxDepth, err)
	}
	if _, err := AppendFromJSON(nil, nested(MaxDepth+1), nil); !errors.Is(err, ErrTooDeep) {
		t.Errorf("one deeper: got %v, want ErrTooDeep", err)
	}
	packed := append(bytes.Repeat([]byte{0x91}, MaxDepth), 0xc0)
	r := NewReader(packed)
	if _, _, err := r.AppendJSON(nil, nil); err != nil {
		t.Errorf("depth %d: %v", MaxDepth, err)
	}
	hostile := append(bytes.Repeat([]byte{0x91}, 200_000), 0xc0)
	r = NewReader(hostile)
	if _, _, err := r.AppendJSON(nil, nil); !errors.Is(err, ErrTooDeep) {
		t.Errorf("200,000 arrays: got %v, want ErrTooDeep", err)
	}
	r = NewReader(hostile)
	if raw, err := r.Skip(); err != nil || len(raw) != len(hostile) {
		t.Errorf("Skip of 200,000 arrays: got %d bytes, %v", len(raw), err)
	}
}

func TestAppendJSON_ReadsEveryKind(t *testing.T) {
	for _, c := range []struct{ packed, want string }{
		{"c0", `null`}, {"c2", `false`}, {"c3", `true`},
		{"cc80", `128`}, {"cd0100", `256`}, {"ce00010000", `65536`}, {"cfffffffffffffffff", `18446744073709551615`},
		{"d0df", `-33`}, {"d1ff7f", `-129`}, {"d2ffff7fff", `-32769`}, {"d38000000000000000", `-9223372036854775808`},
		{"ff", `-1`}, {"d07f", `127`},
		{"ca3f800000", `1`}, {"cb3ff8000000000000", `1.5`}, {"cb8000000000000000", `0`}, {"cb444b1ae4d6e2ef50", `1e+21`},
		{"cb7ff8000000000000", `null`}, {"cb7ff0000000000000", `null`}, {"ca7f800000", `null`},
		{"a161", `"a"`}, {"d90161", `"a"`}, {"da000161", `"a"`}, {"db0000000161", `"a"`}, {"a1ff", `"` + "\ufffd" + `"`},
		{"dc000101", `[1]`}, {"dd0000000101", `[1]`}, {"de0001a16101", `{"a":1}`}, {"df00000001a16101", `{"a":1}`},
		{"8101a161", `{"1":"a"}`}, {"81c0c0", `{"null":null}`}, {"81c3c0", `{"true":null}`}, {"81cb3ff8000000000000c0", `{"1.5":null}`},
		{"d40000", `null`}, {"d6ff5e0be100", `"2020-01-01T00:00:00.000Z"`},
		{"d7ff 1e8480005e0be100", `"2020-01-01T00:00:00.128Z"`},
		{"c70cff 00000000 ffffffffffffffff", `"1969-12-31T23:59:59.000Z"`},
		{"c70cff 00000000 7fffffffffffffff", `null`}, {"c70cff 00000000 0000010000000000", `"+036812-02-20T00:36:16.000Z"`},
		{"d700 0000016f5e66e800", `"2020-01-01T00:00:00.000Z"`},
	} {
		r := NewReader(unhex(t, c.packed))
		got, attachments, err := r.AppendJSON(nil, nil)
		if err != nil || string(got) != c.want || len(attachments) != 0 || r.Len() != 0 {
			t.Errorf("%s: got %s, %v, want %s", c.packed, got, err, c.want)
		}
	}
}

func TestAppendJSON_BinariesAndExtensionsBecomeAttachments(t *testing.T) {
	r := NewReader(unhex(t, "95 c40101 c5000102 c60000000103 d50509 0a c7030901 0203"))
	got, attachments, err := r.AppendJSON([]byte("x"), [][]byte{{9}})
	want := `x[{"_placeholder":true,"num":1},{"_placeholder":true,"num":2},{"_placeholder":true,"num":3},` +
		`[5,{"_placeholder":true,"num":4}],[9,{"_placeholder":true,"num":5}]]`
	if err != nil || string(got) != want {
		t.Fatalf("got %s, %v, want %s", got, err, want)
	}
	if fmt.Sprint(attachments) != "[[9] [1] [2] [3] [9 10] [1 2 3]]" {
		t.Errorf("attachments: got %v", attachments)
	}
}

func TestAppendJSON_ArrayBuffersOfOlderVersionsAreBinaries(t *testing.T) {
	r := NewReader(unhex(t, "95 c70100 01 c70800 0102030405060708 c8000200 0a0b c90000000000 d40000"))
	got, attachments, err := r.AppendJSON(nil, nil)
	want := `[{"_placeholder":true,"num":0},{"_placeholder":true,"num":1},{"_placeholder":true,"num":2},{"_placeholder":true,"num":3},null]`
	if err != nil || string(got) != want {
		t.Fatalf("got %s, %v, want %s", got, err, want)
	}
	if fmt.Sprint(attachments) != "[[1] [1 2 3 4 5 6 7 8] [10 11] []]" {
		t.Errorf("attachments: got %v", attachments)
	}
}

func TestAppendJSON_RefusesBrokenInput(t *testing.T) {
	for _, packed := range []string{
		"", "c1", "cc", "cd00", "ce000000", "cf00", "d0", "ca000000", "cb", "a261", "d9", "d90261", "dbffffffff61",
		"c4", "c6ffffffff", "c7", "c9ffffffff00", "d4", "d400", "d8000000", "91", "9201", "dc", "ddffffffff", "dd7fffffff01",
		"81", "81a161", "dfffffffff", "de00", "8190c0", "81d40500c0", "8180c0",
	} {
		r := NewReader(unhex(t, packed))
		if got, _, err := r.AppendJSON(nil, nil); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: got %s, %v, want ErrMalformed", packed, got, err)
		}
	}
}

func TestReader_ReadsHeads(t *testing.T) {
	r := NewReader(unhex(t, "92 a161 8101c0 2a cfffffffffffffffff d0ff"))
	if k := r.Peek(); k != Array {
		t.Errorf("Peek: got %v", k)
	}
	if n, err := r.ArrayLen(); n != 2 || err != nil {
		t.Errorf("ArrayLen: got %d, %v", n, err)
	}
	if text, err := r.Text(); string(text) != "a" || err != nil {
		t.Errorf("Text: got %q, %v", text, err)
	}
	if _, err := (&Reader{rest: r.rest}).ArrayLen(); !errors.Is(err, ErrMalformed) {
		t.Errorf("ArrayLen of a map: got %v", err)
	}
	if n, err := r.MapLen(); n != 1 || err != nil {
		t.Errorf("MapLen: got %d, %v", n, err)
	}
	if raw, err := r.Skip(); !bytes.Equal(raw, []byte{1}) || err != nil {
		t.Errorf("Skip: got %x, %v", raw, err)
	}
	if _, err := r.Skip(); err != nil {
		t.Error(err)
	}
	if i, err := r.Int(); i != 42 || err != nil {
		t.Errorf("Int: got %d, %v", i, err)
	}
	if _, err := r.Int(); !errors.Is(err, ErrMalformed) {
		t.Errorf("Int beyond int64: got %v", err)
	}
	if i, err := r.Int(); i != -1 || err != nil {
		t.Errorf("Int: got %d, %v", i, err)
	}
	if k := r.Peek(); k != 0 {
		t.Errorf("Peek at the end: got %v", k)
	}
}

// FuzzAppendFromJSON: valid JSON survives the way there and back; nothing else
// is accepted.
func FuzzAppendFromJSON(f *testing.F) {
	for _, seed := range []string{
		`["e",{"_placeholder":true,"num":0},1.5,-7,"\ud83d\ude00",null]`, `[[[[{"a":[]}]]]]`, `"\ud800"`, `1e400`, `[1,]`,
		`{"a":18446744073709551615}`, `[` + strings.Repeat("0,", 40) + `0]`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		packed, err := AppendFromJSON(nil, value, nil)
		if valid := json.Valid(value); (err == nil) != valid && !errors.Is(err, ErrTooDeep) {
			t.Fatalf("%q: valid %v, got %v", value, valid, err)
		}
		if err != nil {
			return
		}
		r := NewReader(packed)
		back, attachments, err := r.AppendJSON(nil, nil)
		if err != nil || r.Len() != 0 || len(attachments) != 0 {
			t.Fatalf("%q: cannot be read back: %v", value, err)
		}
		again, err := AppendFromJSON(nil, back, nil)
		if err != nil || !bytes.Equal(again, packed) {
			t.Fatalf("%q: got %x on the second way, want %x (%v)", value, again, packed, err)
		}
	})
}

// FuzzAppendJSON: what is accepted comes out as valid JSON, in bounded memory.
func FuzzAppendJSON(f *testing.F) {
	for _, seed := range []string{"93a1610192c0c3", "ddffffffff", "c70cff00000000ffffffffffffffff", "81c40161c0", "cb7ff8000000000000"} {
		b, _ := hex.DecodeString(seed)
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, packed []byte) {
		r := NewReader(packed)
		got, attachments, err := r.AppendJSON(nil, nil)
		if err != nil {
			return
		}
		if !json.Valid(got) {
			t.Fatalf("%x: got %q, which is no JSON", packed, got)
		}
		if len(got) > 64*len(packed)+64 {
			t.Fatalf("%d bytes became %d", len(packed), len(got))
		}
		if _, err := AppendFromJSON(nil, got, attachments); err != nil {
			t.Fatalf("%q cannot be packed again: %v", got, err)
		}
		skipper := NewReader(packed)
		if raw, err := skipper.Skip(); err != nil || len(raw)+r.Len() != len(packed) {
			t.Fatalf("Skip and AppendJSON disagree on %x: %v", packed, err)
		}
	})
}

var sample = []byte(`["chat message",{"id":12345,"user":"someone","text":"` + strings.Repeat("lorem ipsum ", 6) + `","ok":true}]`)

func TestAllocations_NoneToTranscodeButTheResult(t *testing.T) {
	dst := make([]byte, 0, 1024)
	packed, _ := AppendFromJSON(nil, sample, nil)
	for name, fn := range map[string]func(){
		"from JSON": func() { _, _ = AppendFromJSON(dst, sample, nil) },
		"to JSON":   func() { r := NewReader(packed); _, _, _ = r.AppendJSON(dst, nil) },
	} {
		if got := testing.AllocsPerRun(100, fn); got > 0 { // there is room for it
			t.Errorf("%s: %v allocations, want none", name, got)
		}
	}
}

func BenchmarkAppendFromJSON(b *testing.B) {
	b.ReportAllocs()
	b.SetBytes(int64(len(sample)))
	var dst []byte
	for b.Loop() {
		dst, _ = AppendFromJSON(dst[:0], sample, nil)
	}
}

func BenchmarkAppendJSON(b *testing.B) {
	packed, _ := AppendFromJSON(nil, sample, nil)
	b.ReportAllocs()
	b.SetBytes(int64(len(packed)))
	var dst []byte
	for b.Loop() {
		r := NewReader(packed)
		dst, _, _ = r.AppendJSON(dst[:0], nil)
	}
}

func TestFloatsKeepTheirValue(t *testing.T) {
	for _, f := range []float64{math.Pi, -1e-300, math.MaxFloat64, math.SmallestNonzeroFloat64, 1 << 60, -(1 << 53)} {
		text, _ := json.Marshal(f)
		packed, err := AppendFromJSON(nil, text, nil)
		if err != nil {
			t.Fatal(err)
		}
		r := NewReader(packed)
		back, _, _ := r.AppendJSON(nil, nil)
		var got float64
		if err := json.Unmarshal(back, &got); err != nil || got != f {
			t.Errorf("%v came back as %s", f, slices.Clip(back))
		}
	}
}

func TestAppendPlainJSON_BinariesAreThoseOfABuffer(t *testing.T) {
	for _, c := range []struct{ packed, want string }{
		{"c400", `{"type":"Buffer","data":[]}`}, {"c40300ff07", `{"type":"Buffer","data":[0,255,7]}`},
		{"92c40101 81a161c40102", `[{"type":"Buffer","data":[1]},{"a":{"type":"Buffer","data":[2]}}]`},
		{"c70200 0102", `{"type":"Buffer","data":[1,2]}`}, {"d5050102", `[5,{"type":"Buffer","data":[1,2]}]`}, {"92c0a161", `[null,"a"]`},
	} {
		r := NewReader(unhex(t, c.packed))
		if got, err := r.AppendPlainJSON([]byte("x")); err != nil || string(got) != "x"+c.want || r.Len() > 0 {
			t.Errorf("%s: got %s, %v, want %s", c.packed, got, err, c.want)
		}
	}
	r := NewReader(unhex(t, "92c40101"))
	if got, err := r.AppendPlainJSON([]byte("x")); !errors.Is(err, ErrMalformed) || string(got) != "x" {
		t.Errorf("half an array: got %s, %v, want ErrMalformed", got, err)
	}
}

func TestAppendJSON_BinariesAreLimitedInNumber(t *testing.T) {
	const most = 1 << 20
	for n, want := range map[int]error{most: nil, most + 1: ErrTooLarge} {
		r := NewReader(append(AppendArrayHeader(nil, n), bytes.Repeat([]byte{0xc4, 0}, n)...))
		if _, got, err := r.AppendJSON(nil, nil); !errors.Is(err, want) || want == nil && len(got) != n {
			t.Errorf("%d binaries: got %d, %v, want %v", n, len(got), err, want)
		}
	}
}
