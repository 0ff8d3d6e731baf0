package server_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"maps"
	"math"
	"net/http"
	"strings"
	"testing"

	"github.com/gorilla/websocket"
	"github.com/tinylib/msgp/msgp"

	"github.com/roomcast/roomcast/internal/testutil/rawclient"
	"github.com/roomcast/roomcast/pkg/packet"
	"github.com/roomcast/roomcast/pkg/parser/msgpack"
	"github.com/roomcast/roomcast/pkg/server"
)

// The tests of this file send to a server with the MessagePack parser what those of
// hostile_packet_test.go send to one with the default parser.

// object is a MessagePack map.
type object = map[string]any

// packed returns the MessagePack of a value.
func packed(value any) string {
	data, err := msgp.AppendIntf(nil, value)
	if err != nil {
		panic(err)
	}
	return string(data)
}

// pack returns a packet of "/" with these members beside its type and namespace.
func pack(kind int, members object) string {
	p := object{"type": kind, "nsp": "/"}
	maps.Copy(p, members)
	return packed(p)
}

// event returns an event packet; an argument may be msgp.Raw.
func event(name any, args ...any) string {
	return pack(2, object{"data": append([]any{name}, args...)})
}

// asking is event for an acknowledgement with the id 1.
func asking(name any, args ...any) string {
	return pack(2, object{"data": append([]any{name}, args...), "id": 1})
}

// evilAnd is a packet whose data is the beginning of an event and then raw bytes.
func evilAnd(raw string) string {
	return "\x83\xa4type\x02\xa3nsp\xa1/\xa4data\x92\xa4evil" + raw
}

// text marks the messages of a row that are no binary ones.
const text = "text:"

// What closes a client that has not connected to a namespace.
var msgpackBeforeConnect = map[string]string{
	"event":                 event("evil"),
	"event with attachment": event("evil", []byte("x")),
	"acknowledgement":       pack(3, object{"id": 1, "data": []any{}}),
	"DISCONNECT":            pack(1, nil),
	"CONNECT with array":    pack(0, object{"data": []any{}}),
	"CONNECT with text":     pack(0, object{"data": "x"}),
	"CONNECT with nil":      pack(0, object{"data": nil}),
	"CONNECT with binary":   pack(0, object{"data": []byte("{}")}),
	"CONNECT with a binary": pack(0, object{"data": object{"token": []byte("x")}}),
	"CONNECT with id":       pack(0, object{"id": 1}),
	"CONNECT, then more":    pack(0, nil) + "\xc0",
	"two CONNECTs":          pack(0, nil) + pack(0, nil),
	"empty message":         "",
	"text":                  text + "40",
	"text of an event":      text + `42["evil"]`,
}

