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
		for text, want := range map[string]bool{"": false, "1": false, "1.": false, "x.1": false, "1.x": false, "1.-5": false, "1.99999999999999": false, "2.5": false} {
			if p.echo("c", text) != want {
				t.Errorf("%q was taken for a probe", text)
			}
		}
		if !p.echo("c", second) || p.echo("c", second) || p.echo("c", first) {
			t.Error("a probe counts twice, or late, or not at all")
		}
		if d, taken := p.silence(); d != 0 || taken != 0 || !p.provenAt().Equal(sent) {
			t.Errorf("silent for %v with %d taken, proven until %v before", d, taken, time.Since(p.provenAt()))
		}
		third := probe()
		p.begin()
		if p.echo("c", third) || !p.provenAt().Equal(sent) {
			t.Error("a probe of another connection counts")
		}
		fourth := probe()
		p.void()
		if p.echo("c", fourth) {
			t.Error("a void probe counts")
		}
	})
}

func TestPulse_WithAKeyOnlySignedProbesCount(t *testing.T) {
	p, other, none := &pulse{key: []byte("0123456789abcdef")}, &pulse{key: []byte("another key 1234")}, &pulse{}
	for _, one := range []*pulse{p, other, none} {
		one.begin()
	}
	if p.echo("c", string(other.append(nil, "c"))) || p.echo("c", string(none.append(nil, "c"))) {
		t.Error("a probe with another signature, or none, counts")
	}
	if p.echo("c", string(p.append(nil, "d"))) {
		t.Error("a probe of another channel counts")
	}
	if !p.echo("c", string(p.append(nil, "c"))) {
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
		if p.echo("c", text) {
			t.Errorf("%q is signed", text)
		}
	})
}
