package packet

import (
	stdjson "encoding/json"
	"errors"
	"math"
	"net/netip"
	"reflect"
	"strings"
	"sync"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
)

type blob []byte

func TestMarshalEvent_Forms(t *testing.T) {
	type inner struct {
		Data []byte `json:"data"`
		N    int    `json:"n,omitzero"`
	}
	a, b, c := []byte("a"), []byte("b"), []byte{}
	for name, test := range map[string]struct {
		args        []any
		want        string
		attachments [][]byte
	}{
		"none":                    {nil, `["e"]`, nil},
		"plain":                   {[]any{nil, true, 1, -2.5, uint8(3), "x<&>\u2028"}, "[\"e\",null,true,1,-2.5,3,\"x<&>\u2028\"]", nil},
		"struct":                  {[]any{inner{N: 1}}, `["e",{"data":null,"n":1}]`, nil},
		"nil slice, map, pointer": {[]any{[]int(nil), map[string]int(nil), (*inner)(nil)}, `["e",[],{},null]`, nil},
		"nil bytes":               {[]any{[]byte(nil)}, `["e",null]`, nil},
		"bytes":                   {[]any{a}, `["e",{"_placeholder":true,"num":0}]`, [][]byte{a}},
		"empty bytes":             {[]any{c}, `["e",{"_placeholder":true,"num":0}]`, [][]byte{c}},
		"pointer to bytes":        {[]any{&a}, `["e",{"_placeholder":true,"num":0}]`, [][]byte{a}},
		"depth first": {[]any{a, []any{inner{Data: b}, map[string]any{"x": c}}, [][]byte{a, nil}},
			`["e",{"_placeholder":true,"num":0},[{"data":{"_placeholder":true,"num":1}},{"x":{"_placeholder":true,"num":2}}],[{"_placeholder":true,"num":3},null]]`,
			[][]byte{a, b, c, a}},
		"raw JSON":      {[]any{jsontext.Value(`{"a":1,"a":2,"b":"\ud800"}`), stdjson.RawMessage(`[1e999]`)}, `["e",{"a":1,"a":2,"b":"\ud800"},[1e999]]`, nil},
		"nil raw JSON":  {[]any{jsontext.Value(nil), Raw{}}, `["e",null,null]`, nil},
		"own text form": {[]any{netip.MustParseAddr("::1")}, `["e","::1"]`, nil},
		"named bytes":   {[]any{blob("a")}, `["e","YQ=="]`, nil},
		"byte array":    {[]any{[1]byte{'a'}}, `["e","YQ=="]`, nil},
		"invalid UTF-8": {[]any{"a\xffb", map[string]string{"\xff": "x"}, jsontext.Value("\"c\xff\"")}, "[\"e\",\"a\ufffdb\",{\"\ufffd\":\"x\"},\"c\ufffd\"]", nil},
	} {
		t.Run(name, func(t *testing.T) {
			got, attachments, err := MarshalEvent("e", test.args...)
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != test.want || !reflect.DeepEqual(attachments, test.attachments) {
				t.Errorf("got %s %q, want %s %q", got, attachments, test.want, test.attachments)
			}
		})
	}
}

func TestMarshalArgs_HasNoName(t *testing.T) {
	for want, args := range map[string][]any{`[]`: nil, `["x",{"_placeholder":true,"num":0}]`: {"x", []byte("b")}} {
		if got, _, err := MarshalArgs(args...); err != nil || string(got) != want {
			t.Errorf("got %s, %v; want %s", got, err, want)
		}
	}
}

func TestMarshalEvent_AttachmentsAreNotCopied(t *testing.T) {
	b := []byte("x")
	_, attachments, err := MarshalEvent("e", map[string]any{"b": b})
	if err != nil || &attachments[0][0] != &b[0] {
		t.Errorf("got another slice, %v", err)
	}
}

func TestMarshalEvent_ErrorNamesEventAndArgument(t *testing.T) {
	for _, bad := range []any{math.NaN(), math.Inf(1), make(chan int), func() {}, map[bool]int{true: 1}, []any{complex(1, 1)}, jsontext.Value(`{`), jsontext.Value{}, Raw{Value: jsontext.Value(`[1,]`)}} {
		_, _, err := MarshalEvent("news", "fine", bad)
		if !errors.Is(err, ErrEncode) || !strings.Contains(err.Error(), `event "news": argument 1`) {
			t.Errorf("%T: got %v", bad, err)
		}
		if _, _, err = MarshalArgs(bad); !errors.Is(err, ErrEncode) || !strings.Contains(err.Error(), "argument 0") {
			t.Errorf("%T: got %v", bad, err)
		}
		if _, err = MarshalValue(bad); !errors.Is(err, ErrEncode) {
			t.Errorf("%T: got %v", bad, err)
		}
	}
}

