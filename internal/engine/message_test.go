package engine

import (
	"bytes"
	"compress/flate"
	"encoding/base64"
	"io"
	"slices"
	"strings"
	"sync"
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

func TestBinaryMessage_InEveryForm(t *testing.T) {
	for _, size := range []int{0, 1, 125, 126, 65535, 65536} {
		data := bytes.Repeat([]byte{0xff}, size)
		m := NewBinaryMessage(data)
		if cap(m.frames) != len(m.frames) || m.Size() != frameSize(size) {
			t.Errorf("size %d: %d bytes in %d", size, m.Size(), cap(m.frames))
		}
		first, payload, rest := cutFrame(m.frames)
		if first != frameBinary || !bytes.Equal(payload, data) || len(rest) != 0 {
			t.Errorf("size %d: frame %x with %d bytes and %d after it", size, first, len(payload), len(rest))
		}
		text := "b" + base64.StdEncoding.EncodeToString(data)
		if got := string(m.pollingForm()); got != text {
			t.Errorf("size %d: polling form has %d bytes, want %d", size, len(got), len(text))
		}
		if first, payload, rest = cutFrame(m.textOnly().frames); first != frameText || string(payload) != text || len(rest) != 0 {
			t.Errorf("size %d: as text it is frame %x with %d bytes", size, first, len(payload))
		}
		first, payload, _ = cutFrame(m.deflatedForm(0))
		if first != frameBinary|frameRSV1 || !bytes.Equal(inflate(t, payload), data) {
			t.Errorf("size %d: deflated frame is %x with %d bytes", size, first, len(payload))
		}
	}
}

func TestBinaryMessage_CopiesAndJoins(t *testing.T) {
	data := []byte("data")
	m := NewBinaryMessage(data)
	copy(data, "xxxx")
	joined := Join([]*Message{m, NewMessage([]byte("text"), []byte("a")), m})
	if got := string(joined.pollingForm()); got != "bZGF0YQ==\x1e4text\x1ebYQ==\x1ebZGF0YQ==" {
		t.Errorf("got %q", got)
	}
}

func TestBinaryMessage_IsWhatClientsOfEveryKindGet(t *testing.T) {
	f := onSockets(t, Options{PerMessageDeflate: &PerMessageDeflate{Threshold: 10}})
	p, polling := f.openPolling()
	plain, onFrames := f.openSocket()
	f.dialer.EnableCompression = true
	c, deflated := f.openSocket()
	text := f.dial(socketQuery + "&b64=1")
	sidOf(t, text.read())
	long := strings.Repeat("long ", 100)
	m := NewBinaryMessage([]byte(long))
	for _, r := range []*recorder{polling, onFrames, deflated, f.next()} {
		if err := r.session.Send(m); err != nil {
			t.Error(err)
		}
	}
	encoded := "b" + base64.StdEncoding.EncodeToString([]byte(long))
	p.get().expect(t, 200, encoded)
	plain.expect("binary:" + long)
	c.expect("binary:" + long)
	text.expect(encoded)
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

// inflate reverses deflate.
func inflate(t *testing.T, data []byte) []byte {
	t.Helper()
	tail := "\x00\x00\xff\xff\x01\x00\x00\xff\xff"
	inflated, err := io.ReadAll(flate.NewReader(io.MultiReader(bytes.NewReader(data), strings.NewReader(tail))))
	if err != nil {
		t.Fatal(err)
	}
	return inflated
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
	if inflated := inflate(t, payload); string(inflated) != "4"+long {
		t.Errorf("inflated %d bytes", len(inflated))
	}
	if first, payload, _ = cutFrame(rest); first != frameBinary || string(payload) != "short" {
		t.Errorf("short attachment: frame %x with %q", first, payload)
	}
	if u := m.Uncompressed(); !bytes.Equal(u.deflatedForm(0), m.frames) {
		t.Error("Uncompressed was compressed")
	}
}

// A message may be joined with others again and again.
func TestMessage_FormsOfAJoinedOneAreThoseOfItsParts(t *testing.T) {
	a, b := NewMessage([]byte("a"), []byte("data")), NewMessage([]byte("b"))
	if got := string(Join([]*Message{a, b}).pollingForm()); got != "4a\x1ebZGF0YQ==\x1e4b" {
		t.Errorf("got %q", got)
	}
	joined := Join([]*Message{a, b}).deflatedForm(0)
	if want := slices.Concat(a.deflatedForm(0), b.deflatedForm(0)); !bytes.Equal(joined, want) {
		t.Errorf("deflated: got %x, want %x", joined, want)
	}
	a.deflated, a.polling = []byte("deflated before"), []byte("encoded before")
	if got := Join([]*Message{a, b}); !bytes.HasPrefix(got.deflatedForm(0), a.deflated) || !bytes.HasPrefix(got.pollingForm(), a.polling) {
		t.Errorf("got %x and %q: the first part's forms were made again", got.deflatedForm(0), got.pollingForm())
	}
}

// A broadcast is compressed once, however many sessions it goes to, also when
// they meet it at the same time.
func TestMessage_BroadcastIsDeflatedOnce(t *testing.T) {
	f := onSockets(t, Options{PerMessageDeflate: &PerMessageDeflate{}})
	f.dialer.EnableCompression = true
	var sessions []*Session
	var peers []*peer
	for range 10 {
		c, r := f.openSocket()
		sessions, peers = append(sessions, r.session), append(peers, c)
	}
	long := strings.Repeat("long ", 10_000)
	m := NewMessage([]byte(long))
	var mu sync.Mutex
	forms := map[*byte]bool{}
	var sending sync.WaitGroup
	for _, s := range sessions {
		sending.Go(func() {
			_ = s.Send(m)
			form := s.socket.Load().form(m)
			mu.Lock()
			forms[&form[0]] = true
			mu.Unlock()
		})
	}
	sending.Wait()
	if len(forms) != 1 {
		t.Errorf("the message was compressed %d times", len(forms))
	}
	for _, c := range peers {
		c.expect("4" + long)
	}
}
