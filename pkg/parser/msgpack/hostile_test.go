package msgpack

import (
	"bytes"
	"encoding/hex"
	"errors"
	"runtime"
	"strings"
	"testing"

	"github.com/roomcast/roomcast/internal/msgpack"
	"github.com/roomcast/roomcast/pkg/packet"
)

// unhex decodes hexadecimal text with blanks.
func unhex(text string) []byte {
	b, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
	if err != nil {
		panic(err)
	}
	return b
}

// The members of a packet as a client writes them, in hexadecimal text.
const (
	keyType = "a474797065"
	keyNsp  = "a36e7370"
	keyData = "a464617461"
	keyID   = "a26964"
	mainNsp = keyNsp + "a12f"
	connect = keyType + "00"
	event   = keyType + "02"
	ack     = keyType + "03"
	noEvent = keyData + "91a165" // ["e"]
)

// eventOf is an event of the name "e" with one argument, in MessagePack.
func eventOf(argument []byte) []byte {
	return append(unhex("83"+event+mainNsp+keyData+"92a165"), argument...)
}

func TestReader_RefusesWhatIsNoPacket(t *testing.T) {
	for name, data := range map[string]string{
		"nothing":                       "",
		"no map":                        "92 00 a12f",
		"empty map":                     "80",
		"nil":                           "c0",
		"map cut short":                 "82" + connect,
		"key cut short":                 "81 a47479",
		"value cut short":               "82" + connect + keyNsp + "a22f",
		"bytes behind":                  "82" + connect + mainNsp + "00",
		"two packets":                   "82" + connect + mainNsp + "82" + connect + mainNsp,
		"key that is a number":          "83" + connect + mainNsp + "01 02",
		"key that is a list":            "83" + connect + mainNsp + "90 02",
		"key that is binary":            "83" + event + mainNsp + "c4046461746191a165",
		"type absent":                   "82" + mainNsp + noEvent,
		"type 5":                        "83" + keyType + "05" + mainNsp + noEvent,
		"type 255":                      "83" + keyType + "ccff" + mainNsp + noEvent,
		"type 258":                      "83" + keyType + "cd0102" + mainNsp + noEvent,
		"type -1":                       "83" + keyType + "ff" + mainNsp + noEvent,
		"type 2^64-1":                   "83" + keyType + "cfffffffffffffffff" + mainNsp + noEvent,
		"type as text":                  "83" + keyType + "a132" + mainNsp + noEvent,
		"type as float":                 "83" + keyType + "cb4000000000000000" + mainNsp + noEvent,
		"type nil":                      "83" + keyType + "c0" + mainNsp + noEvent,
		"type undefined":                "83" + keyType + "d40000" + mainNsp + noEvent,
		"type twice":                    "84" + event + event + mainNsp + noEvent,
		"namespace absent":              "82" + event + noEvent,
		"namespace empty":               "82" + connect + keyNsp + "a0",
		"namespace without slash":       "82" + connect + keyNsp + "a161",
		"namespace that is a number":    "82" + connect + keyNsp + "01",
		"namespace that is binary":      "82" + connect + keyNsp + "c4012f",
		"namespace nil":                 "82" + connect + keyNsp + "c0",
		"namespace undefined":           "82" + connect + keyNsp + "d40000",
		"namespace of broken UTF-8":     "82" + connect + keyNsp + "a22fff",
		"namespace twice":               "83" + connect + mainNsp + mainNsp,
		"data twice":                    "84" + event + mainNsp + noEvent + noEvent,
		"CONNECT with nil":              "83" + connect + mainNsp + keyData + "c0",
		"CONNECT with list":             "83" + connect + mainNsp + keyData + "90",
		"CONNECT with text":             "83" + connect + mainNsp + keyData + "a178",
		"CONNECT with id":               "83" + connect + mainNsp + keyID + "01",
		"CONNECT with attachment":       "83" + connect + mainNsp + keyData + "81a161c40101",
		"DISCONNECT with data":          "83" + keyType + "01" + mainNsp + keyData + "80",
		"DISCONNECT with nil":           "83" + keyType + "01" + mainNsp + keyData + "c0",
		"event without data":            "82" + event + mainNsp,
		"event with undefined":          "83" + event + mainNsp + keyData + "d40000",
		"event with nil":                "83" + event + mainNsp + keyData + "c0",
		"event with object":             "83" + event + mainNsp + keyData + "81a161c0",
		"event with empty list":         "83" + event + mainNsp + keyData + "90",
		"event named nil":               "83" + event + mainNsp + keyData + "91c0",
		"event named undefined":         "83" + event + mainNsp + keyData + "91d40000",
		"event named NaN":               "83" + event + mainNsp + keyData + "91cb7ff8000000000000",
		"event named by a list":         "83" + event + mainNsp + keyData + "9190",
		"event named by an object":      "83" + event + mainNsp + keyData + "9180",
		"event named by an attachment":  "83" + event + mainNsp + keyData + "91c40165",
		"event connect":                 "83" + event + mainNsp + keyData + "91a7636f6e6e656374",
		"event disconnect":              "83" + event + mainNsp + keyData + "91aa646973636f6e6e656374",
		"event newListener":             "83" + event + mainNsp + keyData + "91ab6e65774c697374656e6572",
		"ack without data":              "83" + ack + mainNsp + keyID + "01",
		"ack with object":               "84" + ack + mainNsp + keyID + "01" + keyData + "80",
		"ack without id":                "83" + ack + mainNsp + keyData + "90",
		"CONNECT_ERROR without data":    "82" + keyType + "04" + mainNsp,
		"id negative":                   "84" + event + mainNsp + noEvent + keyID + "ff",
		"id beyond 2^63":                "84" + event + mainNsp + noEvent + keyID + "cfffffffffffffffff",
		"id with fraction":              "84" + event + mainNsp + noEvent + keyID + "cb3ff8000000000000",
		"id as text":                    "84" + event + mainNsp + noEvent + keyID + "a131",
		"id nil":                        "84" + event + mainNsp + noEvent + keyID + "c0",
		"id twice":                      "85" + event + mainNsp + noEvent + keyID + "01" + keyID + "01",
		"text of broken UTF-8":          "83" + event + mainNsp + keyData + "92a165a1ff",
		"surrogate in UTF-8":            "83" + event + mainNsp + keyData + "92a165a3eda080",
		"key of broken UTF-8":           "83" + event + mainNsp + keyData + "92a16581a1ffc0",
		"key that is an object":         "83" + event + mainNsp + keyData + "92a1658180c0",
		"unused byte":                   "83" + event + mainNsp + keyData + "92a165c1",
		"unknown member cut short":      "83" + connect + mainNsp + "a16192",
		"placeholder and attachment":    "83" + event + mainNsp + keyData + "93a165 82ac5f706c616365686f6c646572c3a36e756d00 c40101",
		"placeholder without number":    "83" + event + mainNsp + keyData + "93a165 81ac5f706c616365686f6c646572c3 c40101",
		"placeholder of an attachment":  "83" + event + mainNsp + keyData + "92a165 82ac5f706c616365686f6c646572c3a36e756dc40101",
		"attachment inside placeholder": "83" + event + mainNsp + keyData + "92a165 83ac5f706c616365686f6c646572c3a36e756d00a178c40101",
	} {
		if got, err := read(unhex(data), packet.Limits{}); !errors.Is(err, packet.ErrInvalid) {
			t.Errorf("%s: got %+v, %v, want ErrInvalid", name, got, err)
		}
	}
}

