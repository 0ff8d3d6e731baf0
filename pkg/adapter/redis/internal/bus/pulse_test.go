package bus

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestPulse_OnlyProbesOfThisConnectionCountOnceAndInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &pulse{}
		probe := func() string { return string(p.append(nil, "c")) }
		p.begin()
		time.Sleep(time.Second)
		first := probe()
		time.Sleep(time.Second)
		second := probe()
		sent := time.Now()
		time.Sleep(time.Second)
		p.taken()
		if d, taken := p.silence(); d != 3*time.Second || taken != 1 {
			t.Errorf("silent for %v with %d taken, want 3s and 1", d, taken)
		}
		for _, text := range []string{"", "1", "1.", "x.1", "1.x", "1.-5", "1.0", "1.99999999999999", "2.5"} {
			if genuine, proof := p.echo("c", text); genuine || proof {
				t.Errorf("%q was taken for a probe", text)
			}
		}
		counts := func(text string) bool {
			genuine, proof := p.echo("c", text)
			if !genuine {
				t.Errorf("%q was not taken for a probe", text)
			}
			return proof
		}
		if !counts(second) || counts(second) || counts(first) {
			t.Error("a probe counts twice, or late, or not at all")
		}
		if d, taken := p.silence(); d != 0 || taken != 0 || !p.provenAt().Equal(sent) {
			t.Errorf("silent for %v with %d taken, proven until %v before", d, taken, time.Since(p.provenAt()))
		}
		if d := p.roundTrip(); d != time.Second {
			t.Errorf("the probe took %v, want 1s", d)
		}
		third := probe()
		p.begin()
		if counts(third) || !p.provenAt().Equal(sent) {
			t.Error("a probe of another connection counts")
		}
		fourth := probe()
		p.void()
		if counts(fourth) {
			t.Error("a void probe counts")
		}
	})
}

func TestPulse_WithAKeyOnlySignedProbesCount(t *testing.T) {
	p, other, none := &pulse{key: []byte("0123456789abcdef")}, &pulse{key: []byte("another key 1234")}, &pulse{}
	for _, one := range []*pulse{p, other, none} {
		one.begin()
	}
	counts := func(text string) bool {
		genuine, proof := p.echo("c", text)
		return genuine && proof
	}
	if counts(string(other.append(nil, "c"))) || counts(string(none.append(nil, "c"))) {
		t.Error("a probe with another signature, or none, counts")
	}
	if counts(string(p.append(nil, "d"))) {
		t.Error("a probe of another channel counts")
	}
	if !counts(string(p.append(nil, "c"))) {
		t.Error("a signed probe does not count")
	}
}

func FuzzPulse(f *testing.F) {
	for _, seed := range []string{"1.5", "1.5.00", "..", "18446744073709551616.1", "1.9223372036854775808"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p := &pulse{key: []byte("0123456789abcdef")}
		p.begin()
		if genuine, _ := p.echo("c", text); genuine {
			t.Errorf("%q is signed", text)
		}
	})
}

func TestPulse_MarkIsGenuineAndProvesNothing(t *testing.T) {
	for _, key := range [][]byte{nil, []byte("0123456789abcdef")} {
		p := &pulse{key: key}
		p.begin()
		if genuine, proof := p.echo("c", string(p.appendMark(nil, "c", 1))); !genuine || proof {
			t.Errorf("key %q: got %v, %v", key, genuine, proof)
		}
	}
}
