package main

import (
	"slices"
	"strconv"
	"testing"
)

func TestRows_AreThoseOfTheTable(t *testing.T) {
	number := 0
	for _, r := range rows {
		if r.part == "" {
			number++
		}
		if want := "F" + strconv.Itoa(number); r.name != want || (r.title == "") == (r.part == "") {
			t.Errorf("%s %q %q, want a row or a part of %s", r.name, r.title, r.part, want)
		}
		if r.run == nil {
			t.Errorf("%s is not run", r.name)
		}
		for _, adapter := range r.with {
			if !slices.Contains(adapters, adapter) {
				t.Errorf("%s is about %q, which is no adapter", r.name, adapter)
			}
		}
	}
	if number != 13 {
		t.Errorf("there are %d rows, want 13", number)
	}
}

func TestRow_PartsHaveNoLineWhereNothingIsPromised(t *testing.T) {
	main, part := row{with: onStreams}, row{part: "a part", with: onStreams}
	if got := main.columns(adapters); !slices.Equal(got, adapters) {
		t.Errorf("a row has lines for %v, want all", got)
	}
	if got := part.columns(adapters); !slices.Equal(got, onStreams) {
		t.Errorf("a part has lines for %v, want %v", got, onStreams)
	}
}

func TestRow_SaysWhyItDoesNotApply(t *testing.T) {
	for name, tt := range map[string]struct {
		row     row
		adapter string
		want    bool
	}{
		"promised":         {row{with: onRedis}, "pubsub", false},
		"not for this one": {row{with: onRedis}, "memory", true},
	} {
		t.Run(name, func(t *testing.T) {
			if got := tt.row.reasonAgainst(tt.adapter); (got != "") != tt.want {
				t.Errorf("got %q", got)
			}
		})
	}
}

func TestOrder_ShortRunsFewerRows(t *testing.T) {
	long, short := row{name: "F5"}, row{name: "F1", short: true}
	for name, tt := range map[string]struct {
		order order
		row   row
		want  bool
	}{
		"all":            {order{}, long, true},
		"short":          {order{short: true}, long, false},
		"short row":      {order{short: true}, short, true},
		"named in short": {order{short: true, rows: []string{"F5"}}, long, true},
		"not named":      {order{rows: []string{"F5"}}, short, false},
	} {
		if got := tt.order.wants(tt.row); got != tt.want {
			t.Errorf("%s: got %v", name, got)
		}
	}
}
