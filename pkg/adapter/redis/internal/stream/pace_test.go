package stream

import "testing"

func TestPace_FollowsTheSizeOfEntries(t *testing.T) {
	var p pace
	if got := p.count(100); got != 100 {
		t.Errorf("at first it asks for %d", got)
	}
	for range 20 {
		p.had(10, 10<<20)
	}
	if got := p.count(100); got < 3 || got > 5 {
		t.Errorf("of entries of a megabyte it asks for %d", got)
	}
	for range 20 {
		p.failed()
	}
	if got := p.count(100); got != 1 {
		t.Errorf("when nothing comes it asks for %d", got)
	}
	p.had(0, 4)
	for range 20 {
		p.had(1, 300)
	}
	if got := p.count(100); got != 100 {
		t.Errorf("of small entries it asks for %d", got)
	}
	if got := p.count(1); got != 1 {
		t.Errorf("asked for one it asks for %d", got)
	}
}
