package stream

import (
	"errors"
	"testing"

	"github.com/roomcast/roomcast/pkg/adapter"
)

func newTestQueue(t *testing.T, entries int) *queue {
	t.Helper()
	q := newQueue(int64(entries) * entry("").size())
	for range entries {
		mustPush(t, q)
	}
	return q
}

func push(q *queue) error {
	return q.push(&Entry{Topic: "/", UID: "node", Type: "3", Own: "{}"}, func(*pending) {})
}

func mustPush(t *testing.T, q *queue) {
	t.Helper()
	if err := push(q); err != nil {
		t.Fatal(err)
	}
}

func numbersOf(batch []*pending) (first, last uint64) {
	if len(batch) == 0 {
		return 0, 0
	}
	return batch[0].number, batch[len(batch)-1].number
}

func checkBatch(t *testing.T, q *queue, window int, first, last uint64) {
	t.Helper()
	if f, l := numbersOf(q.batch(window)); f != first || l != last {
		t.Errorf("the batch is %d to %d, want %d to %d", f, l, first, last)
	}
}

func TestQueue_HoldsEntriesUntilTheyAreWrittenSafeAndBack(t *testing.T) {
	q := newTestQueue(t, 10)
	if err := push(q); !errors.Is(err, adapter.ErrQueueFull) {
		t.Errorf("beyond the bound: %v", err)
	}
	q.follow()
	checkBatch(t, q, 4, 1, 4)
	q.wrote(4, true)
	checkBatch(t, q, 4, 0, 0) // none has come back
	if err := push(q); !errors.Is(err, adapter.ErrQueueFull) {
		t.Errorf("with entries that have not come back: %v", err)
	}
	q.back(3)
	checkBatch(t, q, 4, 5, 7)
	mustPush(t, q)
	q.lost()
	checkBatch(t, q, 100, 5, 11)
	q.wrote(11, true)
	q.back(11)
	if q.bytes != 0 || len(q.list) != 0 {
		t.Errorf("%d bytes of %d entries are left", q.bytes, len(q.list))
	}
}

func TestQueue_WhatMayBeLostIsWrittenAgain(t *testing.T) {
	q := newTestQueue(t, 10)
	q.wrote(4, true)
	q.wrote(8, false)
	checkBatch(t, q, 100, 9, 10)
	q.unsure()
	checkBatch(t, q, 100, 5, 10)
	q.wrote(10, true)
	if q.bytes != 0 {
		t.Errorf("%d bytes are left", q.bytes)
	}
}

func TestQueue_WithoutReplicasThereIsStillRoom(t *testing.T) {
	q := newTestQueue(t, 10)
	q.wrote(10, false)
	for range 100 {
		mustPush(t, q)
		q.wrote(q.last(), false)
	}
	q.unsure()
	if first, last := numbersOf(q.batch(100)); last != 110 || first < 100 || first > 102 {
		t.Errorf("kept %d to %d, want the latest that there is room for", first, last)
	}
}

func TestQueue_ValueComesBackOnce(t *testing.T) {
	q := newQueue(1 << 20)
	for i := range 3 {
		if err := q.push(&Entry{Value: i}, func(*pending) {}); err != nil {
			t.Fatal(err)
		}
	}
	q.follow()
	if got := q.back(1); got != 0 { // before Redis' reply
		t.Errorf("got %v", got)
	}
	q.wrote(3, true)
	if got := q.back(3); got != 2 {
		t.Errorf("got %v", got)
	}
	for _, number := range []uint64{0, 2, 3, 4, 1 << 63} {
		if got := q.back(number); got != nil {
			t.Errorf("%d gives %v", number, got)
		}
	}
	if q.bytes != 0 {
		t.Errorf("%d bytes are left", q.bytes)
	}
}

func TestQueue_GivenUpLeavesNothing(t *testing.T) {
	q := newTestQueue(t, 10)
	q.wrote(3, true)
	q.close()
	if err := push(q); !errors.Is(err, adapter.ErrClosed) {
		t.Errorf("closed: %v", err)
	}
	progress, _ := q.reached(10)
	if got := q.giveUp(); got != 7 || q.bytes != 0 {
		t.Errorf("gave up %d, %d bytes are left", got, q.bytes)
	}
	<-progress
	if got := q.giveUp(); got != 0 {
		t.Errorf("gave up %d more", got)
	}
}
