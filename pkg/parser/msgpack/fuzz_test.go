package msgpack

import (
	"bytes"
	"encoding/json"
	"errors"
	"testing"

	"github.com/roomcast/roomcast/pkg/packet"
)

// FuzzReader_Binary: what is accepted is a packet that survives being written and
// read again, in bounded memory; everything else is one of two errors.
func FuzzReader_Binary(f *testing.F) {
	g := readGolden(f)
	for _, g := range append(g.Written, g.Read...) {
		f.Add(g.Wire)
	}
	for _, seed := range []string{
		"", "80", "dfffffffff", "83" + event + mainNsp + keyData + "ddffffffff", "83" + event + mainNsp + keyData + "92a165d405ff",
		"83" + event + mainNsp + keyData + "93a165 82ac5f706c616365686f6c646572c3a36e756d00 c40101", "84" + ack + mainNsp + keyID + "cf7fffffffffffffff" + keyData + "90",
		"83" + event + mainNsp + keyData + "92a165d7007fffffffffffffff", "83" + event + mainNsp + keyData + "92a165a1ff", "83" + connect + mainNsp + "a1619191919190",
	} {
		f.Add(unhex(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var p packet.Packet
		var err error
		// The constant is for what else runs in a fuzzing process.
		if used := allocated(func() { p, err = read(data, packet.Limits{}) }); used > uint64(64*len(data)+1<<20) {
			t.Errorf("%d bytes of input led to %d bytes of memory", len(data), used)
		}
		if err != nil {
			if !errors.Is(err, packet.ErrInvalid) && !errors.Is(err, packet.ErrLimit) {
				t.Errorf("got %v", err)
			}
			return
		}
		if p.Data != nil && !json.Valid(p.Data) {
			t.Fatalf("%q is no JSON", p.Data)
		}
		again, err := read(write(t, p), packet.Limits{})
		if err != nil {
			t.Fatalf("%+v cannot be read back: %v", p, err)
		}
		checkEqual(t, again, p)
		if _, err := p.Args(); err != nil && (p.Type == packet.Event || p.Type == packet.Ack) {
			t.Errorf("arguments of %+v: %v", p, err)
		}
		// Its text form is one that the default parser reads.
		if text := p.AppendText(nil); len(p.Attachments) <= 10 && !bytes.ContainsRune([]byte(p.Namespace), ',') {
			checkDefault(t, text, p)
		}
	})
}

// checkDefault fails t unless the default parser reads p from text.
func checkDefault(t *testing.T, text []byte, p packet.Packet) {
	t.Helper()
	d := packet.NewDecoder(packet.Limits{})
	got, complete, err := d.Text(text)
	for i := 0; err == nil && !complete && i < len(p.Attachments); i++ {
		got, complete, err = d.Binary(p.Attachments[i])
	}
	if err != nil || !complete {
		t.Fatalf("the default parser on %q: %v, %v", text, complete, err)
	}
	checkEqual(t, got, p)
}
