package adaptertest

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"slices"

	"github.com/roomcast/roomcast/pkg/adapter"
)

var roomChecks = []check{
	{"Rooms_OccupiedIsReady", "a broadcast to a room arrives when it is published after RoomOccupied has returned", occupiedIsReady},
	{"Rooms_AnyOfSeveral", "a broadcast to several rooms arrives at a node that has any of them", anyOfSeveral},
	{"Rooms_NoneMeansAll", "a broadcast without rooms arrives at every node, whatever rooms it has", noneMeansAll},
	{"Rooms_Once", "a broadcast arrives once at a node that has several of its rooms", roomsOnce},
	{"Rooms_InOrder", "broadcasts of one sender arrive in the order in which they were published, whatever rooms each is for", roomsInOrder},
	{"Rooms_AnyName", "a room's name is any text: no character has a meaning to the backend", anyRoomName},
	{"Rooms_EmptyAndOccupiedAgain", "a room may become empty and be occupied again, at once and repeatedly", emptyAndOccupiedAgain},
	{"Rooms_EmptyConcernsOneRoom", "RoomEmpty ends the interest in that room only; for a room that is not occupied it does nothing", emptyConcernsOneRoom},
	{"Rooms_SocketIDs", "a broadcast to an id of 20 characters that ends in the suffix given to SocketIDs arrives, without RoomOccupied", socketIDs},
	{"Rooms_SocketIDsOnce", "a room whose name has the form of an own socket id is heard once even if RoomOccupied told of it too", socketIDsOnce},
	{"Rooms_LaterSuffix", "SocketIDs may be called again: later and earlier suffixes are valid together", laterSuffix},
	{"Rooms_WaitEndsWithContext", "RoomOccupied and SocketIDs wait no longer than their context", waitEndsWithContext},
}

// observing joins a namespace as an adapter that routes by interest, or skips
// the check.
func (n *node) observing(namespace string) (*member, adapter.RoomObserver) {
	n.Helper()
	m := n.join(namespace)
	observer, ok := m.link.(adapter.RoomObserver)
	if !ok {
		n.Skip("the link does not implement adapter.RoomObserver: it carries every broadcast to every node")
	}
	return m, observer
}

// occupy tells of a room and ends the check if that fails.
func (m *member) occupy(observer adapter.RoomObserver, room string) {
	m.Helper()
	err := m.call(func(ctx context.Context) error { return observer.RoomOccupied(ctx, room) })
	m.must("RoomOccupied", err)
}

// claim tells of a suffix. It skips the check if the link cannot be told of ids
// together, and ends it on another error.
func (m *member) claim(observer adapter.RoomObserver, suffix string) {
	m.Helper()
	err := m.call(func(ctx context.Context) error { return observer.SocketIDs(ctx, suffix) })
	if errors.Is(err, errors.ErrUnsupported) {
		m.Skip("SocketIDs says that it is not supported: each socket's id is announced as a room")
	}
	m.must("SocketIDs", err)
}

// socketID returns an id of a socket on the node with suffix.
func socketID(suffix string) string { return rand.Text()[:16] + suffix }

// heardOnce publishes a broadcast to rooms and wants it to arrive, once.
func (tr *trial) heardOnce(sender, receiver *member, rooms ...string) {
	tr.Helper()
	sender.publish(event(sender.topic, 1, rooms...), event(sender.topic, last))
	heard := receiver.until(last)
	if len(heard) == 0 && tr.config.OrderPerSelection {
		heard = append(heard, numberOf(receiver.next()))
	}
	times := len(slices.DeleteFunc(heard, func(number uint32) bool { return number != 1 }))
	if message, ok := receiver.inbox.take(moment); ok && numberOf(message) == 1 {
		times++
	}
	if times != 1 {
		tr.Errorf("a broadcast to %q arrived %d times, want once", rooms, times)
	}
}

func occupiedIsReady(tr *trial) {
	const rounds = 20
	namespace := tr.namespace()
	sender := tr.node().join(namespace)
	receiver, observer := tr.delayed().observing(namespace)
	for number := range uint32(rounds) {
		room := "room-" + rand.Text()
		receiver.occupy(observer, room)
		sender.publish(event(namespace, number, room))
		receiver.expect(number)
	}
}

func anyOfSeveral(tr *trial) {
	namespace := tr.namespace()
	sender := tr.node().join(namespace)
	receiver, observer := tr.node().observing(namespace)
	receiver.occupy(observer, "second")
	for number, rooms := range [][]string{{"first", "second"}, {"second", "third"}, {"first", "second", "third"}} {
		sender.publish(event(namespace, uint32(number), rooms...))
		receiver.expect(uint32(number))
	}
}

func noneMeansAll(tr *trial) {
	namespace := tr.namespace()
	sender := tr.node().join(namespace)
	without, _ := tr.node().observing(namespace)
	with, observer := tr.node().observing(namespace)
	with.occupy(observer, "a")
	sender.publish(event(namespace, 1))
	without.expect(1)
	with.expect(1)
}

