package packet

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// vectors are texts and what they mean, in both directions.
var vectors = map[string]struct {
	text string
	want Packet
}{
	"connect":                    {`0`, Packet{Type: Connect}},
	"connect with auth":          {`0{"token":"x"}`, Packet{Type: Connect, Data: jsontext.Value(`{"token":"x"}`)}},
	"connect to namespace":       {`0/admin,{"token":"x"}`, Packet{Type: Connect, Namespace: "/admin", Data: jsontext.Value(`{"token":"x"}`)}},
	"connect by server":          {`0{"sid":"a","pid":"b"}`, Packet{Type: Connect, Data: jsontext.Value(`{"sid":"a","pid":"b"}`)}},
	"connect bare namespace":     {`0/admin,`, Packet{Type: Connect, Namespace: "/admin"}},
	"namespace with query":       {`0/admin?a=1&b=2,`, Packet{Type: Connect, Namespace: "/admin?a=1&b=2"}},
	"connect error":              {`4{"message":"not authorized","data":{"a":1}}`, Packet{Type: ConnectError, Data: jsontext.Value(`{"message":"not authorized","data":{"a":1}}`)}},
	"connect error in namespace": {`4/admin,{"message":"Invalid namespace"}`, Packet{Type: ConnectError, Namespace: "/admin", Data: jsontext.Value(`{"message":"Invalid namespace"}`)}},
	"connect error string":       {`4"no"`, Packet{Type: ConnectError, Data: jsontext.Value(`"no"`)}},
	"disconnect":                 {`1`, Packet{Type: Disconnect}},
	"disconnect namespace":       {`1/admin,`, Packet{Type: Disconnect, Namespace: "/admin"}},
	"event":                      {`2["name",1]`, Packet{Type: Event, Data: jsontext.Value(`["name",1]`)}},
	"event with id":              {`212["name",1]`, Packet{Type: Event, ID: 12, HasID: true, Data: jsontext.Value(`["name",1]`)}},
	"event with id 0":            {`20["name"]`, Packet{Type: Event, HasID: true, Data: jsontext.Value(`["name"]`)}},
	"event with largest id":      {`218446744073709551615["name"]`, Packet{Type: Event, ID: 1<<64 - 1, HasID: true, Data: jsontext.Value(`["name"]`)}},
	"event in namespace":         {`2/admin,12["name",1]`, Packet{Type: Event, Namespace: "/admin", ID: 12, HasID: true, Data: jsontext.Value(`["name",1]`)}},
	"event with number":          {`2[7,1]`, Packet{Type: Event, Data: jsontext.Value(`[7,1]`)}},
	"event named error":          {`2["error"]`, Packet{Type: Event, Data: jsontext.Value(`["error"]`)}},
	"event with empty name":      {`2[""]`, Packet{Type: Event, Data: jsontext.Value(`[""]`)}},
	"event named __proto__":      {`2["__proto__",{"__proto__":{"constructor":1}}]`, Packet{Type: Event, Data: jsontext.Value(`["__proto__",{"__proto__":{"constructor":1}}]`)}},
	"placeholder as data":        {`2["a",{"_placeholder":true,"num":99}]`, Packet{Type: Event, Data: jsontext.Value(`["a",{"_placeholder":true,"num":99}]`)}},
	"lone surrogate":             {`2["a","\ud800"]`, Packet{Type: Event, Data: jsontext.Value(`["a","\ud800"]`)}},
	"repeated names":             {`2["a",{"b":1,"b":2}]`, Packet{Type: Event, Data: jsontext.Value(`["a",{"b":1,"b":2}]`)}},
	"huge number":                {`2["a",1e999]`, Packet{Type: Event, Data: jsontext.Value(`["a",1e999]`)}},
	"blanks inside":              {"2[ \"a\"\t,\r\n1 ]", Packet{Type: Event, Data: jsontext.Value("[ \"a\"\t,\r\n1 ]")}},
	"ack":                        {`312["x"]`, Packet{Type: Ack, ID: 12, HasID: true, Data: jsontext.Value(`["x"]`)}},
	"empty ack":                  {`312[]`, Packet{Type: Ack, ID: 12, HasID: true, Data: jsontext.Value(`[]`)}},
	"binary event": {`51-["name",{"_placeholder":true,"num":0}]`,
		Packet{Type: Event, Data: jsontext.Value(`["name",{"_placeholder":true,"num":0}]`), Attachments: [][]byte{{0}}}},
	"binary event in namespace": {`51-/admin,12["a",{"_placeholder":true,"num":0}]`,
		Packet{Type: Event, Namespace: "/admin", ID: 12, HasID: true, Data: jsontext.Value(`["a",{"_placeholder":true,"num":0}]`), Attachments: [][]byte{{0}}}},
	"binary ack": {`61-12[{"_placeholder":true,"num":0}]`,
		Packet{Type: Ack, ID: 12, HasID: true, Data: jsontext.Value(`[{"_placeholder":true,"num":0}]`), Attachments: [][]byte{{0}}}},
}

