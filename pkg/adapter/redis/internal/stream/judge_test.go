package stream

import "testing"

func TestJudge_KnowsWhatIsMissing(t *testing.T) {
	at := func(ms uint64, count int64) position { return position{id{ms: ms}, count} }
	log := func(first, last uint64, length, added int64) state {
		return state{exists: true, first: id{ms: first}, last: id{ms: last}, length: length, added: added}
	}
	for name, c := range map[string]struct {
		p      position
		s      state
		there  bool
		want   finding
		count  int64
		missed uint64
	}{
		"all is read":                          {at(10, 10), log(1, 10, 10, 10), true, whole, 10, 0},
		"some are to be read":                  {at(5, 5), log(1, 10, 10, 10), true, whole, 5, 0},
		"all is read, count unknown":           {at(10, -1), log(1, 10, 10, 10), true, whole, 10, 0},
		"all is read, but more were added":     {at(30, 15), log(25, 30, 6, 30), true, trimmed, 30, 15},
		"all is read of another stream":        {at(30, 12), log(29, 30, 2, 2), true, lost, 2, 0},
		"some are to be read of another one":   {at(30, 12), log(28, 40, 5, 5), true, lost, 12, 0},
		"trimmed up to the position":           {at(5, 5), log(6, 10, 5, 10), false, whole, 5, 0},
		"trimmed past the position":            {at(5, 5), log(8, 10, 3, 10), false, trimmed, 7, 2},
		"emptied behind the position":          {at(5, 5), log(0, 10, 0, 10), false, trimmed, 10, 5},
		"emptied, all was read":                {at(10, 10), log(0, 10, 0, 10), false, whole, 10, 0},
		"trimmed, count unknown":               {at(5, -1), log(8, 10, 3, 10), false, trimmed, 7, 0},
		"trimmed, Redis does not count":        {at(5, -1), log(8, 10, 3, -1), false, trimmed, -1, 0},
		"fewer were added than were read":      {at(5, 5), log(8, 10, 3, 3), false, lost, 5, 0},
		"nothing is there":                     {at(5, 5), state{}, false, lost, 5, 0},
		"emptied and begun anew":               {at(5, 5), log(0, 3, 0, 0), false, lost, 5, 0},
		"the end is missing":                   {at(10, 10), log(1, 8, 8, 8), false, strange, 10, 0},
		"the position is missing in between":   {at(10, 10), log(1, 12, 9, 9), false, strange, 10, 0},
		"nothing was ever there":               {at(0, 0), state{}, false, whole, 0, 0},
		"begun since":                          {at(0, 0), log(1, 10, 10, 10), false, whole, 0, 0},
		"begun and trimmed since":              {at(0, 0), log(8, 10, 3, 10), false, trimmed, 7, 7},
		"begun since, Redis does not count":    {at(0, -1), log(8, 10, 3, -1), false, whole, -1, 0},
		"read from the beginning of a new one": {at(0, -1), log(8, 10, 3, 10), false, whole, -1, 0},
	} {
		t.Run(name, func(t *testing.T) {
			finding, p, missed := judge(c.p, c.s, c.there)
			if finding != c.want || p.count != c.count || missed != c.missed || p.at != c.p.at {
				t.Errorf("got %v, %+v, %d missing", finding, p, missed)
			}
		})
	}
}

func TestNumbers_DropRepeatsAndStayBounded(t *testing.T) {
	n := make(numbers)
	numbered := func(writer string, number, ms uint64) *record {
		return &record{writer: writer, number: number, at: id{ms: ms}}
	}
	for _, c := range []struct {
		e    *record
		want bool
	}{
		{numbered("a", 1, 1), true}, {numbered("a", 2, 2), true}, {numbered("a", 1, 3), false}, {numbered("a", 2, 4), false},
		{numbered("b", 1, 5), true}, {numbered("a", 4, 6), true}, {numbered("a", 3, 7), false},
		{numbered("", 0, 8), true}, {numbered("", 0, 8), true},
	} {
		if got := n.fresh(c.e); got != c.want {
			t.Errorf("%s %d is fresh: %v", c.e.writer, c.e.number, got)
		}
	}
	n.forget(id{ms: 6}, id{ms: 100})
	if _, ok := n["b"]; ok || len(n) != 1 {
		t.Errorf("kept %v, want a alone, which is still in the log", n)
	}
	n.forget(id{ms: 100}, id{ms: 6})
	if len(n) != 1 {
		t.Error("a writer that has been silent for a moment is forgotten")
	}
	for i := range uint64(2 * maxWriters) {
		n.fresh(numbered(id{ms: i}.String(), 1, 10+i))
	}
	if len(n) > maxWriters {
		t.Errorf("%d writers are remembered", len(n))
	}
	if n.fresh(numbered(id{ms: 2*maxWriters - 1}.String(), 1, 1)) {
		t.Error("the latest writer is forgotten")
	}
}

func TestIndex_LearnsOnlyWithoutHoles(t *testing.T) {
	x := newIndex()
	batch := func(from, count uint64) []record {
		var list []record
		for i := range count {
			list = append(list, record{writer: "w", number: (from + i) % 10, at: id{ms: from + i}})
		}
		return list
	}
	x.extend(id{ms: 5}, id{ms: 8}, batch(6, 3))
	if x.reach() != (id{}) {
		t.Error("it learned behind a hole")
	}
	x.extend(id{}, id{ms: 9}, batch(1, 9))
	x.extend(id{ms: 4}, id{ms: 14}, batch(5, 10)) // again, and beyond
	for ms := range uint64(15) {
		if got, want := x.repeated(id{ms: ms}), ms > 9; got != want {
			t.Errorf("entry %d is a repeat: %v", ms, got)
		}
	}
	x.forget(id{ms: 12}, id{})
	if x.repeated(id{ms: 11}) || !x.repeated(id{ms: 12}) {
		t.Error("it forgot what is in the log, or kept what is not")
	}
	x.reset()
	if x.repeated(id{ms: 12}) || x.reach() != (id{}) {
		t.Error("a reset left something")
	}
}

func TestRing_KeepsTheLatest(t *testing.T) {
	r := newRing(5)
	for ms := range uint64(12) {
		r.add(id{ms: ms})
	}
	all := r.all()
	for ms := range uint64(12) {
		if got, want := all[id{ms: ms}], ms >= 7; got != want {
			t.Errorf("%d is there: %v", ms, got)
		}
	}
	if r.first() != (id{ms: 7}) {
		t.Errorf("the oldest is %v", r.first())
	}
	r.cut(id{ms: 9})
	if len(r.places) != 3 || r.first() != (id{ms: 7}) {
		t.Errorf("cut left %v", r.places)
	}
	for ms := range uint64(5) {
		r.add(id{ms: 20 + ms})
	}
	if r.first() != (id{ms: 20}) || len(r.places) != 5 {
		t.Errorf("the oldest of %v is %v", r.places, r.first())
	}
	r.clear()
	if r.first() != (id{}) {
		t.Error("cleared, it has a first")
	}
}
