package main

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func TestResult_FailsWithOneWrongFigure(t *testing.T) {
	for name, tt := range map[string]struct {
		add  func(*result)
		want string
	}{
		"nothing wrong":  {func(r *result) { r.none("lost", 0); r.note("x %d", 3) }, "PASS lost 0; x 3"},
		"a number":       {func(r *result) { r.none("lost", 1); r.note("x") }, "FAIL !lost 1; x"},
		"at its bound":   {func(r *result) { r.atMost("back", time.Second, time.Second) }, "PASS back 1.0 s (≤ 1.0 s)"},
		"over it":        {func(r *result) { r.atMost("back", time.Second+1, time.Second) }, "FAIL !back 1.0 s (≤ 1.0 s)"},
		"not below it":   {func(r *result) { r.below("p99", 20*time.Millisecond, 20*time.Millisecond) }, "FAIL !p99 20 ms (< 20 ms)"},
		"an error":       {func(r *result) { r.fail(errors.New("a\nb")) }, "FAIL !a b"},
		"not applicable": {func(r *result) { r.inapplicable = "no" }, "n.a. no"},
	} {
		t.Run(name, func(t *testing.T) {
			r := &result{row: "F1", adapter: "memory"}
			tt.add(r)
			if got := r.verdict() + " " + r.details(); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestDocument_NamesRowsOnceAndNoPath(t *testing.T) {
	one := &result{row: "F1", title: "Redis killed", adapter: "pubsub"}
	two := &result{row: "F1", title: "Redis killed", adapter: "streams"}
	one.none("lost | found", 0)
	two.none("lost", 2)
	text := string(document(t.Context(), []*result{one, two}, fullScale))
	for _, want := range []string{"## F1: Redis killed\n", "| pubsub | PASS | lost \\| found 0 |", "| streams | FAIL | !lost 2 |", "CPU cores"} {
		if strings.Count(text, want) != 1 {
			t.Errorf("%q is there %d times in\n%s", want, strings.Count(text, want), text)
		}
	}
}

func TestRound_KeepsWhatMatters(t *testing.T) {
	for d, want := range map[time.Duration]string{
		1234 * time.Millisecond: "1.2 s", 123 * time.Millisecond: "123 ms", 1500 * time.Microsecond: "1.5 ms", 0: "0.0 ms",
	} {
		if got := round(d); got != want {
			t.Errorf("%v: got %q, want %q", d, got, want)
		}
	}
}