func roomsOnce(tr *trial) {
	namespace := tr.namespace()
	sender := tr.node().join(namespace)
	receiver, observer := tr.node().observing(namespace)
	receiver.occupy(observer, "a")
	receiver.occupy(observer, "a")
	receiver.occupy(observer, "b")
	tr.heardOnce(sender, receiver, "a")
	tr.heardOnce(sender, receiver, "a", "b")
}

func roomsInOrder(tr *trial) {
	const rounds = 20
	namespace := tr.namespace()
	sender, receiver := tr.node().join(namespace), tr.node().join(namespace)
	id := socketID("AAAA")
	if observer, ok := receiver.link.(adapter.RoomObserver); ok {
		for _, room := range []string{"a", "b", id} {
			receiver.occupy(observer, room)
		}
	}
	selections := [][]string{nil, {"a"}, {id}, {"b"}, {"a", "b"}}
	var want []uint32
	for number := range uint32(rounds * len(selections)) {
		sender.publish(event(namespace, number, selections[int(number)%len(selections)]...))
		want = append(want, number)
	}
	var got []uint32
	for len(got) < len(want) {
		if number := numberOf(receiver.next()); !slices.Contains(got, number) { // repetitions are for other checks
			got = append(got, number)
		}
	}
	if tr.config.OrderPerSelection { // one selection after the other, each as it came
		bySelection := func(a, b uint32) int { return cmp.Compare(a%uint32(len(selections)), b%uint32(len(selections))) }
		slices.SortStableFunc(got, bySelection)
		slices.SortStableFunc(want, bySelection)
	}
	if !slices.Equal(got, want) {
		tr.Errorf("got %d, want %d", got, want)
	}
}

func anyRoomName(tr *trial) {
	namespace := tr.namespace()
	sender := tr.node().join(namespace)
	receiver, observer := tr.node().observing(namespace)
	for number, room := range []string{"", "#", "a#b", "*", "?", "[a]", `\*`, "a b", "a\nb", "é", "日本", "🚀", "0"} {
		receiver.occupy(observer, room)
		sender.publish(event(namespace, uint32(number), room))
		receiver.expect(uint32(number))
	}
}

func emptyAndOccupiedAgain(tr *trial) {
	namespace := tr.namespace()
	sender := tr.node().join(namespace)
	receiver, observer := tr.node().observing(namespace)
	for number := range uint32(5) {
		receiver.occupy(observer, "a")
		sender.publish(event(namespace, number, "a"))
		receiver.expect(number)
		observer.RoomEmpty("a")
	}
}

func emptyConcernsOneRoom(tr *trial) {
	namespace := tr.namespace()
	sender := tr.node().join(namespace)
	receiver, observer := tr.node().observing(namespace)
	receiver.occupy(observer, "stays")
	receiver.occupy(observer, "goes")
	observer.RoomEmpty("goes")
	observer.RoomEmpty("goes")
	observer.RoomEmpty("never was")
	sender.publish(event(namespace, 1, "stays"), event(namespace, 2, "stays"))
	receiver.expect(1)
	receiver.expect(2)
}

func socketIDs(tr *trial) {
	namespace := tr.namespace()
	sender := tr.node().join(namespace)
	receiver, observer := tr.delayed().observing(namespace)
	receiver.claim(observer, "A_-9")
	for number := range uint32(5) {
		sender.publish(event(namespace, number, socketID("A_-9")))
		receiver.expect(number)
	}
}

func socketIDsOnce(tr *trial) {
	namespace := tr.namespace()
	sender := tr.node().join(namespace)
	receiver, observer := tr.node().observing(namespace)
	receiver.claim(observer, "AAAA")
	id := socketID("AAAA")
	receiver.occupy(observer, id)
	tr.heardOnce(sender, receiver, id)
	observer.RoomEmpty(id)
	tr.heardOnce(sender, receiver, id)
}

func laterSuffix(tr *trial) {
	namespace := tr.namespace()
	sender := tr.node().join(namespace)
	receiver, observer := tr.node().observing(namespace)
	receiver.claim(observer, "AAAA")
	receiver.claim(observer, "BBBB")
	for number, suffix := range []string{"BBBB", "AAAA"} {
		sender.publish(event(namespace, uint32(number), socketID(suffix)))
		receiver.expect(uint32(number))
	}
}

func waitEndsWithContext(tr *trial) {
	m, observer := tr.delayed().observing(tr.namespace())
	for what, wait := range map[string]func(context.Context) error{
		"RoomOccupied": func(ctx context.Context) error { return observer.RoomOccupied(ctx, "a") },
		"SocketIDs":    func(ctx context.Context) error { return observer.SocketIDs(ctx, "AAAA") },
	} {
		if m.callWithin(0, wait) == errStuck {
			tr.Errorf("%s did not return after its context had ended", what)
		}
	}
}