func TestReader_AcceptsWhatIsUnusual(t *testing.T) {
	for name, c := range map[string]struct{ data, want string }{
		"another order":           {"83" + noEvent + mainNsp + event, `["e"]`},
		"wider heads":             {"df00000003 d90474797065 d200000002 db000000036e7370 da00012f d90464617461 dd00000001d90165", `["e"]`},
		"unknown members":         {"85" + event + "a778787878787878 9190" + mainNsp + "a0 c70400000000ff" + noEvent, `["e"]`},
		"event named by number":   {"83" + event + mainNsp + keyData + "91cb3ff8000000000000", `[1.5]`},
		"event named empty":       {"83" + event + mainNsp + keyData + "91a0", `[""]`},
		"keys of other kinds":     {"83" + event + mainNsp + keyData + "92a16584 0101 c3c0 cb3ff8000000000000c0 c0c0", `["e",{"1":1,"true":null,"1.5":null,"null":null}]`},
		"timestamp":               {"83" + event + mainNsp + keyData + "92a165d6ff00000001", `["e","1970-01-01T00:00:01.000Z"]`},
		"Date beyond time":        {"83" + event + mainNsp + keyData + "92a165d7007fffffffffffffff", `["e",null]`},
		"extension":               {"83" + event + mainNsp + keyData + "92a165d405ff", `["e",[5,{"_placeholder":true,"num":0}]]`},
		"placeholder that is not": {"83" + event + mainNsp + keyData + "93a165 82ac5f706c616365686f6c646572c2a36e756d00 c40101", `["e",{"_placeholder":false,"num":0},{"_placeholder":true,"num":0}]`},
		"control characters":      {"83" + event + mainNsp + keyData + "92a165a3000a7f", "[\"e\",\"\\u0000\\n\x7f\"]"},
	} {
		got, err := read(unhex(c.data), packet.Limits{})
		if err != nil || string(got.Data) != c.want || got.Type != packet.Event {
			t.Errorf("%s: got %s, %v, want %s", name, got.Data, err, c.want)
		}
	}
}

