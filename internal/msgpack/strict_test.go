package msgpack

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
)

func TestAppendStrictJSON_RefusesInvalidUTF8(t *testing.T) {
	for _, packed := range []string{"a1ff", "a2c328", "a3eda080", "d901c3", "91a1ff", "81a1ffc0", "81a161a1ff", "81c401ffc0"} {
		r := NewReader(unhex(t, packed))
		if got, _, err := r.AppendStrictJSON([]byte("x"), nil, 1000); !errors.Is(err, ErrMalformed) || string(got) != "x" {
			t.Errorf("%s: got %s, %v, want ErrMalformed", packed, got, err)
		}
	}
	r := NewReader(unhex(t, "81a2c3a9a4f09f9880"))
	if got, _, err := r.AppendStrictJSON(nil, nil, 0); err != nil || string(got) != `{"é":"😀"}` {
		t.Errorf("valid UTF-8: got %s, %v", got, err)
	}
}

func TestAppendStrictJSON_CountsBinariesAndTheirOverhead(t *testing.T) {
	for _, c := range []struct {
		packed string
		room   int64 // exactly enough
	}{
		{"c400", AttachmentOverhead},
		{"c403010203", AttachmentOverhead + 3},
		{"92c40101c4020202", 2*AttachmentOverhead + 3},
		{"c7020001 02", AttachmentOverhead + 2},
		{"d5050102", AttachmentOverhead + 2},
	} {
		r := NewReader(unhex(t, c.packed))
		if _, _, err := r.AppendStrictJSON(nil, nil, c.room); err != nil {
			t.Errorf("%s with room for %d: %v", c.packed, c.room, err)
		}
		r = NewReader(unhex(t, c.packed))
		if _, got, err := r.AppendStrictJSON(nil, nil, c.room-1); !errors.Is(err, ErrTooLarge) || got != nil {
			t.Errorf("%s with room for %d: got %v, %v, want ErrTooLarge", c.packed, c.room-1, got, err)
		}
	}
}

func TestReader_UndefinedStepsOverUndefinedOnly(t *testing.T) {
	r := NewReader(unhex(t, "d40000 d40007 2a"))
	for i, want := range []bool{true, true, false} {
		if got := r.Undefined(); got != want {
			t.Errorf("value %d: got %v, want %v", i, got, want)
		}
	}
	for _, packed := range []string{"", "c0", "d4", "d400", "d40100", "d5000000", "c7010000", "c40100"} {
		r := NewReader(unhex(t, packed))
		if before := r.Len(); r.Undefined() || r.Len() != before {
			t.Errorf("%s: taken for undefined", packed)
		}
	}
}

func TestAppendUintAndHeaders(t *testing.T) {
	for _, c := range []struct {
		got  []byte
		want string
	}{
		{AppendMapHeader([]byte{1}, 3), "0183"}, {AppendMapHeader(nil, 16), "de0010"}, {AppendArrayHeader(nil, 2), "92"},
		{AppendUint(nil, 0), "00"}, {AppendUint(nil, 128), "cc80"}, {AppendUint(nil, 1<<32), "cf0000000100000000"},
	} {
		if !bytes.Equal(c.got, unhex(t, c.want)) {
			t.Errorf("got %s, want %s", fmt.Sprintf("%x", c.got), c.want)
		}
	}
}

func TestReader_StringBytesAreThoseOfAString(t *testing.T) {
	r := NewReader(unhex(t, "a161 d9026162 a1ff"))
	for _, want := range []string{"a", "ab", "\xff"} {
		if got, err := r.StringBytes(); string(got) != want || err != nil {
			t.Errorf("got %q, %v, want %q", got, err, want)
		}
	}
	for _, packed := range []string{"", "a261", "01", "c0", "c3", "c40161", "90", "d40000"} {
		r := NewReader(unhex(t, packed))
		if got, err := r.StringBytes(); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: got %q, %v, want ErrMalformed", packed, got, err)
		}
	}
}
