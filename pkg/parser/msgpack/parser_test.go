package msgpack

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/roomcast/roomcast/pkg/packet"
)

// read reads one binary message with a Reader of its own.
func read(data []byte, limits packet.Limits) (packet.Packet, error) {
	p, complete, err := New().NewReader(limits).Binary(data)
	if complete != (err == nil) {
		return p, errors.New("a message is a packet or an error")
	}
	return p, err
}

// write writes p, which must have a form.
func write(t testing.TB, p packet.Packet) []byte {
	t.Helper()
	data, binary, err := New().Append(nil, &p)
	if err != nil || !binary {
		t.Fatalf("%+v: binary %v, %v", p, binary, err)
	}
	return data
}

func TestAppend_BinaryTypesAreThePlainOnes(t *testing.T) {
	const data = `["e",{"_placeholder":true,"num":0}]`
	for kind, plain := range map[packet.Type]packet.Type{packet.BinaryEvent: packet.Event, packet.BinaryAck: packet.Ack} {
		p := packet.Packet{Type: kind, ID: 1, HasID: true, Data: jsontext.Value(data), Attachments: [][]byte{{1}}}
		q := p
		q.Type = plain
		if got, want := write(t, p), write(t, q); !bytes.Equal(got, want) {
			t.Errorf("type %d: got %x, want %x", kind, got, want)
		}
	}
}

func TestAppend_FailsWithoutTouchingWhatIsThere(t *testing.T) {
	for name, p := range map[string]packet.Packet{
		"unknown type":           {Type: 7},
		"no JSON":                {Type: packet.Event, Data: jsontext.Value(`["e",]`)},
		"attachment missing":     {Type: packet.Event, Data: jsontext.Value(`["e",{"_placeholder":true,"num":1}]`), Attachments: [][]byte{{1}}},
		"deeper than the parser": {Type: packet.Event, Data: jsontext.Value(strings.Repeat("[", 1001) + strings.Repeat("]", 1001))},
	} {
		if got, _, err := New().Append([]byte("head"), &p); !errors.Is(err, packet.ErrEncode) || string(got) != "head" {
			t.Errorf("%s: got %q, %v, want ErrEncode", name, got, err)
		}
	}
}

func TestAppend_SurvivesTheWayBack(t *testing.T) {
	for name, p := range map[string]packet.Packet{
		"integers beyond those of JavaScript": {Type: packet.Event, Namespace: "/", Data: jsontext.Value(`["e",9007199254740993,18446744073709551615,-9223372036854775808]`)},
		"largest id":                          {Type: packet.Event, Namespace: "/", ID: 1<<63 - 1, HasID: true, Data: jsontext.Value(`["e"]`)},
		"names that mean something elsewhere": {Type: packet.Event, Namespace: "/", Data: jsontext.Value(`["__proto__",{"__proto__":{"constructor":1}}]`)},
		"keys that repeat":                    {Type: packet.Event, Namespace: "/", Data: jsontext.Value(`["e",{"a":1,"a":2}]`)},
		"namespace with a comma":              {Type: packet.Connect, Namespace: "/a,b"},
		"deepest":                             {Type: packet.Ack, Namespace: "/", HasID: true, Data: jsontext.Value(strings.Repeat("[", 1000) + strings.Repeat("]", 1000))},
		"attachments": {
			Type: packet.Event, Namespace: "/x", Attachments: [][]byte{{}, {1}, bytes.Repeat([]byte{2}, 70_000)},
			Data: jsontext.Value(`["e",{"_placeholder":true,"num":0},{"a":[{"_placeholder":true,"num":1}]},{"_placeholder":true,"num":2}]`),
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := read(write(t, p), packet.Limits{})
			if err != nil {
				t.Fatal(err)
			}
			checkEqual(t, got, p)
		})
	}
}

func TestAppend_NamespaceHasADefault(t *testing.T) {
	if got, err := read(write(t, packet.Packet{Type: packet.Connect}), packet.Limits{}); err != nil || got.Namespace != packet.DefaultNamespace {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestReader_PacketOwnsItsMemory(t *testing.T) {
	want := packet.Packet{
		Type: packet.Event, Namespace: "/chat", Data: jsontext.Value(`["e","text",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]`),
		Attachments: [][]byte{{1, 2, 3}, {4}},
	}
	data := write(t, want)
	got, err := read(data, packet.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range data {
		data[i] = 0xc1
	}
	got.Attachments[0] = append(got.Attachments[0], 9) // must not run into the next one
	got.Attachments[0] = got.Attachments[0][:3]
	checkEqual(t, got, want)
}

func TestReader_AttachmentsReachAGoValue(t *testing.T) {
	p, err := read(write(t, packet.Packet{
		Type: packet.Event, Data: jsontext.Value(`["e",{"name":"a","body":{"_placeholder":true,"num":0}}]`), Attachments: [][]byte{{1, 2}},
	}), packet.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	args, err := p.Args()
	if err != nil || len(args) != 1 {
		t.Fatalf("got %v, %v", args, err)
	}
	var file struct {
		Name string `json:"name"`
		Body []byte `json:"body"`
	}
	if err := args[0].Decode(&file); err != nil || file.Name != "a" || !bytes.Equal(file.Body, []byte{1, 2}) {
		t.Errorf("got %+v, %v", file, err)
	}
}

func TestReader_TextIsNoPacketAndNothingIsEverPending(t *testing.T) {
	r := New().NewReader(packet.Limits{})
	for _, text := range []string{"", "0", `2["e"]`, `51-["e",{"_placeholder":true,"num":0}]`} {
		if _, complete, err := r.Text([]byte(text)); !errors.Is(err, packet.ErrInvalid) || complete || r.Pending() {
			t.Errorf("%q: got %v, %v, want ErrInvalid", text, complete, err)
		}
	}
	if _, _, err := r.Binary([]byte{0xc1}); !errors.Is(err, packet.ErrInvalid) || r.Pending() {
		t.Errorf("got %v, want ErrInvalid", err)
	}
	if _, complete, err := r.Binary(write(t, packet.Packet{Type: packet.Connect})); err != nil || !complete {
		t.Errorf("an error must leave nothing behind: got %v, %v", complete, err)
	}
}
