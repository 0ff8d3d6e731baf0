package engine

import (
	"fmt"
	"testing"

	"github.com/gorilla/websocket"
)

func TestStats_ALimitIsKnownByTheCauseOfTheEnd(t *testing.T) {
	for cause, want := range map[error]int{
		nil:                                     limits,
		errClientClose:                          limits,
		errTooBig:                               limitPayload,
		websocket.ErrReadLimit:                  limitPayload,
		errFragments:                            limitFragments,
		fmt.Errorf("x: %w", errFragmentTimeout): limitFragmentTime,
		ErrSlowConsumer:                         limitSendQueue,
	} {
		if got := limitOf(cause); got != want {
			t.Errorf("%v: got limit %d, want %d", cause, got, want)
		}
	}
}

func TestStats_QueuesAreCountedByTheirLength(t *testing.T) {
	var stats Stats
	for _, length := range []int64{0, 0, 1 << 10, 1<<10 + 1, 5 << 20} {
		stats.addQueue(length)
	}
	want := [len(QueueBounds)]uint64{2, 3, 4, 4, 4, 4, 4, 5}
	if stats.QueuedWithin != want || stats.Sessions != 5 || stats.MaxQueuedBytes != 5<<20 || stats.QueuedBytes != 5<<20+2<<10+1 {
		t.Errorf("got %+v, want %v within", stats, want)
	}
}
