package msgpack

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"os"
	"testing"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/roomcast/roomcast/pkg/packet"
)

// goldenPacket is one entry of testdata/golden.json, which testdata/make-golden.mjs
// makes.
type goldenPacket struct {
	Name        string
	Type        packet.Type
	Namespace   string `json:"nsp"`
	ID          *uint64
	Data        string
	Attachments []string
	Wire        []byte
}

type goldenFile struct{ Written, Read []goldenPacket }

func readGolden(t testing.TB) (g goldenFile) {
	t.Helper()
	text, err := os.ReadFile("testdata/golden.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &g); err != nil {
		t.Fatal(err)
	}
	if len(g.Written) == 0 || len(g.Read) == 0 {
		t.Fatal("golden.json is empty")
	}
	return g
}

// packet is the packet that g describes.
func (g *goldenPacket) packet(t testing.TB) packet.Packet {
	t.Helper()
	p := packet.Packet{Type: g.Type, Namespace: g.Namespace}
	if g.ID != nil {
		p.ID, p.HasID = *g.ID, true
	}
	if g.Data != "" {
		p.Data = jsontext.Value(g.Data)
	}
	for _, text := range g.Attachments {
		a, err := hex.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		p.Attachments = append(p.Attachments, a)
	}
	return p
}

// checkEqual fails t unless two packets are the same, byte for byte.
func checkEqual(t testing.TB, got, want packet.Packet) {
	t.Helper()
	same := got.Type == want.Type && got.Namespace == want.Namespace && got.ID == want.ID && got.HasID == want.HasID &&
		bytes.Equal(got.Data, want.Data) && (got.Data == nil) == (want.Data == nil) && len(got.Attachments) == len(want.Attachments)
	for i := 0; same && i < len(got.Attachments); i++ {
		same = bytes.Equal(got.Attachments[i], want.Attachments[i])
	}
	if !same {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
}

func TestAppend_WritesWhatTheOfficialParserWrites(t *testing.T) {
	for _, g := range readGolden(t).Written {
		t.Run(g.Name, func(t *testing.T) {
			p := g.packet(t)
			got, binary, err := New().Append([]byte("head"), &p)
			if err != nil || !binary || !bytes.Equal(got, append([]byte("head"), g.Wire...)) {
				t.Errorf("got %x, %v, %v\nwant %x", got, binary, err, g.Wire)
			}
		})
	}
}

func TestReader_ReadsWhatTheOfficialParserWrites(t *testing.T) {
	g := readGolden(t)
	for _, g := range append(g.Written, g.Read...) {
		t.Run(g.Name, func(t *testing.T) {
			got, complete, err := New().NewReader(packet.Limits{}).Binary(g.Wire)
			if err != nil || !complete {
				t.Fatalf("got %v, %v", complete, err)
			}
			checkEqual(t, got, g.packet(t))
		})
	}
}
