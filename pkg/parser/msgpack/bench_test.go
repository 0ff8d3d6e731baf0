package msgpack

import (
	"testing"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/roomcast/roomcast/pkg/packet"
)

var echo = packet.Packet{
	Type: packet.Event, Namespace: "/", Data: jsontext.Value(`["echo",{"id":12345,"text":"the quick brown fox jumps over the lazy","n":1}]`),
}

var picture = packet.Packet{
	Type: packet.Event, Namespace: "/", Data: jsontext.Value(`["picture",{"_placeholder":true,"num":0}]`), Attachments: [][]byte{make([]byte, 10_000)},
}

func benchmarkAppend(b *testing.B, p packet.Packet) {
	b.ReportAllocs()
	b.SetBytes(int64(len(write(b, p))))
	for b.Loop() {
		if _, _, err := New().Append(nil, &p); err != nil {
			b.Fatal(err)
		}
	}
}

func benchmarkBinary(b *testing.B, p packet.Packet) {
	data := write(b, p)
	r := New().NewReader(packet.Limits{})
	b.ReportAllocs()
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		if _, _, err := r.Binary(data); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppend(b *testing.B)               { benchmarkAppend(b, echo) }
func BenchmarkAppend_Attachment(b *testing.B)    { benchmarkAppend(b, picture) }
func BenchmarkReader_Binary(b *testing.B)        { benchmarkBinary(b, echo) }
func BenchmarkReader_BinaryOfBytes(b *testing.B) { benchmarkBinary(b, picture) }