// What closes a client that has connected to "/" and to no other namespace.
var msgpackAfterConnect = map[string]string{
	"type 5": pack(5, object{"data": []any{"evil"}}), "type 7": pack(7, object{"data": []any{"evil"}}), "type -1": pack(-1, object{"data": []any{"evil"}}),
	"type as text": packed(object{"type": "2", "nsp": "/", "data": []any{"evil"}}), "no type": packed(object{"nsp": "/", "data": []any{"evil"}}),
	"type 2.5":       packed(object{"type": 2.5, "nsp": "/", "data": []any{"evil"}}),
	"no namespace":   packed(object{"type": 2, "data": []any{"evil"}}),
	"no map":         packed([]any{2, "/", []any{"evil"}}),
	"type twice":     "\x84\xa4type\x02\xa4type\x02\xa3nsp\xa1/\xa4data\x91\xa4evil",
	"namespace 7":    packed(object{"type": 2, "nsp": 7, "data": []any{"evil"}}),
	"random bytes":   "\xde\xad\xbe\xef",
	"a default text": text + `42["evil"]`,
	"an odd text":    text + "4\x83\xa4type\x02",

	"EVENT without payload":   pack(2, nil),
	"EVENT with object":       pack(2, object{"data": object{"0": "evil"}}),
	"EVENT with text":         pack(2, object{"data": "evil"}),
	"EVENT with binary":       pack(2, object{"data": []byte("evil")}),
	"EVENT empty":             pack(2, object{"data": []any{}}),
	"EVENT named by nil":      event(nil),
	"EVENT named by true":     event(true),
	"EVENT named by object":   event(object{"toString": "evil"}),
	"EVENT named by array":    event([]any{"evil"}),
	"EVENT named by binary":   event([]byte("evil")),
	"EVENT unfinished":        evilAnd(""),
	"EVENT with a tail":       event("evil") + "x",
	"EVENT with minus as id":  pack(2, object{"data": []any{"evil"}, "id": -1}),
	"EVENT with a text as id": pack(2, object{"data": []any{"evil"}, "id": "1"}),
	"EVENT with half an id":   pack(2, object{"data": []any{"evil"}, "id": 1.5}),
	"EVENT with 2^63 as id":   pack(2, object{"data": []any{"evil"}, "id": uint64(1) << 63}),

	"reserved connect":        event("connect"),
	"reserved connect_error":  event("connect_error"),
	"reserved disconnect":     event("disconnect"),
	"reserved disconnecting":  event("disconnecting"),
	"reserved newListener":    event("newListener"),
	"reserved removeListener": event("removeListener"),
	"reserved, binary":        event("connect", []byte("x")),

	"placeholder and binary": event("evil", object{"_placeholder": true, "num": 0}, []byte("x")),
	"placeholder of 2^64":    event("evil", object{"_placeholder": true, "num": uint64(math.MaxUint64)}, []byte("x")),

	"array of 4G":        evilAnd("\xdd\xff\xff\xff\xff"),
	"map of 4G":          evilAnd("\xdf\xff\xff\xff\xff"),
	"text of 4G":         evilAnd("\xdb\xff\xff\xff\xffx"),
	"binary of 4G":       evilAnd("\xc6\xff\xff\xff\xffx"),
	"extension of 4G":    evilAnd("\xc9\xff\xff\xff\xff\x01x"),
	"packet of 4G":       "\xdf\xff\xff\xff\xff\xa4type\x02",
	"key of 4G":          "\x83\xdb\xff\xff\xff\xfftype\x02",
	"namespace of 4G":    "\x83\xa4type\x02\xa3nsp\xdb\xff\xff\xff\xff/",
	"never used byte":    evilAnd("\xc1"),
	"key that is array":  evilAnd("\x81\x91\x01\x02"),
	"key that is map":    evilAnd("\x81\x80\x02"),
	"broken UTF-8":       evilAnd("\xa1\xff"),
	"surrogate":          evilAnd("\xa3\xed\xa0\x80"),
	"overlong character": evilAnd("\xa2\xc0\xaf"),
	"broken key":         evilAnd("\x81\xa1\xff\x01"),

	"ack that is no array": pack(3, object{"id": 1, "data": object{"evil": 1}}),
	"ack without payload":  pack(3, object{"id": 1}),
	"ack without id":       pack(3, object{"data": []any{}}),
	"ack of text":          pack(3, object{"id": 1, "data": "x"}),

	"20,000 nested arrays":   evilAnd(strings.Repeat("\x91", 20_000) + "\xc0"),
	"100,000 nested arrays":  evilAnd(strings.Repeat("\x91", 100_000) + "\xc0"),
	"100,000 nested objects": evilAnd(strings.Repeat("\x81\xa1a", 100_000) + "\xc0"),
	"100,000 open arrays":    evilAnd(strings.Repeat("\x91", 100_000)),
	"nested elsewhere":       "\x83\xa4type\x02\xa3nsp\xa1/\xa4else" + strings.Repeat("\x91", 200_000) + "\xc0",
	"nested as the packet":   strings.Repeat("\x91", 200_000),

	"CONNECT twice":              pack(0, nil),
	"event in another namespace": packed(object{"type": 2, "nsp": "/other", "data": []any{"evil"}}),
	"ack in another namespace":   packed(object{"type": 3, "nsp": "/other", "data": []any{}, "id": 1}),
	"DISCONNECT of another":      packed(object{"type": 1, "nsp": "/other"}),
	"DISCONNECT with payload":    pack(1, object{"data": object{"evil": 1}}),
	"CONNECT_ERROR":              pack(4, object{"data": object{"message": "evil"}}),
	"namespace without slash":    packed(object{"type": 0, "nsp": "other"}),
	"namespace of broken UTF-8":  packed(object{"type": 0, "nsp": "/\xff"}),
	"two packets":                event("evil") + event("evil"),
}