func TestMarshalValue_HasNoAttachments(t *testing.T) {
	if got, err := MarshalValue(map[string]string{"sid": "x"}); err != nil || string(got) != `{"sid":"x"}` {
		t.Errorf("got %s, %v", got, err)
	}
	if got, err := MarshalValue(nil); err != nil || string(got) != `null` {
		t.Errorf("got %s, %v", got, err)
	}
	for _, v := range []any{[]byte("x"), map[string]any{"a": []any{[]byte{}}}} {
		if _, err := MarshalValue(v); !errors.Is(err, ErrBinary) {
			t.Errorf("%v: got %v, want ErrBinary", v, err)
		}
	}
}

func TestMarshalEvent_RawIsPassedOnWithItsAttachments(t *testing.T) {
	a, b, c := []byte("a"), []byte("b"), []byte("c")
	received := Raw{Value: jsontext.Value(`{"x" : {"num":2,"_placeholder":true}, "y":[{"_placeholder":true,"num":0}]}`), Attachments: [][]byte{a, b, c}}
	got, attachments, err := MarshalEvent("e", []byte("first"), received, []Raw{{Value: jsontext.Value(`1`)}}, &received)
	want := `["e",{"_placeholder":true,"num":0},{"x":{"_placeholder":true,"num":1},"y":[{"_placeholder":true,"num":2}]},[1],{"x":{"_placeholder":true,"num":3},"y":[{"_placeholder":true,"num":4}]}]`
	if err != nil || string(got) != want || !reflect.DeepEqual(attachments, [][]byte{[]byte("first"), c, a, c, a}) {
		t.Errorf("got %s %q, %v; want %s", got, attachments, err, want)
	}
	for _, bad := range []string{`{"_placeholder":true,"num":3}`, `{"_placeholder":true}`, `[`} {
		if _, _, err := MarshalEvent("e", Raw{Value: jsontext.Value(bad), Attachments: [][]byte{a}}); !errors.Is(err, ErrEncode) {
			t.Errorf("%s: got %v, want ErrEncode", bad, err)
		}
	}
}

// A client that sends a placeholder in plain data must not make others, to whom the
// data is relayed next to an attachment, take that attachment for it.
func TestMarshalEvent_ForeignPlaceholderNextToAttachmentsIsRefused(t *testing.T) {
	for _, forged := range []any{
		jsontext.Value(`{"_placeholder":true,"num":0}`),
		jsontext.Value(`{"_placeholder":true,"num":99}`),
		Raw{Value: jsontext.Value(`[{"num":0,"\u005fplaceholder":true}]`)},
		map[string]any{"_placeholder": true, "num": 0},
		map[string]any{"_placeholder": true, "num": 0, "x": []byte("inside")},
	} {
		if _, _, err := MarshalEvent("e", []byte("mine"), forged); !errors.Is(err, ErrEncode) {
			t.Errorf("%v: got %v, want ErrEncode", forged, err)
		}
	}
	if _, attachments, err := MarshalEvent("e", jsontext.Value(`{"_placeholder":true,"num":0}`)); err != nil || attachments != nil {
		t.Errorf("without attachments it is plain data: got %v", err)
	}
}

func TestMarshalEvent_PoolKeepsNothing(t *testing.T) {
	for range 100 {
		if _, _, err := MarshalEvent("e", []byte("x"), make(chan int)); err == nil {
			t.Fatal("a channel was encoded")
		}
		if data, attachments, err := MarshalArgs([]byte("y")); err != nil || string(data) != `[{"_placeholder":true,"num":0}]` || len(attachments) != 1 {
			t.Fatalf("got %s %q, %v", data, attachments, err)
		}
	}
}

func TestMarshalEvent_Concurrently(t *testing.T) {
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			want := []byte{byte(i)}
			for range 200 {
				_, attachments, err := MarshalEvent("e", map[string]any{"b": want})
				if err != nil || len(attachments) != 1 || attachments[0][0] != want[0] {
					t.Errorf("got %v, %v", attachments, err)
					return
				}
				var got map[string]any
				if err := Unmarshal(jsontext.Value(`{"b":{"_placeholder":true,"num":0}}`), attachments, &got); err != nil || !reflect.DeepEqual(got["b"], want) {
					t.Errorf("got %v, %v", got, err)
					return
				}
			}
		})
	}
	wg.Wait()
}
