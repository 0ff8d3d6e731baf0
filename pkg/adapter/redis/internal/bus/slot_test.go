package bus

import "testing"

// The values are what Redis 7.0 answers to CLUSTER KEYSLOT.
func TestSlot_IsThatOfRedis(t *testing.T) {
	for name, want := range map[string]int{
		"": 0, "a": 15495, "123456789": 12739, "socket.io#/#": 13868, "{a}b": 15495, "a{}b": 13694, "a{b": 13340, "{{a}}": 10276, "x{y}z{w}": 12222, "{}": 15257, "ä": 13929,
	} {
		if got := slotOf(name); got != want {
			t.Errorf("%q: got %d, want %d", name, got, want)
		}
	}
}

func TestSlot_EachHasAName(t *testing.T) {
	for slot, name := range nameOfSlot() {
		if got := slotOf(name); got != slot {
			t.Fatalf("%q has slot %d, want %d", name, got, slot)
		}
	}
}
