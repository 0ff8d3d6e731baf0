package server_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/roomcast/roomcast/internal/testutil/rawclient"
	"github.com/roomcast/roomcast/pkg/server"
)

// attached marks the packets of a row that are attachments.
const attached = "binary:"

// sends sends a row's packets.
func sends(c *rawclient.Client, packets []string) {
	for _, p := range packets {
		if data, ok := strings.CutPrefix(p, attached); ok {
			c.SendBinary([]byte(data))
		} else {
			c.Send(p)
		}
	}
}

const evilHeader = `51-["evil",{"_placeholder":true,"num":0}]`

// What closes a client that has not connected to a namespace.
var closesBeforeConnect = map[string][]string{
	"event":              {`2["evil"]`},
	"binary header":      {evilHeader},
	"binary header, 6":   {`61-1[{"_placeholder":true,"num":0}]`},
	"attachment":         {attached + "x"},
	"acknowledgement":    {`31[]`},
	"DISCONNECT":         {"1"},
	"CONNECT with {":     {"0{"},
	"CONNECT with []":    {"0[]"},
	"CONNECT with text":  {`0"x"`},
	"CONNECT with null":  {"0null"},
	"CONNECT with id":    {"01{}"},
	"CONNECT, then more": {"0{}x"},
	"empty packet":       {""},
}

// What closes a client that has connected to "/" and to no other namespace.
var closesAfterConnect = map[string][]string{
	"type 7": {"7"}, "type 9": {"9"}, "type letter": {"x"}, "type minus": {"-1"}, "type blank": {" 2"}, "fullwidth digit": {"２"},

	"EVENT without payload":  {"2"},
	"EVENT with object":      {`2{"0":"evil"}`},
	"EVENT with text":        {`2"evil"`},
	"EVENT empty":            {"2[]"},
	"EVENT named by null":    {"2[null]"},
	"EVENT named by true":    {"2[true]"},
	"EVENT named by object":  {`2[{"toString":"evil"}]`},
	"EVENT named by array":   {`2[["evil"]]`},
	"EVENT unfinished":       {`2["evil"`},
	"EVENT with a tail":      {`2["evil"]x`},
	"EVENT with two arrays":  {`2["evil"]["evil"]`},
	"EVENT with minus as id": {`2-1["evil"]`},

	"reserved connect":        {`2["connect"]`},
	"reserved connect_error":  {`2["connect_error"]`},
	"reserved disconnect":     {`2["disconnect"]`},
	"reserved disconnecting":  {`2["disconnecting"]`},
	"reserved newListener":    {`2["newListener"]`},
	"reserved removeListener": {`2["removeListener"]`},
	"reserved, escaped":       {`2["dis\u0063onnect"]`},
	"reserved, binary":        {`51-["connect",{"_placeholder":true,"num":0}]`, attached + "x"},

	"num out of range": {`51-["evil",{"_placeholder":true,"num":1}]`, attached + "x"},
	"num negative":     {`51-["evil",{"_placeholder":true,"num":-1}]`, attached + "x"},
	"num huge":         {`51-["evil",{"_placeholder":true,"num":18446744073709551616}]`, attached + "x"},
	"num fraction":     {`51-["evil",{"_placeholder":true,"num":0.5}]`, attached + "x"},
	"num text":         {`51-["evil",{"_placeholder":true,"num":"0"}]`, attached + "x"},
	"num null":         {`51-["evil",{"_placeholder":true,"num":null}]`, attached + "x"},
	"num absent":       {`51-["evil",{"_placeholder":true}]`, attached + "x"},

	"count absent":        {`5["evil"]`},
	"count only hyphen":   {`5-["evil"]`},
	"count negative":      {`5-1-["evil"]`},
	"count fraction":      {`51.5-["evil"]`},
	"count zero":          {`50-["evil"]`},
	"count leading zero":  {`501-["evil",{"_placeholder":true,"num":0}]`},
	"count 11":            {`511-["evil"]`},
	"count exponent":      {`51e1-["evil"]`},
	"count of 400 digits": {"5" + strings.Repeat("9", 400) + `-["evil"]`},
	"count 2^64":          {`518446744073709551616-["evil"]`},

	"text where an attachment is due": {evilHeader, `2["evil"]`},
	"CONNECT where one is due":        {evilHeader, "0/other,"},
	"DISCONNECT where one is due":     {evilHeader, "1"},
	"attachment not due":              {attached + "x"},
	"attachment too many":             {`51-["echo",{"_placeholder":true,"num":0}]`, attached + "x", attached + "y"},

	"ack id 2^64":          {`218446744073709551616["evil"]`},
	"ack id of 23 digits":  {"2" + strings.Repeat("1", 23) + `["evil"]`},
	"ack that is no array": {`31{"evil":1}`},
	"ack without payload":  {"31"},
	"ack of text":          {`31"x"`},

	"20,000 nested arrays":   {`2["evil",` + strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000) + "]"},
	"100,000 nested arrays":  {`2["evil",` + strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000) + "]"},
	"100,000 nested objects": {`2["evil",` + strings.Repeat(`{"a":`, 100_000) + "1" + strings.Repeat("}", 100_000) + "]"},
	"100,000 open arrays":    {"2[" + strings.Repeat("[", 100_000)},
	"NaN":                    {`2["evil",NaN]`},
	"Infinity":               {`2["evil",Infinity]`},
	"hexadecimal":            {`2["evil",0x10]`},
	"leading zero":           {`2["evil",01]`},
	"control bytes":          {"2[\"evil\",\"\x01\"]"},
	"trailing comma":         {`2["evil",]`},
	"comment":                {`2["evil"/**/]`},

	"CONNECT twice":                {"0"},
	"event in another namespace":   {`2/other,["evil"]`},
	"ack in another namespace":     {`3/other,1["evil"]`},
	"DISCONNECT of another":        {"1/other,"},
	"DISCONNECT with payload":      {`1{"evil":1}`},
	"CONNECT_ERROR":                {`4{"message":"evil"}`},
	"CONNECT_ERROR of another":     {`4/other,{"message":"evil"}`},
	"event after DISCONNECT":       {"1", `2["evil"]`},
	"binary event after":           {"1", evilHeader},
	"namespace with broken UTF-8?": {"0/\xff,"},
}