func TestPacket_AppendText(t *testing.T) {
	for name, v := range vectors {
		t.Run(name, func(t *testing.T) {
			if got := string(v.want.AppendText([]byte("x"))); got != "x"+v.text {
				t.Errorf("got %s, want x%s", got, v.text)
			}
		})
	}
}

func TestPacket_AppendTextChoosesTypeByAttachments(t *testing.T) {
	for p, want := range map[*Packet]string{
		{Type: BinaryEvent, Namespace: "/", Data: jsontext.Value(`["a"]`)}:                        `2["a"]`,
		{Type: BinaryAck, HasID: true, Data: jsontext.Value(`[]`)}:                                `30[]`,
		{Type: BinaryEvent, Data: jsontext.Value(`["a"]`), Attachments: [][]byte{{}}}:             `51-["a"]`,
		{Type: BinaryAck, HasID: true, Data: jsontext.Value(`[]`), Attachments: [][]byte{{}, {}}}: `62-0[]`,
	} {
		if got := string(p.AppendText(nil)); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestDecoder_Text(t *testing.T) {
	for name, v := range vectors {
		t.Run(name, func(t *testing.T) {
			want := v.want
			if want.Namespace == "" {
				want.Namespace = "/"
			}
			got, err := decode(NewDecoder(Limits{}), v.text, want.Attachments...)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("got %+v, want %+v", got, want)
			}
		})
	}
}

// decode gives d a text and its attachments and returns the packet. It is an error
// if that is complete too early or not at all.
func decode(d *Decoder, text string, attachments ...[]byte) (Packet, error) {
	p, complete, err := d.Text([]byte(text))
	for _, a := range attachments {
		if err != nil || complete || !d.Pending() {
			return Packet{}, errors.Join(err, errors.New("complete before its attachments"))
		}
		p, complete, err = d.Binary(a)
	}
	if err == nil && (!complete || d.Pending()) {
		err = errors.New("not complete")
	}
	return p, err
}

func TestDecoder_TextForms(t *testing.T) {
	for text, want := range map[string]string{
		`0/admin`:           `0/admin,`,
		`1/admin`:           `1/admin,`,
		`0/,`:               `0`,
		`0/`:                `0`,
		`2/,["a"]`:          `2["a"]`,
		`2/a/b,0["a"]`:      `2/a/b,0["a"]`,
		`2/ü,["a"]`:         `2/ü,["a"]`,
		`0/a{"b":1}`:        `0/a{"b":1},`,
		`2["a","\u00e9\/"]`: `2["a","\u00e9\/"]`,
	} {
		p, err := decode(NewDecoder(Limits{}), text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
		} else if got := string(p.AppendText(nil)); got != want {
			t.Errorf("%s: got %s, want %s", text, got, want)
		}
	}
}

func TestDecoder_TextRefuses(t *testing.T) {
	invalid := map[string][]string{
		"type":         {``, `7`, `9["a"]`, `x`, `["a"]`, ` 2["a"]`, `/`, "\x00"},
		"connect":      {`0{`, `0[]`, `0"x"`, `0null`, `0true`, `01`, `01{}`, `0 {}`, `0{} `, `0/a,[]`, `0/a,null`, `0{}{}`},
		"disconnect":   {`1{}`, `1[]`, `1"x"`, `10`, `1/a,{}`, `1 `},
		"event":        {`2`, `20`, `2/a`, `2/a,`, `2/a["x"]`, `2{}`, `2"a"`, `2null`, `2[]`, `2[ ]`, `2[null]`, `2[true,1]`, `2[{}]`, `2[["a"]]`},
		"reserved":     {`2["connect"]`, `2["connect_error"]`, `2["disconnect"]`, `2["disconnecting"]`, `2["newListener"]`, `2["removeListener"]`, `2["\u0063onnect"]`, `2[ "disconnect",1]`},
		"ack":          {`3`, `3[]`, `312`, `312{}`, `312"x"`, `312null`, `3/a,[]`},
		"error":        {`4`, `41`, `4[]`, `4null`, `41{}`, `4/a`},
		"id":           {`218446744073709551616["a"]`, `299999999999999999999999["a"]`, `2007["a"]`, `200["a"]`, `2-1["a"]`, `21.5["a"]`, `2+1["a"]`, `21e3["a"]`, `2 1["a"]`},
		"attachments":  {`5["a"]`, `5-["a"]`, `50-["a"]`, `501-["a"]`, `5-1-["a"]`, `51.5-["a"]`, `51`, `51["a"]`, `5+1-["a"]`, `51 -["a"]`, `6["a"]`, `60-1[]`, `5/a,1-["a"]`, `21-["a"]`, `31-1[]`},
		"json":         {`2["a"`, `2["a",]`, `2["a",,1]`, `2["a"]]`, `2["a"]x`, `2["a"] `, "2[\"a\"]\n", `2["a" 1]`, `2['a']`, `2["a",01]`, `2["a",+1]`, `2["a",.5]`, `2["a",1.]`, `2["a",1e]`, `2["a",-]`, `2["a",NaN]`, `2["a",Infinity]`, `2["a",nul]`, `2["a",undefined]`, `2["a",{a:1}]`, `2["a",{"a"}]`, `2["a",{"a":}]`, `2["a",{"a":1,}]`, `2["a",{,}]`, `2["a",{1:2}]`, `2["a`, `2["a\`, `2["\x41"]`, `2["\u12g4"]`, `2["\u12`, `2["a",/**/1]`, "2[\"a\",\ufeff1]", "2[\"a\",\u00a01]"},
		"control byte": {"2[\"a\x00\"]", "2[\"a\",\"\n\"]", "2[\"a\",\"\x1f\"]", "2[\"a\",\x00]", "2[\"a\",\v1]"},
		"utf-8":        {"2[\"\xff\"]", "2[\"a\",\"\xc3\"]", "2[\"a\",\"\xed\xa0\x80\"]", "2[\"a\",\"\xc0\x80\"]", "2[\"a\",{\"\xf4\x90\x80\x80\":1}]", "0/\xff", "2[\"a\",\xe4]"},
	}
	for group, texts := range invalid {
		t.Run(group, func(t *testing.T) {
			for _, text := range texts {
				d := NewDecoder(Limits{})
				if p, complete, err := d.Text([]byte(text)); !errors.Is(err, ErrInvalid) || complete || d.Pending() {
					t.Errorf("%q: got %+v, %v, %v; want ErrInvalid", text, p, complete, err)
				}
			}
		})
	}
}

func TestDecoder_PlaceholdersMustReferToAttachments(t *testing.T) {
	for _, num := range []string{`1`, `2`, `-1`, `99999999999999999999`, `18446744073709551616`, `4294967296`, `0.0`, `0e0`, `-0`, `"0"`, `null`, `true`, `[0]`, `{}`} {
		for _, form := range []string{
			`51-["a",{"_placeholder":true,"num":%s}]`,
			`51-["a",{"num":%s,"_placeholder":true}]`,
			`51-["a",[[{"b":{"_placeholder":true,"num":%s}}]]]`,
			`51-["a",{"\u005fplaceholder":true,"num":%s}]`,
			`51-["a",{"_placeholder":true,"n\u0075m":%s}]`,
			`51-["a",{"_placeholder" : true , "num" : %s }]`,
			`51-["a",{"_placeholder":false,"_placeholder":true,"num":0,"num":%s}]`,
			`61-1[{"_placeholder":true,"num":%s}]`,
		} {
			text := fmt.Sprintf(form, num)
			if _, _, err := NewDecoder(Limits{}).Text([]byte(text)); !errors.Is(err, ErrInvalid) {
				t.Errorf("%s: got %v, want ErrInvalid", text, err)
			}
		}
	}
	for _, text := range []string{`51-["a",{"_placeholder":true}]`, `51-["a",{"_placeholder":true,"num":0,"x":{"_placeholder":true,"num":1}}]`} {
		if _, _, err := NewDecoder(Limits{}).Text([]byte(text)); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: got %v, want ErrInvalid", text, err)
		}
	}
}

func TestDecoder_WhatOnlyResemblesAPlaceholderIsData(t *testing.T) {
	for _, text := range []string{
		`51-["a",{"_placeholder":false,"num":9},{"_placeholder":true,"num":0}]`,
		`51-["a",{"_placeholder":"true","num":9}]`,
		`51-["a",{"_placeholder":1}]`,
		`51-["a",{"num":9}]`,
		`51-["a",{"_placeholder":true,"_placeholder":false,"num":9}]`,
		`51-["a",{"_placeholder\ud800":true,"num":9}]`,
		`51-["a"]`,
	} {
		if _, err := decode(NewDecoder(Limits{}), text, []byte{1}); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestDecoder_AttachmentCountIsRefusedAtTheHeader(t *testing.T) {
	for _, count := range []string{"11", "100", "4294967297", "18446744073709551617", strings.Repeat("9", 400), "1" + strings.Repeat("0", 399)} {
		d := NewDecoder(Limits{})
		if _, _, err := d.Text([]byte("5" + count + `-["a"]`)); !errors.Is(err, ErrLimit) || d.Pending() {
			t.Errorf("%s: got %v, want ErrLimit", count, err)
		}
	}
	if _, _, err := NewDecoder(Limits{MaxAttachments: -1}).Text([]byte(`51-["a"]`)); !errors.Is(err, ErrLimit) {
		t.Errorf("none allowed: got %v, want ErrLimit", err)
	}
}

func TestDecoder_TenAttachmentsComeInOrder(t *testing.T) {
	text, want := []byte(`510-["a"`), [][]byte{}
	for i := range 10 {
		text = appendPlaceholder(append(text, ','), i)
		want = append(want, bytes.Repeat([]byte{byte(i)}, i))
	}
	got, err := decode(NewDecoder(Limits{}), string(text)+"]", want...)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got.Attachments, want) {
		t.Errorf("got %v, want %v", got.Attachments, want)
	}
}

func TestDecoder_OutOfTurn(t *testing.T) {
	d := NewDecoder(Limits{})
	if _, _, err := d.Binary([]byte{1}); !errors.Is(err, ErrInvalid) {
		t.Errorf("binary first: got %v, want ErrInvalid", err)
	}
	if _, err := decode(d, `2["a"]`); err != nil {
		t.Fatal(err)
	}
	if _, _, err := d.Binary([]byte{1}); !errors.Is(err, ErrInvalid) {
		t.Errorf("binary after a plain packet: got %v, want ErrInvalid", err)
	}
	if _, err := decode(d, `51-["a"]`, []byte{1}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := d.Binary([]byte{1}); !errors.Is(err, ErrInvalid) {
		t.Errorf("one binary too many: got %v, want ErrInvalid", err)
	}
	if _, _, err := d.Text([]byte(`52-["a"]`)); err != nil || !d.Pending() {
		t.Fatalf("got %v, pending %v", err, d.Pending())
	}
	if _, _, err := d.Text([]byte(`2["a"]`)); !errors.Is(err, ErrInvalid) || d.Pending() {
		t.Errorf("text while due: got %v, pending %v; want ErrInvalid and nothing kept", err, d.Pending())
	}
}

func TestDecoder_MaxAttachmentBytesCountsAllOfAPacket(t *testing.T) {
	d := NewDecoder(Limits{MaxAttachmentBytes: 10})
	for range 2 { // the count starts anew with each packet
		if _, err := decode(d, `52-["a"]`, make([]byte, 4), make([]byte, 6)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := decode(d, `52-["a"]`, make([]byte, 4), make([]byte, 7)); !errors.Is(err, ErrLimit) || d.Pending() {
		t.Errorf("got %v, pending %v; want ErrLimit and nothing kept", err, d.Pending())
	}
	if _, err := decode(NewDecoder(Limits{}), `51-["a"]`, make([]byte, 10_000_000)); err != nil {
		t.Errorf("default: %v", err)
	}
	if _, err := decode(NewDecoder(Limits{}), `51-["a"]`, make([]byte, 10_000_001)); !errors.Is(err, ErrLimit) {
		t.Errorf("default: got %v, want ErrLimit", err)
	}
	if _, err := decode(NewDecoder(Limits{MaxAttachmentBytes: -1}), `51-["a"]`, make([]byte, 10_000_001)); err != nil {
		t.Errorf("not counted: %v", err)
	}
}

func TestDecoder_MaxDepth(t *testing.T) {
	nested := func(open, middle, shut string, n int) string {
		return `2["a",` + strings.Repeat(open, n) + middle + strings.Repeat(shut, n) + `]`
	}
	for _, c := range []struct {
		limit, depth int
		want         error
	}{
		{0, 999, nil}, {0, 1_000, ErrLimit}, {0, 20_000, ErrLimit}, {0, 100_000, ErrLimit},
		{3, 2, nil}, {3, 3, ErrLimit}, {1, 0, nil}, {-1, 0, ErrLimit}, {1 << 30, 9_999, nil}, {1 << 30, 10_000, ErrLimit},
	} {
		for _, text := range []string{nested("[", "1", "]", c.depth), nested(`{"a":`, "1", "}", c.depth)} {
			if _, err := decode(NewDecoder(Limits{MaxDepth: c.limit}), text); !errors.Is(err, c.want) {
				t.Errorf("limit %d, depth %d: got %v, want %v", c.limit, c.depth, err, c.want)
			}
		}
	}
	if _, err := decode(NewDecoder(Limits{}), "2"+strings.Repeat("[", 100_000)); !errors.Is(err, ErrLimit) {
		t.Errorf("unclosed: got %v, want ErrLimit", err)
	}
}

func TestDecoder_WhoOwnsTheBytes(t *testing.T) {
	d := NewDecoder(Limits{})
	text := []byte(`2/n,["a"]`)
	p, _, err := d.Text(text)
	if err != nil {
		t.Fatal(err)
	}
	if &p.Data[0] != &text[4] {
		t.Error("data of a complete packet was copied")
	}
	text, attachment := []byte(`51-/n,["a"]`), []byte("b")
	if _, _, err := d.Text(text); err != nil {
		t.Fatal(err)
	}
	clear(text)
	p, _, err = d.Binary(attachment)
	clear(attachment)
	if err != nil || string(p.Data) != `["a"]` || p.Namespace != "/n" || string(p.Attachments[0]) != "b" {
		t.Errorf("got %+v, %v; want a packet that owns its memory", p, err)
	}
}

func TestAllocations_NoneToDecodeAPlainEvent(t *testing.T) {
	d, text := NewDecoder(Limits{}), []byte(echoText)
	if n := testing.AllocsPerRun(100, func() { _, _, _ = d.Text(text) }); n != 0 {
		t.Errorf("got %v allocations, want 0", n)
	}
}

func TestDecoder_ErrorsQuoteWhatTheClientSent(t *testing.T) {
	for _, text := range []string{"2[\"\\u0063onnect\"]", "2[\"a\x1b[31m\"]", "0/\xff\n"} {
		_, _, err := NewDecoder(Limits{}).Text([]byte(text))
		if err == nil || strings.ContainsAny(err.Error(), "\x1b\n") || !utf8.ValidString(err.Error()) {
			t.Errorf("%q: got %q", text, err)
		}
	}
}