// besiegeMsgpack is besiege for a server with the MessagePack parser.
func besiegeMsgpack(t *testing.T, options server.Options) *victim {
	t.Helper()
	options.Parser = msgpack.New()
	return besiege(t, options)
}

// packs sends a row's message.
func packs(c *rawclient.Client, message string) {
	if plain, ok := strings.CutPrefix(message, text); ok {
		c.SendRaw(plain)
	} else {
		c.SendBinary([]byte(message))
	}
}

// joinPacked connects an attacker who speaks MessagePack to "/".
func (v *victim) joinPacked(t *testing.T) *rawclient.Client {
	t.Helper()
	c := rawclient.Dial(t, v.url, v.dial)
	packs(c, pack(0, nil))
	if got := v.heard(c); !strings.HasPrefix(got, `40{"sid":"`) {
		t.Fatalf("the answer to CONNECT is %q", got)
	}
	return c
}

// heard returns the next packet, as the default parser would have written it.
func (v *victim) heard(c *rawclient.Client) string {
	return v.tongue.hear(websocket.BinaryMessage, []byte(strings.TrimPrefix(c.Next(), attached)))
}

func TestHostileParser_PacketsThatClose(t *testing.T) {
	v := besiegeMsgpack(t, server.Options{})
	sync(v.server.Of("/other"))
	for name, message := range msgpackBeforeConnect {
		t.Run("before CONNECT: "+name, func(t *testing.T) {
			c := rawclient.Dial(t, v.url, nil)
			packs(c, message)
			if before := c.ExpectClose(); len(before) > 0 {
				t.Errorf("before the close came %.200q", before)
			}
			v.unharmed(t)
		})
	}
	for name, message := range msgpackAfterConnect {
		t.Run("after CONNECT: "+name, func(t *testing.T) {
			c := v.joinPacked(t)
			most := peaks(func() {
				packs(c, message)
				packs(c, event("evil"))
				c.ExpectClose()
			})
			if most > 32<<20 {
				t.Errorf("memory grew by %d MiB for a moment", most>>20)
			}
			if got := receive(t, v.ends); got != server.ForcedClose && got != server.TransportError {
				t.Errorf("reason is %q", got)
			}
			v.unharmed(t)
		})
	}
	if n := v.evil.Load(); n != 0 {
		t.Errorf("%d events of refused packets were handled", n)
	}
}

// polled returns a message as it stands in a payload.
func polled(message string) string {
	if plain, ok := strings.CutPrefix(message, text); ok {
		return plain
	}
	return "b" + base64.StdEncoding.EncodeToString([]byte(message))
}

// The same packets end a polling session.
func TestHostileParser_PacketsThatCloseOverPolling(t *testing.T) {
	v := besiegeMsgpack(t, server.Options{})
	sync(v.server.Of("/other"))
	rows := map[string]string{
		"no base64": text + "b****", "cut base64": text + "bgw", "base64 without an end": text + "bgQ=", "nothing": text + "b",
	}
	maps.Copy(rows, msgpackAfterConnect)
	for name, message := range rows {
		t.Run(name, func(t *testing.T) {
			p := v.enterPacked(t)
			if a := p.post(polled(message) + "\x1e" + polled(event("evil"))); a.status == http.StatusOK {
				t.Errorf("got %d", a.status)
			}
			if a := p.get(); a.status == http.StatusOK && a.body != "1" {
				t.Errorf("behind the end came %.100q", a.body)
			}
			p.ended()
			v.unharmed(t)
		})
	}
	if n := v.evil.Load(); n != 0 {
		t.Errorf("%d events of refused packets were handled", n)
	}
}

// enterPacked opens a polling session that is connected to "/".
func (v *victim) enterPacked(t *testing.T) *poller {
	t.Helper()
	p := v.open(t)
	if got := p.exchange(pack(0, nil)); !strings.HasPrefix(got, `40{"sid":"`) {
		t.Fatalf("the answer to CONNECT is %q", got)
	}
	return p
}

// exchange posts a packet, polls, and returns the first packet that comes, as the
// default parser would have written it.
func (p *poller) exchange(message string) string {
	p.t.Helper()
	if a := p.post(polled(message)); a.status != http.StatusOK {
		p.t.Fatalf("POST: got %d %q", a.status, a.body)
	}
	a := p.get()
	first, _, _ := strings.Cut(a.body, "\x1e")
	data, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(first, "b"))
	if err != nil {
		p.t.Fatalf("GET: got %d %.100q", a.status, a.body)
	}
	return p.v.tongue.hear(websocket.BinaryMessage, data)
}

