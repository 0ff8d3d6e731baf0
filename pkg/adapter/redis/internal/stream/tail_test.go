package stream

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// tailed returns entries of the topics "a" and "b" in turn, one for each number.
func tailed(numbers ...uint64) (list []tailEntry) {
	for _, n := range numbers {
		at := id{ms: n}
		e := &Entry{ID: at.String(), UID: "u", Topic: string("ab"[n%2]), Type: "3", Data: fmt.Sprint(n)}
		list = append(list, tailEntry{e.compact(), at})
	}
	return list
}

func dataOf(entries []*Entry) (data []string) {
	for _, e := range entries {
		data = append(data, e.Data)
	}
	return data
}

func TestTail_GivesWhatFollowsAPlaceOfIt(t *testing.T) {
	tl := &tail{maxLen: 100}
	tl.extend(id{ms: 1}, id{ms: 4}, tailed(2, 3, 4))
	tl.extend(id{ms: 4}, id{ms: 7}, tailed(5, 6)) // 7 was a repeat
	for _, c := range []struct {
		at   uint64
		want []string
	}{{1, []string{"2", "4", "6"}}, {2, []string{"4", "6"}}, {3, []string{"4", "6"}}, {6, nil}} {
		got, end, ok := tl.since(id{ms: c.at}, "a")
		if !ok || end != (id{ms: 7}) || !slices.Equal(dataOf(got), c.want) {
			t.Errorf("behind %d: %v up to %v, %v, want %v up to 7", c.at, dataOf(got), end, ok, c.want)
		}
	}
	for _, at := range []uint64{0, 7, 8, 99} { // none of these is an entry of it, nor where it begins
		if tl.has(id{ms: at}) {
			t.Errorf("%d is a place of the tail", at)
		}
	}
}

func TestTail_KeepsTheNewest(t *testing.T) {
	tl := &tail{maxLen: 2}
	tl.extend(id{}, id{ms: 3}, tailed(1, 2, 3))
	if _, _, ok := tl.since(id{}, "a"); ok {
		t.Error("the beginning is there, although an entry behind it has gone")
	}
	got, _, ok := tl.since(id{ms: 1}, "a")
	if !ok || !slices.Equal(dataOf(got), []string{"2"}) {
		t.Errorf("behind the entry that has gone last: %v, %v", dataOf(got), ok)
	}
	large := tailed(4)
	large[0].Data = string(make([]byte, maxTailBytes+1))
	tl.extend(id{ms: 3}, id{ms: 4}, large)
	if tl.bytes != 0 || len(tl.entries) != 0 {
		t.Errorf("keeps %d entries of %d bytes", len(tl.entries), tl.bytes)
	}
}

func TestTail_WhatDoesNotContinueItBeginsAnother(t *testing.T) {
	tl := &tail{maxLen: 100}
	tl.extend(id{}, id{ms: 2}, tailed(1, 2))
	tl.extend(id{ms: 5}, id{ms: 6}, tailed(6)) // entries were trimmed before they were read
	if tl.has(id{ms: 1}) || !tl.has(id{ms: 5}) {
		t.Error("goes on as if nothing were missing")
	}
	tl.cut()
	if tl.has(id{ms: 6}) {
		t.Error("knows a log that is not the same any more")
	}
}

func TestEntry_IsRememberedInTheTailOnly(t *testing.T) {
	e := tailed(1)[0].Entry
	if e.Remembered() != nil {
		t.Error("remembers before anything was kept")
	}
	e.Remember("decoded")
	if e.Remembered() != "decoded" {
		t.Errorf("remembers %v", e.Remembered())
	}
	other := &Entry{}
	other.Remember("decoded")
	if other.Remembered() != nil {
		t.Error("an entry that nobody reads again remembers")
	}
}

func TestTail_ForgetsWhatReadersMadeOfItsEntries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tl := &tail{maxLen: 100}
		tl.extend(id{ms: 1}, id{ms: 2}, tailed(2))
		read := func() *Entry {
			t.Helper()
			entries, _, ok := tl.since(id{ms: 1}, "a")
			if !ok || len(entries) != 1 {
				t.Fatal("the entry is not there")
			}
			return entries[0]
		}
		remembered := func(want any) {
			t.Helper()
			tl.extend(tl.end, id{ms: tl.end.ms + 1}, nil)
			if got := tl.entries[0].Remembered(); got != want {
				t.Errorf("%v is remembered, want %v", got, want)
			}
		}
		read().Remember("decoded")
		time.Sleep(memoAge - 1)
		remembered("decoded")
		read() // begins the wait anew
		time.Sleep(memoAge - 1)
		remembered("decoded")
		time.Sleep(time.Nanosecond)
		remembered(nil)
		read().Remember("decoded again")
		remembered("decoded again")
	})
}

func TestLog_ReadsWhatItsReaderHasHadFromMemory(t *testing.T) {
	t.Parallel()
	client := newClient(t, startRedis(t).Addr())
	a := open(t, client)
	a.KeepTail()
	a.listen()
	for n := range 10 {
		if err := a.Append(entry(fmt.Sprint(n))); err != nil {
			t.Fatal(err)
		}
	}
	a.await(10)
	before, err := client.XRange(t.Context(), a.Name, "-", "+").Result()
	if err != nil || len(before) != 10 {
		t.Fatalf("the log has %d entries, %v", len(before), err)
	}
	last, _ := parseID(before[9].ID)
	eventually(t, "remembering what was passed on", func() bool { return a.tail.has(last) })
	if err := a.Covers(t.Context(), before[3].ID); err != nil {
		t.Errorf("Covers: %v", err)
	}
	var got []string
	for e, err := range a.Read(t.Context(), before[3].ID, "/") {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, e.Data)
		if e.memo == nil {
			t.Errorf("entry %s came from Redis", e.Data)
		}
	}
	checkNumbered(t, append([]string{"0", "1", "2", "3"}, got...), 10)
}