func TestHostilePacket_ThatCloses(t *testing.T) {
	v := besiege(t, server.Options{})
	sync(v.server.Of("/other"))
	for name, packets := range closesBeforeConnect {
		t.Run("before CONNECT: "+name, func(t *testing.T) {
			c := rawclient.Dial(t, v.url, nil)
			sends(c, packets)
			if before := c.ExpectClose(); len(before) > 0 {
				t.Errorf("before the close came %.200q", before)
			}
			v.unharmed(t)
		})
	}
	for name, packets := range closesAfterConnect {
		t.Run("after CONNECT: "+name, func(t *testing.T) {
			c := v.join(t)
			sends(c, packets)
			c.ExpectClose()
			if got := receive(t, v.ends); got != server.ForcedClose && got != server.ClientDisconnect && got != server.TransportError {
				t.Errorf("reason is %q", got)
			}
			v.unharmed(t)
		})
	}
	if n := v.evil.Load(); n != 0 {
		t.Errorf("%d events of refused packets were handled", n)
	}
}

// The same packets end a polling session.
func TestHostilePacket_ThatClosesOverPolling(t *testing.T) {
	v := besiege(t, server.Options{})
	sync(v.server.Of("/other"))
	for name, packets := range closesAfterConnect {
		t.Run(name, func(t *testing.T) {
			p := v.enter(t)
			payload := ""
			for i, packet := range packets {
				if i > 0 {
					payload += "\x1e"
				}
				if data, ok := strings.CutPrefix(packet, attached); ok {
					payload += map[string]string{"x": "beA==", "y": "beQ=="}[data]
				} else {
					payload += "4" + packet
				}
			}
			if a := p.post(payload); a.status == 200 || a.status == silence {
				t.Errorf("got %d", a.status)
			}
			v.unharmed(t)
		})
	}
	if n := v.evil.Load(); n != 0 {
		t.Errorf("%d events of refused packets were handled", n)
	}
}

// What is odd but allowed: the client stays, and what comes back is right.
func TestHostilePacket_ThatIsOrdinary(t *testing.T) {
	v := besiege(t, server.Options{})
	c := v.join(t)
	for name, test := range map[string]struct{ packet, reply string }{
		"event error":         {`2["error",{"message":"x"}]`, ""},
		"event __proto__":     {`2["__proto__"]`, ""},
		"event constructor":   {`2["constructor"]`, ""},
		"event without name":  {`2[""]`, ""},
		"event with a number": {`2[1,2]`, ""},
		"unknown, wants ack":  {`25["toString"]`, ""},
		"ack nobody awaits":   {`3999["x"]`, ""},
		"keys of prototypes":  {`21["echo",{"__proto__":{"a":1},"constructor":{"prototype":1}}]`, `31[{"__proto__":{"a":1},"constructor":{"prototype":1}}]`},
		"placeholder as data": {`21["echo",{"_placeholder":true,"num":0}]`, ""},
		"ack id 2^64-1":       {`218446744073709551615["echo"]`, `318446744073709551615[]`},
		"1e999":               {`21["echo",1e999,-0,1e-999]`, `31[1e999,-0,1e-999]`},
		"long number":         {`21["echo",` + strings.Repeat("9", 5000) + `]`, `31[` + strings.Repeat("9", 5000) + `]`},
		"name with a quote":   {`2["a\"\\\u0000b",1]`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			c.Send(test.packet)
			if test.reply != "" {
				c.Expect(test.reply)
			} else if name == "placeholder as data" {
				if got := c.Next(); !json.Valid([]byte(strings.TrimPrefix(got, "31"))) {
					t.Errorf("got %q, want valid JSON", got)
				}
			}
			c.ExpectNothing("/")
			v.unharmed(t)
		})
	}
}

