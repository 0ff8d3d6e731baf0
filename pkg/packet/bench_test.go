package packet

import (
	"testing"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

const echoText = `2["echo",{"id":12345,"text":"the quick brown fox jumps over the lazy","n":1}]`

func BenchmarkDecoder_Text(b *testing.B) {
	text := []byte(echoText)
	d := NewDecoder(Limits{})
	b.ReportAllocs()
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		if _, _, err := d.Text(text); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkScanner and BenchmarkJSONText do the same work, as far as the JSON package
// can: it has no limit of depth that is ours, and knows no placeholders.
func BenchmarkScanner(b *testing.B) {
	data := []byte(echoText[1:])
	b.ReportAllocs()
	for b.Loop() {
		s := scanner{data: data, levels: deepest, attachments: plainData}
		if err := s.scan(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkJSONText(b *testing.B) {
	data := jsontext.Value(echoText[1:])
	b.ReportAllocs()
	for b.Loop() {
		if !utf8.Valid(data) || !data.IsValid(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)) {
			b.Fatal("not valid")
		}
	}
}

func BenchmarkPacket_AppendText(b *testing.B) {
	p := Packet{Type: Event, Data: jsontext.Value(echoText[1:])}
	buf := make([]byte, 0, 256)
	b.ReportAllocs()
	for b.Loop() {
		buf = p.AppendText(buf[:0])
	}
}

func BenchmarkMarshalEvent(b *testing.B) {
	type message struct {
		ID   int    `json:"id"`
		Text string `json:"text"`
	}
	for name, arg := range map[string]any{
		"Value":  jsontext.Value(`{"id":12345,"text":"the quick brown fox"}`),
		"String": "the quick brown fox",
		"Struct": message{12345, "the quick brown fox"},
		"Map":    map[string]any{"id": 12345, "text": "the quick brown fox"},
		"Bytes":  []byte("the quick brown fox"),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := MarshalEvent("echo", arg); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkPacket_Args(b *testing.B) {
	p := Packet{Type: Event, Data: jsontext.Value(echoText[1:])}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := p.Args(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkUnmarshal(b *testing.B) {
	value := jsontext.Value(`{"id":12345,"text":"the quick brown fox"}`)
	b.Run("Struct", func(b *testing.B) {
		var v struct {
			ID   int    `json:"id"`
			Text string `json:"text"`
		}
		b.ReportAllocs()
		for b.Loop() {
			if err := Unmarshal(value, nil, &v); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("Any", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			var v any
			if err := Unmarshal(value, nil, &v); err != nil {
				b.Fatal(err)
			}
		}
	})
}
