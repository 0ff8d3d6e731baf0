package wire

import "testing"

// TestAllocations_OfABroadcast bounds what a broadcast costs: nothing to be written into a
// buffer that is there, its sender, topic, rooms and a room's name to be looked at, and
// then the message and its body.
func TestAllocations_OfABroadcast(t *testing.T) {
	const header, message = 4, 2
	for name, form := range written {
		m, buffer := small(), make([]byte, 0, 1024)
		var payload []byte
		bound := func(what string, most float64, f func() error) {
			t.Helper()
			got := testing.AllocsPerRun(100, func() {
				if err := f(); err != nil {
					t.Fatal(err)
				}
			})
			if got > most {
				t.Errorf("%s, %s: %v allocations, want at most %v", name, what, got, most)
			}
		}
		bound("writing", 0, func() (err error) {
			payload, err = AppendMessage(buffer, form, self, "/", m, 1)
			return err
		})
		bound("looking at it", header, func() error {
			_, err := ReadHeader(payload)
			return err
		})
		decoded := float64(header + message)
		if form == MessagePack {
			decoded++ // the data as JSON
		}
		bound("reading", decoded, func() error {
			h, err := ReadHeader(payload)
			if err == nil {
				_, err = h.Message()
			}
			return err
		})
	}
}

func TestAllocations_OneOfOnesOwnIsKnownWithoutAny(t *testing.T) {
	payload, err := AppendMessage(nil, JSON, self, "/", small(), 1)
	if err != nil {
		t.Fatal(err)
	}
	mark, text := NewMark(self, "/"), string(payload)
	if got := testing.AllocsPerRun(100, func() { mark.On(text) }); got > 0 {
		t.Errorf("got %v allocations", got)
	}
}
