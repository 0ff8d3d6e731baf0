package redis_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/roomcast/roomcast/internal/testutil/redisserver"
	"github.com/roomcast/roomcast/pkg/adapter"
	"github.com/roomcast/roomcast/pkg/adapter/redis"
	"github.com/roomcast/roomcast/pkg/emitter"
)

// joinKept is join by JoinRecoverable.
func joinKept(t testing.TB, a reporting, topic, id string) (*node, adapter.RecoveryLink) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	n := &node{adapter: a}
	r := adapter.Retention{Window: time.Minute, MaxRecordBytes: 1 << 20}
	link, err := a.(adapter.RecoveryStore).JoinRecoverable(ctx, topic, adapter.NodeID(id), r, n.put)
	if err != nil {
		t.Fatal(err)
	}
	n.link = link
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := link.Close(ctx); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return n, link
}

func newStreams(t testing.TB, addr string) reporting {
	t.Helper()
	return streams(redis.StreamsOptions{})(t, newClient(t, addr))
}

// mixedMessage is the message with that number: a broadcast, or a call for all.
func mixedMessage(number int) *adapter.Message {
	if number%3 > 0 {
		return broadcast(strconv.Itoa(number))
	}
	request := &adapter.Request{ID: strconv.Itoa(number), Action: adapter.ActionRooms}
	return &adapter.Message{Kind: adapter.KindRequest, Request: request}
}

// sequel collects the numbers of mixed messages of others.
type sequel struct {
	self adapter.NodeID
	mu   sync.Mutex
	got  []int
}

func (s *sequel) put(m *adapter.Message) {
	number := -1
	switch {
	case m.From == s.self:
		return
	case m.Broadcast != nil:
		number, _ = strconv.Atoi(strings.Trim(string(m.Broadcast.Packet.Data), `["]`))
	case m.Request != nil:
		number, _ = strconv.Atoi(m.Request.ID)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.got = append(s.got, number)
}

func (s *sequel) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.got)
}

// Calls travel by another way than broadcasts. Nothing of one goroutine overtakes.
func TestStreams_CallsAndBroadcastsOfOneGoroutineArriveInOrder(t *testing.T) {
	const messages = 10_000
	addr := redisserver.Start(t).Addr()
	heard := []*sequel{{self: "a"}, {self: "b"}}
	var links []adapter.Link
	for _, s := range heard {
		link, err := newStreams(t, addr).Join(t.Context(), "/", s.self, s.put)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = link.Close(context.Background()) }()
		links = append(links, link)
	}
	var publishing sync.WaitGroup
	for _, link := range links {
		publishing.Go(func() {
			for number := range messages {
				if err := link.Publish(t.Context(), mixedMessage(number)); err != nil {
					t.Errorf("message %d: %v", number, err)
				}
			}
		})
	}
	publishing.Wait()
	for _, s := range heard {
		eventually(t, "hearing everything", func() bool { return s.count() == messages })
		for i, number := range s.got {
			if number != i {
				t.Errorf("%s heard message %d as number %d, behind %v", s.self, number, i, s.got[max(i-3, 0):i])
				break
			}
		}
	}
}

func TestStreams_OwnMessagesComeBackWhereTheyAreKept(t *testing.T) {
	addr := redisserver.Start(t).Addr()
	kept, _ := joinKept(t, newStreams(t, addr), "/", "kept")
	plain := join(t, newStreams(t, addr), "/", "plain")
	kept.emit(t, "of kept")
	kept.expect(t, "of kept") // two nodes have no order between them
	plain.emit(t, "of plain")
	kept.expect(t, "of plain")
	kept.emit(t, "end")
	kept.expect(t, "end")
	plain.expect(t, "end")
	if want := []string{"of kept", "of plain", "end"}; !slices.Equal(kept.heard, want) {
		t.Errorf("kept heard %q, want %q", kept.heard, want)
	}
	if want := []string{"of kept", "end"}; !slices.Equal(plain.heard, want) {
		t.Errorf("plain heard %q, want %q", plain.heard, want)
	}
}