func TestHostilePacket_LoneSurrogates(t *testing.T) {
	v := besiege(t, server.Options{})
	for _, text := range []string{`"\ud800"`, `"\udc00\ud800"`, `"\ud83d\ude00"`, `{"\ud800":1}`} {
		c := v.join(t)
		c.Send(`21["echo",` + text + `]`)
		c.Expect(`31[` + text + `]`)
		v.unharmed(t)
	}
}

func TestHostilePacket_TenAttachmentsInOrder(t *testing.T) {
	v := besiege(t, server.Options{})
	c := v.join(t)
	event := `510-1["echo"`
	reply := `610-1[`
	for n := range 10 {
		event += fmt.Sprintf(`,{"_placeholder":true,"num":%d}`, 9-n)
		reply += fmt.Sprintf(`{"_placeholder":true,"num":%d},`, n)
	}
	c.Send(event + "]")
	for n := range 10 {
		c.SendBinary([]byte{byte(n)})
	}
	c.Expect(strings.TrimSuffix(reply, ",") + "]")
	for n := range 10 {
		c.Expect("binary:" + string(rune(9-n)))
	}
}

func TestHostilePacket_WithheldAttachmentsLeaveNothing(t *testing.T) {
	v := besiege(t, server.Options{})
	load := make([]byte, 100_000) // 24 MB in all; the clients' own memory is 10 KB each
	givesBack(t, v, func() {
		grows(t, 4<<20, func() {
			for range 240 {
				c := v.join(t)
				c.Send(`52-["evil",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]`)
				c.SendBinary(load)
				c.Close()
				receive(t, v.sockets) // the test itself must not hold them
			}
			eventually(t, "the end of all clients", func() bool { return v.sessions() == 1 })
		})
	})
	if n := v.evil.Load(); n != 0 {
		t.Errorf("%d unfinished events were handled", n)
	}
}

func TestHostilePacket_TinyValues(t *testing.T) {
	v := besiege(t, server.Options{})
	c := v.join(t)
	server.On(v.server.Of("/"), "tree", func(_ context.Context, _ *server.Socket, tree any) error { return nil })
	tiny := strings.Repeat("[],", 330_000) + "[]"
	peak := peaks(func() {
		c.Send(`21["tree",[` + tiny + `]]`)
		c.Expect("31[]")
		c.Send(`22["echo",[` + tiny + `]]`)
		c.Expect(`32[[` + tiny + `]]`)
	})
	if peak > 160<<20 {
		t.Errorf("memory grew by %d MiB for a moment, want at most 160 MiB", peak>>20)
	}
	t.Logf("memory grew by %d MiB for a moment", peak>>20)
}

func TestHostilePacket_Namespaces(t *testing.T) {
	v := besiege(t, server.Options{})
	c := v.join(t)
	for _, name := range []string{
		"/#", "/*", "//", "/../", "/?", "/[a-z]", "/main#", "/admin", "/ ", "/\t", "/%2e%2e", "/\u202eevil", "/\x00", "/\"", "/constructor", "/__proto__",
		"/" + strings.Repeat("n", 511), "/" + strings.Repeat("n", 512), "/" + strings.Repeat("n", 900_000),
	} {
		c.Send("0" + name + ",")
		c.Expect("4" + name + `,{"message":"Invalid namespace"}`)
		c.ExpectNothing("/")
	}
	v.unharmed(t)
}

func TestHostilePacket_CONNECTsToUnknownNamespaces(t *testing.T) {
	v := besiege(t, server.Options{})
	c := v.join(t)
	grows(t, 4<<20, func() {
		for n := range 20_000 {
			c.Send(fmt.Sprintf("0/unknown%d,", n))
		}
		if refusals := len(c.ExpectClose()); refusals > 1000 {
			t.Errorf("%d refusals before the close, want at most MaxConnectAttempts", refusals)
		}
	})
}

// Recovery is off: an id that should recover a session is data like any other.
func TestHostilePacket_MadeUpRecovery(t *testing.T) {
	v := besiege(t, server.Options{})
	for _, auth := range []string{
		`{"pid":"x","offset":"y"}`, `{"pid":1,"offset":null}`, `{"pid":["*"],"offset":{}}`, `{"pid":"*\r\nFLUSHALL\r\n","offset":"0-0 +"}`, `{"__proto__":{"pid":"x"}}`,
	} {
		c := rawclient.Dial(t, v.url, nil)
		c.Connect("/", auth)
		c.ExpectNothing("/")
	}
}