// What is odd but allowed: the client stays, and what comes back is right.
func TestHostileParser_PacketsThatAreOrdinary(t *testing.T) {
	v := besiegeMsgpack(t, server.Options{})
	c, p := v.joinPacked(t), v.enterPacked(t)
	deepest := strings.Repeat("\x91", 999) + "\xc0"
	for name, row := range map[string]struct{ message, reply string }{
		"event error":         {event("error", object{"message": "x"}), ""},
		"event __proto__":     {event("__proto__"), ""},
		"event constructor":   {event("constructor"), ""},
		"event without name":  {event(""), ""},
		"event with a number": {event(1, 2), ""},
		"unknown, wants ack":  {asking("toString"), ""},
		"ack nobody awaits":   {pack(3, object{"id": 999, "data": []any{"x"}}), ""},
		"ack id 2^63-1":       {pack(2, object{"data": []any{"echo"}, "id": int64(math.MaxInt64)}), `439223372036854775807[]`},
		"keys of prototypes":  {asking("echo", object{"__proto__": object{"constructor": 1}}), `431[{"__proto__":{"constructor":1}}]`},
		"placeholder as data": {asking("echo", object{"_placeholder": true}), `431[{"_placeholder":true}]`},
		"no numbers":          {asking("echo", math.NaN(), math.Inf(1), math.Inf(-1)), `431[null,null,null]`},
		"large numbers":       {asking("echo", uint64(math.MaxUint64), int64(math.MinInt64), math.MaxFloat64), `431[18446744073709551615,-9223372036854775808,1.7976931348623157e+308]`},
		"control characters":  {asking("echo", "\x00\x1f\x7f\"\\\u2028"), `431["\u0000\u001f` + "\x7f" + `\"\\` + "\u2028" + `"]`},
		"keys of numbers":     {asking("echo", msgp.Raw("\x82\x01\x02\xc3\x04")), `431[{"1":2,"true":4}]`},
		"name with a quote":   {event("a\"\\\x00b", 1), ""},
		"deepest":             {asking("echo", msgp.Raw(deepest)), `431[` + strings.Repeat("[", 999) + "null" + strings.Repeat("]", 999) + `]`},
		"further members":     {pack(2, object{"data": []any{"echo"}, "id": 1, "options": object{"compress": true}, "__proto__": nil}), `431[]`},
	} {
		t.Run(name, func(t *testing.T) {
			packs(c, row.message)
			if row.reply != "" {
				if got := v.heard(c); got != row.reply {
					t.Errorf("got %.200q, want %.200q", got, row.reply)
				}
				if got := p.exchange(row.message); got != row.reply {
					t.Errorf("over polling: got %.200q, want %.200q", got, row.reply)
				}
			}
			packs(c, pack(2, object{"data": []any{"sync"}, "id": 999}))
			if got := v.heard(c); got != "43999[]" {
				t.Errorf("afterwards came %.100q", got)
			}
			v.unharmed(t)
		})
	}
}

// Attachments are in one message with their event, so that none can be withheld; what
// bounds them is their size.
func TestHostileParser_Attachments(t *testing.T) {
	v := besiegeMsgpack(t, server.Options{MaxAttachmentBytes: 50_000})
	read := msgpack.New().NewReader(packet.Limits{})
	for n, size := range map[int]int{10: 4000, 100: 10, 1: 49_000} {
		c := v.joinPacked(t)
		args := make([]any, n)
		for i := range args {
			args[i] = bytes.Repeat([]byte{byte(i)}, size)
		}
		packs(c, asking("echo", args...))
		p, _, err := read.Binary([]byte(strings.TrimPrefix(c.Next(), attached)))
		if err != nil || len(p.Attachments) != n {
			t.Fatalf("%d attachments came back as %d, %v", n, len(p.Attachments), err)
		}
		for i, a := range p.Attachments {
			if !bytes.Equal(a, args[i].([]byte)) {
				t.Fatalf("attachment %d of %d is another one", i, n)
			}
		}
	}
	for n, size := range map[int]int{2: 30_000, 100_000: 0} {
		c := v.joinPacked(t)
		most := peaks(func() {
			packs(c, evilAnd("\xdd"+string([]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)})+
				strings.Repeat("\xc5"+string([]byte{byte(size >> 8), byte(size)})+strings.Repeat("x", size), n)))
			c.ExpectClose()
		})
		if most > 32<<20 {
			t.Errorf("%d attachments: memory grew by %d MiB for a moment", n, most>>20)
		}
	}
	v.unharmed(t)
	if n := v.evil.Load(); n != 0 {
		t.Errorf("%d events with too much were handled", n)
	}
}

