package wire

import (
	"errors"
	"slices"
	"testing"
)

var key = []byte("0123456789abcdef")

func TestSeal_TheBodyComesBack(t *testing.T) {
	for _, body := range []string{"", "x", `{"type":3}`, "\x01\x02"} {
		sealed := Seal([]byte("before"), key, "channel", []byte(body))
		got, err := Open(key, "channel", sealed[len("before"):])
		if err != nil || string(got) != body || string(sealed[:6]) != "before" {
			t.Errorf("%q: got %q, %v", body, got, err)
		}
		if h, err := ReadHeader(sealed[len("before"):]); err == nil {
			t.Errorf("a sealed message is read without a key: %v", h)
		}
		if got := Seal(nil, nil, "channel", []byte(body)); string(got) != body {
			t.Errorf("without a key: got %q", got)
		}
		if got, err := Open(nil, "channel", []byte(body)); err != nil || string(got) != body {
			t.Errorf("without a key: got %q, %v", got, err)
		}
	}
}

func TestSeal_NothingCanBeChanged(t *testing.T) {
	sealed := Seal(nil, key, "channel", []byte("body"))
	for i := range sealed {
		for _, bit := range []byte{1, 0x80} {
			forged := slices.Clone(sealed)
			forged[i] ^= bit
			if got, err := Open(key, "channel", forged); !errors.Is(err, ErrUnsigned) || got != nil {
				t.Errorf("byte %d was changed: got %q, %v", i, got, err)
			}
		}
		if _, err := Open(key, "channel", sealed[:i]); !errors.Is(err, ErrUnsigned) {
			t.Errorf("cut to %d bytes: %v", i, err)
		}
	}
	for context, payload := range map[string][]byte{
		"channe": sealed, "channel#": sealed, "": sealed, "channel": append(slices.Clone(sealed), 0),
		"channelb": Seal(nil, key, "channel", []byte("body")), "other": Seal(nil, []byte("fedcba9876543210"), "other", nil), "plain": []byte(`{"type":3}`),
	} {
		if got, err := Open(key, context, payload); !errors.Is(err, ErrUnsigned) {
			t.Errorf("%q: got %q, %v, want ErrUnsigned", context, got, err)
		}
	}
	// What is moved from the body to the context is another message.
	moved := slices.Concat(Seal(nil, key, "ab", []byte("c"))[:sealSize], []byte("bc"))
	if got, err := Open(key, "a", moved); !errors.Is(err, ErrUnsigned) {
		t.Errorf("got %q, %v, want ErrUnsigned", got, err)
	}
}

func TestEntry_AllFieldsAreSealedAsOne(t *testing.T) {
	for _, own := range []string{"", `{"version":1,"n":5}`} {
		plain := Entry{UID: "u", Topic: "/", Type: "3", Data: `{"a":1}`, Own: own}
		sealed := plain
		sealed.Seal(key, "stream")
		if got := sealed; got.Open(key, "stream") != nil || got != plain {
			t.Errorf("got %q, want %q", got, plain)
		}
		if got := plain; got.Open(nil, "stream") != nil || got != plain {
			t.Errorf("without a key: %q", got)
		}
		for name, forge := range map[string]func(*Entry){
			"sender": func(e *Entry) { e.UID = "v" }, "namespace": func(e *Entry) { e.Topic = "/x" }, "type": func(e *Entry) { e.Type = "4" },
			"data": func(e *Entry) { e.Data = "{}" }, "own": func(e *Entry) { e.Own += " " }, "nothing": func(e *Entry) { e.Own = "" },
			"moved": func(e *Entry) { e.UID, e.Topic = "u/", "" }, "plain": func(e *Entry) { *e = plain }, "version": func(e *Entry) { e.Own = "\x01" + e.Own[1:] }, "cut": func(e *Entry) { e.Own = e.Own[:sealSize-1] },
			"stolen": func(e *Entry) { e.Own = string(Seal(nil, key, "stream", []byte("u/3"))) },
		} {
			forged := sealed
			forge(&forged)
			before := forged
			if err := forged.Open(key, "stream"); !errors.Is(err, ErrUnsigned) || forged != before {
				t.Errorf("%s: got %q, %v, want ErrUnsigned", name, forged, err)
			}
		}
		if err := sealed.Open(key, "another"); !errors.Is(err, ErrUnsigned) {
			t.Errorf("in another stream: %v", err)
		}
	}
}