func TestStreams_ClosingOneOfTwoLinksOfALogLeavesTheOther(t *testing.T) {
	addr := redisserver.Start(t).Addr()
	shared := newStreams(t, addr)
	first, link := joinKept(t, shared, "/first", "a")
	second, _ := joinKept(t, shared, "/second", "a")
	other := join(t, newStreams(t, addr), "/second", "b")
	first.emit(t, "before")
	first.expect(t, "before")
	if err := link.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	other.emit(t, "after")
	second.emit(t, "own")
	second.expect(t, "after")
	second.expect(t, "own")
	other.expect(t, "own")
	if err := link.Publish(t.Context(), broadcast("late")); !errors.Is(err, adapter.ErrClosed) {
		t.Errorf("Publish: got %v, want ErrClosed", err)
	}
}

func TestStreams_EmittersAreHeardInTheirOrderWithOffsets(t *testing.T) {
	addr := redisserver.Start(t).Addr()
	var mu sync.Mutex
	var offsets, texts []string
	link, err := newStreams(t, addr).(adapter.RecoveryStore).JoinRecoverable(t.Context(), "/", "a", adapter.Retention{}, func(m *adapter.Message) {
		mu.Lock()
		defer mu.Unlock()
		if m.Broadcast != nil {
			offsets, texts = append(offsets, m.Offset), append(texts, string(m.Broadcast.Packet.Data))
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = link.Close(context.Background()) }()
	e, err := emitter.New(newStreams(t, addr), emitter.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for i := range 100 {
		if err := e.To("room").Emit(t.Context(), "event", i); err != nil {
			t.Fatal(err)
		}
		want = append(want, fmt.Sprintf(`["event",%d]`, i))
	}
	if err := e.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "hearing the emitter", func() bool { mu.Lock(); defer mu.Unlock(); return len(texts) == len(want) })
	if !slices.Equal(texts, want) {
		t.Errorf("heard %q", texts)
	}
	if !slices.IsSortedFunc(offsets, link.Compare) || link.Compare(link.Start(), offsets[0]) >= 0 {
		t.Errorf("offsets are %q behind %q", offsets, link.Start())
	}
}

func TestStreams_RecordsOfOtherNamespacesAreNeitherFoundNorTaken(t *testing.T) {
	addr := redisserver.Start(t).Addr()
	one := newStreams(t, addr)
	here, hereLink := joinKept(t, one, "/here", "a")
	_, thereLink := joinKept(t, one, "/there", "a")
	here.emit(t, "something")
	here.expect(t, "something")
	offset := newestOffset(t, hereLink)
	record := &adapter.Record{PrivateID: "secret", SocketID: "id", Incarnation: "one", First: true, Rooms: []string{"id", "room"}, Data: []byte("{}")}
	if err := hereLink.Save(t.Context(), record); err != nil {
		t.Fatal(err)
	}
	if _, err := thereLink.Find(t.Context(), "secret", offset); !errors.Is(err, adapter.ErrNoRecord) {
		t.Errorf("Find in another namespace: %v", err)
	}
	if _, err := thereLink.Take(t.Context(), record); !errors.Is(err, adapter.ErrNoRecord) {
		t.Errorf("Take in another namespace: %v", err)
	}
	if r, err := hereLink.Take(t.Context(), record); err != nil || r.SocketID != "id" {
		t.Errorf("Take: %+v, %v", r, err)
	}
}

// newestOffset is that of the last entry of the log.
func newestOffset(t testing.TB, link adapter.RecoveryLink) (offset string) {
	t.Helper()
	for m, err := range link.Missed(t.Context(), link.Start()) {
		if err != nil {
			t.Fatal(err)
		}
		offset = m.Offset
	}
	return offset
}

// A crowd that comes back must not cost a copy of the log for each client.
func TestStreams_AllWhoReadTheLogFromMemoryGetTheSameMessages(t *testing.T) {
	n, link := joinKept(t, newStreams(t, redisserver.Start(t).Addr()), "/", "a")
	for _, text := range []string{"first", "second", "third"} { // when one is heard, the one before is in memory
		n.emit(t, text)
		n.expect(t, text)
	}
	var offset string
	read := func() *adapter.Message {
		for m, err := range link.Missed(t.Context(), cmp.Or(offset, link.Start())) {
			if err != nil {
				t.Fatal(err)
			}
			return m
		}
		t.Fatal("nothing was missed")
		return nil
	}
	offset = read().Offset
	if one, other := read(), read(); one != other || one.Offset == offset {
		t.Errorf("read %+v and %+v, want the same message behind %s", one, other, offset)
	}
}

// What a Node.js server has kept of a client is good in any namespace.
func TestStreams_RecordsOfNodeJSAreFoundAndTakenOnce(t *testing.T) {
	const value = "hKNzaWS0cHVibGljLWlkLTAwMDAwMDAwMDGjcGlktHByaXZhdGUtaWQtMDAwMDAwMDAxpXJvb21zkbRwdWJsaWMtaWQtMDAwMDAwMDAwMaRkYXRhgA=="
	const private = "private-id-000000001"
	addr := redisserver.Start(t).Addr()
	n, link := joinKept(t, newStreams(t, addr), "/", "a")
	n.emit(t, "something")
	n.expect(t, "something")
	if err := newClient(t, addr).Set(t.Context(), "sio:session:"+private, value, time.Minute).Err(); err != nil {
		t.Fatal(err)
	}
	r, err := link.Find(t.Context(), private, newestOffset(t, link))
	if err != nil || r.SocketID != "public-id-0000000001" || r.Node != "" || !slices.Equal(r.Rooms, []string{r.SocketID}) {
		t.Fatalf("Find: %+v, %v", r, err)
	}
	if _, err := link.Take(t.Context(), r); err != nil {
		t.Errorf("Take: %v", err)
	}
	if _, err := link.Take(t.Context(), r); !errors.Is(err, adapter.ErrNoRecord) {
		t.Errorf("the second Take: %v", err)
	}
}

// Hostile entries of all kinds are passed over, and counted.
func TestStreams_GarbageInTheStreamIsCountedAndTheNextEntryIsDelivered(t *testing.T) {
	server := redisserver.Start(t)
	client := newClient(t, server.Addr())
	n, link := joinKept(t, newStreams(t, server.Addr()), "/", "a")
	garbage := []map[string]any{
		{"what": "is this"},
		{"uid": "x", "nsp": "/", "type": "3"},
		{"uid": "x", "nsp": "/", "type": "9999", "data": "{}"},
		{"uid": "x", "nsp": "/", "type": "3", "data": strings.Repeat("[", 100_000)},
		{"uid": "x", "nsp": "/", "type": "3", "data": "3f///w=="},
		{"uid": "x", "nsp": "/", "type": "3", "data": "{}", "seq": "x-99999999999999999999"},
		{"uid": "x", "nsp": "/", "type": "0", "data": "{}", "roomcast": `{"version":1,"message":"AQE="}`},
	}
	for _, fields := range garbage {
		args := []any{"xadd", "socket.io", "*"}
		for name, value := range fields {
			args = append(args, name, value)
		}
		if err := client.Do(t.Context(), args...).Err(); err != nil {
			t.Fatal(err)
		}
	}
	n.emit(t, "good")
	n.expect(t, "good")
	if len(n.heard) != 1 {
		t.Errorf("heard %q", n.heard)
	}
	if got := n.adapter.Status().Dropped["malformed"]; got != uint64(len(garbage)) {
		t.Errorf("%d were counted, want %d", got, len(garbage))
	}
	if newestOffset(t, link) == "" {
		t.Error("the good one is not in the log")
	}
}
