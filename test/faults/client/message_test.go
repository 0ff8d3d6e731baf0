package client

import (
	"encoding/json"
	"testing"

	"github.com/roomcast/roomcast/test/faults/tally"
)

func TestReadMessage_UnderstandsWhatTextSays(t *testing.T) {
	for name, tt := range map[string]struct{ rest, offset string }{
		"plain":       {"", ""},
		"with offset": {`,"12-3"`, "12-3"},
	} {
		t.Run(name, func(t *testing.T) {
			text, err := json.Marshal(Text(3, 45, 200))
			if err != nil || len(text) != 202 {
				t.Fatalf("the text is %s, %v", text, err)
			}
			got, offset, ok := readMessage([]byte(`42["m",` + string(text) + tt.rest + `]`))
			want := tally.Arrival{Sender: 3, Number: 45}
			if !ok || got != want || offset != tt.offset {
				t.Errorf("got %v, %q, %v, want %v, %q", got, offset, ok, want, tt.offset)
			}
		})
	}
}

func TestReadMessage_LeavesOtherPacketsAlone(t *testing.T) {
	for _, packet := range []string{"", "2", `42["flood","xxx"]`, `421["m","1|2|"]`, `42["m"]`, `42["m","`, `42["m","1"]`, `42["m","x|y|"]`} {
		if got, _, ok := readMessage([]byte(packet)); ok {
			t.Errorf("%q: got %v", packet, got)
		}
	}
}

func FuzzReadMessage(f *testing.F) {
	f.Add([]byte(`42["m","1|2|...."]`))
	f.Add([]byte(`42["m","1|2|","9-0"]`))
	f.Add([]byte(`42["m","1|2|",]`))
	f.Fuzz(func(t *testing.T, packet []byte) { readMessage(packet) })
}