func TestHostileParser_TinyValues(t *testing.T) {
	v := besiegeMsgpack(t, server.Options{})
	const count = 990_000
	for name, tiny := range map[string]string{"arrays": "\x90", "nils": "\xc0", "extensions": "\xd4\x00\x00"} {
		t.Run(name, func(t *testing.T) {
			c := v.joinPacked(t)
			n := count / len(tiny)
			values := msgp.Raw("\xdd" + string([]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}) + strings.Repeat(tiny, n))
			most := peaks(func() {
				packs(c, asking("echo", values))
				if got := v.heard(c); !strings.HasPrefix(got, "431[[") {
					t.Errorf("got %.100q", got)
				}
			})
			if most > 160<<20 {
				t.Errorf("memory grew by %d MiB for a moment, want at most 160 MiB", most>>20)
			}
			t.Logf("memory grew by %d MiB for a moment", most>>20)
			v.unharmed(t)
		})
	}
}

func TestHostileParser_Namespaces(t *testing.T) {
	v := besiegeMsgpack(t, server.Options{})
	c := v.joinPacked(t)
	for _, name := range []string{
		"/#", "/*", "//", "/../", "/?", "/[a-z]", "/main#", "/admin", "/ ", "/\t", "/%2e%2e", "/\u202eevil", "/\x00", "/\"", "/constructor", "/__proto__", "/a,b", "/,",
		"/" + strings.Repeat("n", 511), "/" + strings.Repeat("n", 512), "/" + strings.Repeat("n", 900_000),
	} {
		packs(c, packed(object{"type": 0, "nsp": name}))
		p, _, err := msgpack.New().NewReader(packet.Limits{}).Binary([]byte(strings.TrimPrefix(c.Next(), attached)))
		if err != nil || p.Type != packet.ConnectError || p.Namespace != name || string(p.Data) != `{"message":"Invalid namespace"}` {
			t.Errorf("%.60q: got %.200v, %v", name, p, err)
		}
	}
	v.unharmed(t)
	grows(t, 4<<20, func() {
		for n := range 5000 {
			packs(c, packed(object{"type": 0, "nsp": fmt.Sprintf("/unknown%d", n)}))
		}
		if refusals := len(c.ExpectClose()); refusals > 1000 {
			t.Errorf("%d refusals before the close, want at most MaxConnectAttempts", refusals)
		}
	})
}

func TestHostileParser_MadeUpRecovery(t *testing.T) {
	for name, recovery := range map[string]*server.Recovery{"off": nil, "on": {}} {
		t.Run(name, func(t *testing.T) {
			v := besiegeMsgpack(t, server.Options{Recovery: recovery})
			for _, auth := range []object{
				{"pid": "x", "offset": "y"}, {"pid": 1, "offset": nil}, {"pid": []any{"*"}, "offset": object{}}, {"pid": "*\r\nFLUSHALL\r\n", "offset": "0-0 +"},
				{"pid": math.NaN(), "offset": msgp.Raw("\xd4\x00\x00")}, {"pid": strings.Repeat("p", 400_000), "offset": strings.Repeat("o", 400_000)},
			} {
				c := rawclient.Dial(t, v.url, nil)
				packs(c, pack(0, object{"data": auth}))
				if got := v.heard(c); !strings.HasPrefix(got, `40{"sid":"`) {
					t.Errorf("%.60v: got %.100q", auth, got)
				}
			}
			c := rawclient.Dial(t, v.url, nil)
			packs(c, pack(0, object{"data": object{"pid": []byte("x"), "offset": []byte("y")}}))
			c.ExpectClose()
			v.unharmed(t)
		})
	}
}
