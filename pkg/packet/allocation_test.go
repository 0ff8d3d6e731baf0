//go:build !race

// The race detector allocates, and makes pools forget.

package packet

import (
	"testing"

	"github.com/go-json-experiment/json/jsontext"
)

func TestAllocations_PerEvent(t *testing.T) {
	type small struct {
		A int    `json:"a"`
		B string `json:"b"`
	}
	for name, arg := range map[string]any{"raw": jsontext.Value(`{"a":1}`), "string": "text", "struct": small{1, "x"}, "bytes": []byte("x")} {
		n := testing.AllocsPerRun(200, func() { _, _, _ = MarshalEvent("e", arg) })
		if n > 2 {
			t.Errorf("%s: got %v allocations, want at most 2", name, n)
		}
	}
}
