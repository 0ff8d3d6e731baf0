package packet

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
)

func TestPacket_Args(t *testing.T) {
	many := strings.Repeat(`,[1,"]"]`, 1000)
	for data, want := range map[string][]string{
		`["e"]`:                          {},
		`[ "e" ]`:                        {},
		`["e",1]`:                        {`1`},
		`[7,"a,b", {"c":[1,2]} ,[],"]"]`: {`"a,b"`, `{"c":[1,2]}`, `[]`, `"]"`},
		`["e"` + many + `]`:              strings.Split(strings.Repeat(`[1,"]"];`, 999)+`[1,"]"]`, ";"),
	} {
		p := Packet{Type: Event, Data: jsontext.Value(data), Attachments: [][]byte{{1}}}
		args, err := p.Args()
		if err != nil {
			t.Fatal(err)
		}
		got := []string{}
		for _, a := range args {
			got = append(got, string(a.Value))
			if !reflect.DeepEqual(a.Attachments, p.Attachments) {
				t.Errorf("%s: got attachments %v", data, a.Attachments)
			}
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %q, want %q", data, got, want)
		}
	}
	p := Packet{Type: Ack, Data: jsontext.Value(`["x",2]`)}
	if args, err := p.Args(); err != nil || len(args) != 2 || string(args[0].Value) != `"x"` {
		t.Errorf("ack: got %v, %v; want all elements", args, err)
	}
}

func TestPacket_ArgsOfUncheckedDataAreRefused(t *testing.T) {
	for _, data := range []string{``, `{}`, `"e"`, `[`, `[]`, `["e"`, `["e",`, `["e",]`, `["e" 1]`, `["e",tru]`, "[\"e\",\"\xff\"]", strings.Repeat("[", 1_000_000)} {
		p := Packet{Type: Event, Data: jsontext.Value(data)}
		if args, err := p.Args(); !errors.Is(err, ErrInvalid) {
			t.Errorf("%.20s: got %v, %v; want ErrInvalid", data, args, err)
		}
	}
}

func TestAllocations_OneForAPacketsArgs(t *testing.T) {
	p := Packet{Type: Event, Data: jsontext.Value(`["e",1,{"a":[2]},"x"]`)}
	if n := testing.AllocsPerRun(100, func() { _, _ = p.Args() }); n != 1 {
		t.Errorf("got %v allocations, want 1", n)
	}
}

func TestEventName(t *testing.T) {
	for data, want := range map[string]string{
		`["echo",1]`: "echo", `[ "a b" ]`: "a b", `[""]`: "", `["\u0065\"\ud83d\ude00"]`: "e\"😀", `["\ud800"]`: "\uFFFD", `[7]`: "7", `[-1.5e3,2]`: "-1.5e3", `["é"]`: "é",
	} {
		if got, ok := EventName(jsontext.Value(data)); !ok || string(got) != want {
			t.Errorf("%s: got %q, %v; want %q", data, got, ok, want)
		}
	}
	for _, data := range []string{``, `[`, `[]`, `[null]`, `[{}]`, `[["a"]]`, `{}`, `"a"`, `["a`, `[-]`} {
		if got, ok := EventName(jsontext.Value(data)); ok {
			t.Errorf("%s: got %q, want none", data, got)
		}
	}
	data := jsontext.Value(`["echo",1]`)
	if n := testing.AllocsPerRun(100, func() { _, _ = EventName(data) }); n != 0 {
		t.Errorf("got %v allocations, want 0", n)
	}
}

func TestRaw_Decode(t *testing.T) {
	var got struct{ Image []byte }
	err := Raw{Value: jsontext.Value(`{"Image":{"_placeholder":true,"num":1}}`), Attachments: [][]byte{{0}, {1}}}.Decode(&got)
	if err != nil || fmt.Sprint(got.Image) != "[1]" {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestMarshalArgs_PassesCheckedValuesOnAndChecksChangedOnes(t *testing.T) {
	p := Packet{Type: Event, Data: jsontext.Value(`["e", {"a" : 1} ,"x"]`)}
	args, err := p.Args()
	if err != nil {
		t.Fatal(err)
	}
	data, _, err := MarshalEvent("again\u2028", args[0], args[1])
	if err != nil || string(data) != "[\"again\u2028\",{\"a\" : 1},\"x\"]" {
		t.Errorf("MarshalEvent = %s, %v", data, err)
	}
	data, _, err = MarshalArgs(args[1])
	if err != nil || string(data) != `["x"]` {
		t.Errorf("MarshalArgs = %s, %v", data, err)
	}
	if data, _, err = MarshalArgs(); err != nil || string(data) != `[]` {
		t.Errorf("MarshalArgs of nothing = %s, %v", data, err)
	}
	args[0].Value = jsontext.Value(`{"a" `)
	if _, _, err := MarshalArgs(args[0]); !errors.Is(err, ErrEncode) {
		t.Errorf("a value that was replaced by something else: %v, want ErrEncode", err)
	}
}