// allocated runs f and returns how many bytes the process allocated meanwhile.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

func TestReader_AnnouncedSizesTakeNoMemory(t *testing.T) {
	for name, argument := range map[string]string{
		"list of 4 billion": "ddffffffff", "object of 4 billion": "dfffffffff", "text of 4 billion": "dbffffffff",
		"binary of 4 billion": "c6ffffffff", "extension of 4 billion": "c9ffffffff05", "list of 65535": "dcffff",
	} {
		for where, data := range map[string][]byte{
			"as packet": unhex(argument), "as argument": eventOf(unhex(argument)), "as unknown member": append(unhex("83"+connect+mainNsp+"a161"), unhex(argument)...),
			"as name": append([]byte{0x81}, unhex(argument)...),
		} {
			var err error
			if used := allocated(func() { _, err = read(data, packet.Limits{}) }); !errors.Is(err, packet.ErrInvalid) || used > 1<<20 {
				t.Errorf("%s %s: got %v and %d bytes, want ErrInvalid", name, where, err, used)
			}
		}
	}
}

func TestReader_DepthIsLimited(t *testing.T) {
	lists := func(n int) []byte { return append(bytes.Repeat([]byte{0x91}, n), 0xc0) }
	objects := func(n int) []byte { return append(bytes.Repeat(unhex("81a161"), n), 0xc0) }
	for name, deep := range map[string]func(int) []byte{"lists": lists, "objects": objects} {
		if _, err := read(eventOf(deep(999)), packet.Limits{}); err != nil {
			t.Errorf("%s, at the limit: %v", name, err)
		}
		for _, n := range []int{1000, 20_000, 200_000} {
			if _, err := read(eventOf(deep(n)), packet.Limits{MaxDepth: 10_000}); !errors.Is(err, packet.ErrLimit) {
				t.Errorf("%d %s: got %v, want ErrLimit", n, name, err)
			}
		}
		if _, err := read(eventOf(deep(5)), packet.Limits{MaxDepth: 5}); !errors.Is(err, packet.ErrLimit) {
			t.Errorf("%s beyond a limit of one's own: got %v, want ErrLimit", name, err)
		}
	}
	// What nobody reads may be as deep as it likes: it is stepped over.
	if _, err := read(append(unhex("83"+connect+mainNsp+"a161"), lists(200_000)...), packet.Limits{}); err != nil {
		t.Errorf("unknown member: %v", err)
	}
}

func TestReader_MegabyteOfTinyValuesTakesLittleMemory(t *testing.T) {
	const size = 1_000_000
	for name, value := range map[string]string{
		"nil": "c0", "empty object": "80", "date": "d7000000000000000000", "binary": "c400", "extension": "d40500", "control characters": "a400000000",
	} {
		v := unhex(value)
		n := size / len(v)
		data := eventOf(append(msgpack.AppendArrayHeader(nil, n), bytes.Repeat(v, n)...))
		var err error
		used := allocated(func() { _, err = read(data, packet.Limits{}) })
		if err != nil && !errors.Is(err, packet.ErrLimit) {
			t.Errorf("%s: %v", name, err)
		}
		// Memory that grows is counted each time it is moved; a fraction of it lives.
		if used > 64*size {
			t.Errorf("%s: a message of %d bytes led to %d bytes of memory", name, len(data), used)
		}
	}
}

func TestReader_AttachmentsAreLimitedByTheirBytes(t *testing.T) {
	binaries := func(n, size int) []byte {
		one := append([]byte{0xc5, byte(size >> 8), byte(size)}, make([]byte, size)...)
		return eventOf(append(msgpack.AppendArrayHeader(nil, n), bytes.Repeat(one, n)...))
	}
	if p, err := read(binaries(1000, 100), packet.Limits{}); err != nil || len(p.Attachments) != 1000 {
		t.Errorf("the number alone is not limited: got %d, %v", len(p.Attachments), err)
	}
	limits := packet.Limits{MaxAttachmentBytes: 10 * (100 + msgpack.AttachmentOverhead)}
	if p, err := read(binaries(10, 100), limits); err != nil || len(p.Attachments) != 10 {
		t.Errorf("at the limit: got %d, %v", len(p.Attachments), err)
	}
	for _, data := range [][]byte{binaries(10, 101), binaries(11, 100), binaries(1, 2000), binaries(30, 0)} {
		if _, err := read(data, limits); !errors.Is(err, packet.ErrLimit) {
			t.Errorf("beyond the limit: got %v, want ErrLimit", err)
		}
	}
	if _, err := read(binaries(1, 0), packet.Limits{MaxAttachments: -1}); !errors.Is(err, packet.ErrLimit) {
		t.Errorf("no attachments allowed: got %v, want ErrLimit", err)
	}
}
