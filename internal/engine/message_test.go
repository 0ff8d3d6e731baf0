package engine

import (
	"bytes"
	"compress/flate"
	"io"
	"strings"
	"testing"
)

func TestMessage_FramesOfEverySizeClass(t *testing.T) {
	for _, size := range []int{0, 1, 124, 125, 126, 65534, 65535, 65536, 200_000} {
		text := []byte(strings.Repeat("x", size))
		m := NewMessage(text, text, nil)
		first, payload, rest := cutFrame(m.frames)
		if first != frameText || string(payload) != "4"+string(text) {
			t.Errorf("size %d: text frame is %x with %d bytes", size, first, len(payload))
		}
		first, payload, rest = cutFrame(rest)
		if first != frameBinary || !bytes.Equal(payload, text) {
			t.Errorf("size %d: binary frame is %x with %d bytes", size, first, len(payload))
		}
		if _, payload, rest = cutFrame(rest); len(payload) != 0 || len(rest) != 0 {
			t.Errorf("size %d: %d bytes in the empty attachment, %d after it", size, len(payload), len(rest))
		}
		if cap(m.frames) != len(m.frames) || m.Size() != len(m.frames) {
			t.Errorf("size %d: %d bytes in %d, Size %d", size, len(m.frames), cap(m.frames), m.Size())
		}
	}
}

func TestMessage_CopiesWhatItIsMadeOf(t *testing.T) {
	text, attachment := []byte("text"), []byte("data")
	m := NewMessage(text, attachment)
	copy(text, "xxxx")
	copy(attachment, "xxxx")
	if got := string(m.pollingForm()); got != "4text\x1ebZGF0YQ==" {
		t.Errorf("got %q", got)
	}
}

func TestJoin(t *testing.T) {
	a, b := NewMessage([]byte("a"), []byte("1")), NewMessage([]byte("b"))
	if got := Join([]*Message{a}); got != a {
		t.Error("one message is not itself")
	}
	joined := Join([]*Message{a, b})
	if want := append(bytes.Clone(a.frames), b.frames...); !bytes.Equal(joined.frames, want) {
		t.Errorf("got %q, want %q", joined.frames, want)
	}
	if joined.uncompressed || !Join([]*Message{a, b.Uncompressed()}).uncompressed {
		t.Error("a joined message is uncompressed if and only if one of its parts is")
	}
}

func TestMessage_DeflatedFormIsSharedAndInflates(t *testing.T) {
	long := strings.Repeat("long ", 1000)
	m := NewMessage([]byte(long), []byte("short"))
	form := m.deflatedForm(1024)
	if again := m.deflatedForm(1024); &again[0] != &form[0] {
		t.Error("the deflated form was made twice")
	}
	first, payload, rest := cutFrame(form)
	if first != frameText|frameRSV1 || len(payload) > 100 {
		t.Errorf("long text: frame %x with %d bytes", first, len(payload))
	}
	tail := "\x00\x00\xff\xff\x01\x00\x00\xff\xff"
	inflated, err := io.ReadAll(flate.NewReader(io.MultiReader(bytes.NewReader(payload), strings.NewReader(tail))))
	if err != nil || string(inflated) != "4"+long {
		t.Errorf("inflated %d bytes, %v", len(inflated), err)
	}
	if first, payload, _ = cutFrame(rest); first != frameBinary || string(payload) != "short" {
		t.Errorf("short attachment: frame %x with %q", first, payload)
	}
	if u := m.Uncompressed(); !bytes.Equal(u.deflatedForm(0), m.frames) {
		t.Error("Uncompressed was compressed")
	}
}
