package packet

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
)

func TestUnmarshal_Forms(t *testing.T) {
	type image struct {
		Name string `json:"name"`
		Data []byte `json:"data"`
	}
	a, b := []byte("a"), []byte("b")
	both := [][]byte{a, b}
	for name, test := range map[string]struct {
		value       string
		attachments [][]byte
		into, want  any
	}{
		"bytes":                 {`{"_placeholder":true,"num":1}`, both, new([]byte), b},
		"bytes, members around": {`{"x":1,"num":0,"_placeholder":true}`, both, new([]byte), a},
		"base64":                {`"YQ=="`, nil, new([]byte), a},
		"base64, attachments":   {`"YQ=="`, both, new([]byte), a},
		"null bytes":            {`null`, both, new([]byte), []byte(nil)},
		"field":                 {`{"name":"n","Name":"m","other":1,"data":{"_placeholder":true,"num":1}}`, both, new(image), image{"n", b}},
		"slice":                 {`[{"_placeholder":true,"num":1},{"_placeholder":true,"num":0}]`, both, new([][]byte), [][]byte{b, a}},
		"any":                   {`{"_placeholder":true,"num":1}`, both, new(any), b},
		"deep any": {`[1,"x",null,true,{"y":[{"_placeholder":true,"num":0}]}]`, both, new(any),
			[]any{1.0, "x", nil, true, map[string]any{"y": []any{a}}}},
		"map of any":              {`{"y":{"_placeholder":true,"num":0}}`, both, new(map[string]any), map[string]any{"y": a}},
		"any without attachments": {`{"_placeholder":true,"num":1}`, nil, new(any), map[string]any{"_placeholder": true, "num": 1.0}},
		"repeated names":          {`{"a":1,"a":"x"}`, nil, new(any), map[string]any{"a": "x"}},
		"repeated in map of any":  {`{"a":1,"a":{"b":2}}`, nil, new(map[string]any), map[string]any{"a": map[string]any{"b": 2.0}}},
		"repeated placeholder":    {`{"_placeholder":true,"_placeholder":false,"num":9}`, both, new(any), map[string]any{"_placeholder": false, "num": 9.0}},
		"lone surrogate":          {`"\ud800"`, nil, new(string), "\uFFFD"},
		"__proto__":               {`{"__proto__":{"constructor":1}}`, nil, new(any), map[string]any{"__proto__": map[string]any{"constructor": 1.0}}},
		"raw":                     {`{"_placeholder":true,"num":1}`, both, new(Raw), Raw{Value: jsontext.Value(`{"_placeholder":true,"num":1}`), Attachments: both}},
		"raw in slice":            {`[1,"x"]`, nil, new([]Raw), []Raw{{Value: jsontext.Value(`1`)}, {Value: jsontext.Value(`"x"`)}}},
		"raw JSON":                {`{"a":[1]}`, nil, new(jsontext.Value), jsontext.Value(`{"a":[1]}`)},
		"empty any":               {`[[],{}]`, nil, new(any), []any{[]any{}, map[string]any{}}},
	} {
		t.Run(name, func(t *testing.T) {
			if err := Unmarshal(jsontext.Value(test.value), test.attachments, test.into); err != nil {
				t.Fatal(err)
			}
			if got := reflect.ValueOf(test.into).Elem().Interface(); !reflect.DeepEqual(got, test.want) {
				t.Errorf("got %#v, want %#v", got, test.want)
			}
		})
	}
}

func TestUnmarshal_ErrorsWrapErrDecode(t *testing.T) {
	one := [][]byte{{1}}
	for _, test := range []struct {
		value       string
		attachments [][]byte
		into        any
	}{
		{`"x"`, nil, new(int)}, {`1e999`, nil, new(any)}, {`1e999`, nil, new(float64)}, {`[1`, nil, new(any)}, {`{"a":1`, nil, new(any)}, {`{"a"`, one, new(any)}, {``, nil, new(any)},
		{`1 2`, nil, new(any)}, {`"?"`, nil, new([]byte)}, {`{}`, nil, new([]byte)}, {`{}`, one, new([]byte)}, {`{"_placeholder":true,"num":1}`, one, new([]byte)},
		{`{"_placeholder":true,"num":-1}`, one, new([]byte)}, {`{"x":{"_placeholder":true,"num":0}}`, one, new([]byte)}, {`{"_placeholder":true,"num":1}`, one, new(any)},
		{`{"_placeholder":true,"num":0.5}`, one, new(any)}, {`{"_placeholder":true,"num":1e300}`, one, new(any)}, {`{"_placeholder":true}`, one, new(any)},
		{`{"_placeholder":true,"num":0}`, nil, new([]byte)}, {`{"_placeholder":true,"num":0}`, one, new(string)}, {`1`, nil, 1}, {`1`, nil, nil},
		{strings.Repeat("[", 1_000_000), one, new(any)}, {strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000), nil, new(any)},
	} {
		if err := Unmarshal(jsontext.Value(test.value), test.attachments, test.into); !errors.Is(err, ErrDecode) {
			t.Errorf("%.40s into %T: got %v, want ErrDecode", test.value, test.into, err)
		}
	}
}

func TestUnmarshal_DeepPlaceholdersTakeLinearTime(t *testing.T) {
	const depth = 900
	value := strings.Repeat(`{"a":[`, depth/2) + `{"_placeholder":true,"num":0}` + strings.Repeat(`]}`, depth/2)
	var got any
	n := testing.AllocsPerRun(1, func() {
		if err := Unmarshal(jsontext.Value(value), [][]byte{{1}}, &got); err != nil {
			t.Error(err)
		}
	})
	if n > 10*depth {
		t.Errorf("got %v allocations for depth %d", n, depth)
	}
}

func TestUnmarshal_MegabyteOfTinyValuesIsBounded(t *testing.T) {
	for _, tiny := range []string{`1,`, `"",`, `[],`, `{},`} {
		text := `2["a",` + strings.Repeat(tiny, 1_000_000/len(tiny)) + `1]`
		used := allocated(func() {
			p, err := decode(NewDecoder(Limits{}), text)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := p.Args(); err != nil {
				t.Fatal(err)
			}
			var v any
			if err := Unmarshal(p.Data, nil, &v); err != nil {
				t.Fatal(err)
			}
		})
		if used > 160<<20 {
			t.Errorf("%s: got %d MiB, want less than 160", tiny, used>>20)
		}
		t.Logf("%s: %d MiB", tiny, used>>20)
	}
}

func TestMarshalEvent_UnmarshalRoundTrip(t *testing.T) {
	type message struct {
		Name  string
		Parts [][]byte
		More  map[string]any
	}
	want := message{"n", [][]byte{{1}, {2, 3}}, map[string]any{"x": []any{[]byte{4}, "y", 1.5, nil}}}
	data, attachments, err := MarshalEvent("e", want)
	if err != nil {
		t.Fatal(err)
	}
	sent := Packet{Type: Event, Data: data, Attachments: attachments}
	p, err := decode(NewDecoder(Limits{}), string(sent.AppendText(nil)), attachments...)
	if err != nil {
		t.Fatal(err)
	}
	args, err := p.Args()
	if err != nil || len(args) != 1 {
		t.Fatalf("got %v, %v", args, err)
	}
	var got message
	if err := args[0].Decode(&got); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v; want %+v", got, err, want)
	}
}
