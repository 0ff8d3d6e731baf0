package wire

import (
	"strings"
	"testing"

	"github.com/roomcast/roomcast/pkg/adapter"
)

// small is a broadcast of 128 bytes to a room.
func small() *adapter.Message {
	return broadcast(event(`["e","`+strings.Repeat("x", 120)+`"]`), "room")
}

// written is what a broadcast costs on its way, by its form.
var written = map[string]Form{"JSON": JSON, "MessagePack": MessagePack}

func BenchmarkAppendMessage(b *testing.B) {
	for name, form := range written {
		b.Run(name, func(b *testing.B) {
			m, buffer := small(), make([]byte, 0, 1024)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := AppendMessage(buffer, form, self, "/", m, 1); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkReadHeader(b *testing.B)  { benchmarkRead(b, false) }
func BenchmarkReadMessage(b *testing.B) { benchmarkRead(b, true) }

func benchmarkRead(b *testing.B, whole bool) {
	for name, form := range written {
		b.Run(name, func(b *testing.B) {
			payload, err := AppendMessage(nil, form, self, "/", small(), 1)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				h, err := ReadHeader(payload)
				if err == nil && whole {
					_, err = h.Message()
				}
				if err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkNewEntry(b *testing.B) {
	m := small()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := NewEntry(self, "/", m, 1); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEntryMessage(b *testing.B) {
	e, err := NewEntry(self, "/", small(), 1)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		h, err := e.Header()
		if err == nil {
			_, err = h.Message()
		}
		if err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkMark(b *testing.B) {
	payload, err := AppendMessage(nil, JSON, self, "/", small(), 1)
	if err != nil {
		b.Fatal(err)
	}
	mark := NewMark(self, "/")
	for b.Loop() {
		if !mark.On(string(payload)) {
			b.Fatal("not marked")
		}
	}
}

func BenchmarkSeal(b *testing.B) {
	payload, err := AppendMessage(nil, JSON, self, "/", small(), 1)
	if err != nil {
		b.Fatal(err)
	}
	buffer := make([]byte, 0, 1024)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Open(key, "socket.io#/#", Seal(buffer, key, "socket.io#/#", payload)); err != nil {
			b.Fatal(err)
		}
	}
}
