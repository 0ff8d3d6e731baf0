package memory_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/roomcast/roomcast/pkg/adapter"
	"github.com/roomcast/roomcast/pkg/adapter/memory"
	"github.com/roomcast/roomcast/pkg/packet"
)

// ample is a retention that nothing in a short test exceeds.
var ample = adapter.Retention{Window: time.Minute, MaxRecords: 1000, MaxRecordBytes: 1 << 20, MaxLogBytes: 1 << 30}

func joinLog(t testing.TB, a *memory.Adapter, topic string, self adapter.NodeID, r adapter.Retention, deliver func(*adapter.Message)) adapter.RecoveryLink {
	t.Helper()
	link, err := a.JoinRecoverable(t.Context(), topic, self, r, deliver)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = link.Close(context.Background()) })
	return link
}

func event(text string) *adapter.Message {
	return &adapter.Message{Kind: adapter.KindBroadcast, Broadcast: &adapter.Broadcast{Packet: packet.Packet{Data: []byte(text)}}}
}

func publish(t testing.TB, l adapter.Link, m *adapter.Message) {
	t.Helper()
	if err := l.Publish(t.Context(), m); err != nil {
		t.Error(err) // not Fatal: helpers publish on goroutines of their own
	}
}

// missed returns the texts that follow offset, and the error that ended them.
func missed(t testing.TB, l adapter.RecoveryLink, offset string) (texts []string, err error) {
	t.Helper()
	for m, err := range l.Missed(t.Context(), offset) {
		if err != nil {
			return texts, err
		}
		texts = append(texts, string(m.Broadcast.Packet.Data))
	}
	return texts, nil
}

func wantMissed(t *testing.T, l adapter.RecoveryLink, offset string, want ...string) {
	t.Helper()
	if got, err := missed(t, l, offset); err != nil || !slices.Equal(got, want) {
		t.Errorf("after %s: got %q and %v, want %q", offset, got, err, want)
	}
}

func wantGap(t *testing.T, l adapter.RecoveryLink, offset string) {
	t.Helper()
	if got, err := missed(t, l, offset); !errors.Is(err, adapter.ErrNoOffset) {
		t.Errorf("after %.60q: got %q and %v, want ErrNoOffset", offset, got, err)
	}
}

// journal is a deliver that writes down what it is given.
type journal struct {
	mu      sync.Mutex
	texts   []string
	offsets []string
}

func (j *journal) deliver(m *adapter.Message) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.texts = append(j.texts, string(m.Broadcast.Packet.Data))
	j.offsets = append(j.offsets, m.Offset)
}

func TestPublish_ReturnsWhenTheOwnDeliverHasHadTheBroadcast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var own, other journal
		backend := memory.New()
		link := joinLog(t, backend, "/", "a", ample, own.deliver)
		joinLog(t, backend, "/", "b", ample, other.deliver)
		for i := range 20 {
			publish(t, link, event(strconv.Itoa(i)))
			if len(own.texts) != i+1 || own.texts[i] != strconv.Itoa(i) || own.offsets[i] == "" {
				t.Fatalf("after %d: own deliver has had %q at %q", i, own.texts, own.offsets)
			}
		}
		synctest.Wait()
		if !slices.Equal(other.offsets, own.offsets) {
			t.Errorf("the other node got %q, this one %q", other.offsets, own.offsets)
		}
	})
}

func TestPublish_OneOrderOnAllLinksAndInTheLog(t *testing.T) {
	const nodes, publishers, each = 3, 4, 100
	synctest.Test(t, func(t *testing.T) {
		backend := memory.New()
		journals := make([]journal, nodes)
		links := make([]adapter.RecoveryLink, nodes)
		for i := range links {
			links[i] = joinLog(t, backend, "/", adapter.NodeID(strconv.Itoa(i)), ample, journals[i].deliver)
		}
		for n := range nodes {
			for p := range publishers {
				go func() {
					for i := range each {
						m := event(fmt.Sprintf("%d.%d.%d", n, p, i))
						m.Broadcast.Volatile = i%5 == 4
						publish(t, links[n], m)
					}
				}()
			}
		}
		synctest.Wait()
		log, err := missed(t, links[0], links[0].Start())
		if err != nil || len(log) != nodes*publishers*each*4/5 || !slices.Equal(journals[0].logged(), log) {
			t.Errorf("%d broadcasts in the log are not those that were delivered, or not in that order: %v", len(log), err)
		}
		for i := range links {
			j := &journals[i]
			if len(j.texts) != nodes*publishers*each || !slices.Equal(j.texts, journals[0].texts) || !slices.Equal(j.offsets, journals[0].offsets) {
				t.Errorf("link %d has another order than link 0", i)
			}
		}
	})
}

// logged returns the texts that came with an offset.
func (j *journal) logged() []string {
	var texts []string
	for i, text := range j.texts {
		if j.offsets[i] != "" {
			texts = append(texts, text)
		}
	}
	return texts
}

func TestPublish_InDeliverDoesNotWaitForItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		backend := memory.New()
		var links [2]adapter.RecoveryLink
		var got [2][]string
		answer := func(own, other int) func(*adapter.Message) {
			return func(m *adapter.Message) {
				text := string(m.Broadcast.Packet.Data)
				got[own] = append(got[own], text)
				if len(text) < 4 {
					publish(t, links[own], event(text+"."))
					publish(t, links[other], event(text+"."))
				}
			}
		}
		links[0] = joinLog(t, backend, "/a", "node", ample, answer(0, 1))
		links[1] = joinLog(t, backend, "/b", "node", ample, answer(1, 0))
		publish(t, links[0], event("."))
		synctest.Wait()
		// Each of n dots makes one of n+1 on both links.
		if len(got[0]) != 8 || len(got[1]) != 7 {
			t.Errorf("got %q and %q", got[0], got[1])
		}
	})
}

// deep calls f below n frames of its own.
func deep(n int, f func()) {
	if n == 0 {
		f()
		return
	}
	deep(n-1, f)
}

func TestPublish_InDeliverDeepDownDoesNotWaitForItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for depth := range 100 {
			var link adapter.RecoveryLink
			got := 0
			link = joinLog(t, memory.New(), "/", "a", ample, func(*adapter.Message) {
				if got++; got == 1 {
					deep(depth, func() { publish(t, link, event("again")) })
				}
			})
			publish(t, link, event("first"))
			synctest.Wait()
			if got != 2 {
				t.Errorf("depth %d: delivered %d, want both", depth, got)
			}
		}
	})
}

// held returns a link whose first deliver blocks until open is called, on the
// goroutine of the returned Publish.
func held(t *testing.T, backend *memory.Adapter) (link adapter.RecoveryLink, first <-chan error, open func()) {
	t.Helper()
	gate := make(chan struct{})
	link = joinLog(t, backend, "/", "held", ample, func(*adapter.Message) { <-gate })
	result := make(chan error, 1)
	go func() { result <- link.Publish(context.Background(), event("first")) }()
	synctest.Wait()
	return link, result, func() { close(gate) }
}

func TestPublish_WaitEndsWithContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		link, first, open := held(t, memory.New())
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := link.Publish(ctx, event("second")); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want the context's error", err)
		}
		open()
		if err := <-first; err != nil {
			t.Error(err)
		}
	})
}

func TestClose_ReleasesPublishersAndWaitsForDeliver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		link, first, open := held(t, memory.New())
		second := make(chan error, 1)
		go func() { second <- link.Publish(context.Background(), event("second")) }()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := link.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Close while deliver is running: got %v, want the context's error", err)
		}
		if err := <-second; !errors.Is(err, adapter.ErrClosed) {
			t.Errorf("a waiting Publish got %v, want ErrClosed", err)
		}
		open()
		if err := link.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if err := <-first; err != nil {
			t.Errorf("the Publish that was delivering got %v", err)
		}
	})
}

func TestPublish_PublisherDoesNotWorkForThoseAfterIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		backend := memory.New()
		gates := map[string]chan struct{}{"first": make(chan struct{}), "second": make(chan struct{})}
		link := joinLog(t, backend, "/", "a", ample, func(m *adapter.Message) { <-gates[string(m.Broadcast.Packet.Data)] })
		returned := map[string]chan error{"first": make(chan error, 1), "second": make(chan error, 1)}
		for _, text := range []string{"first", "second"} {
			go func() { returned[text] <- link.Publish(context.Background(), event(text)) }()
			synctest.Wait()
		}
		close(gates["first"])
		if err := <-returned["first"]; err != nil { // deadlocks if it delivers the second too
			t.Error(err)
		}
		close(gates["second"])
		if err := <-returned["second"]; err != nil {
			t.Error(err)
		}
	})
}

func TestJoin_OrdinaryLinksOfATopicWithALog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		backend := memory.New()
		var server, emitter journal
		logged := joinLog(t, backend, "/", "server", ample, server.deliver)
		plain, err := backend.Join(t.Context(), "/", "emitter", emitter.deliver)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = plain.Close(context.Background()) }()
		publish(t, plain, event("from the emitter"))
		publish(t, logged, event("from the server"))
		synctest.Wait()
		wantMissed(t, logged, logged.Start(), "from the emitter", "from the server")
		if !slices.Equal(emitter.texts, []string{"from the server"}) || len(server.texts) != 2 {
			t.Errorf("the emitter got %q, the server %q", emitter.texts, server.texts)
		}
	})
}

func TestPublish_AddressedAndOtherKindsAreNotLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		backend := memory.New()
		var own, other []*adapter.Message
		a := joinLog(t, backend, "/", "a", ample, func(m *adapter.Message) { own = append(own, m) })
		joinLog(t, backend, "/", "b", ample, func(m *adapter.Message) { other = append(other, m) })
		addressed := event("x")
		addressed.To = "b"
		publish(t, a, addressed)
		publish(t, a, &adapter.Message{Kind: adapter.KindGoodbye, Offset: "of another adapter"})
		synctest.Wait()
		if len(own) != 0 || len(other) != 2 || other[0].Offset != "" {
			t.Errorf("the sender got %d, the other node %d", len(own), len(other))
		}
		wantMissed(t, a, a.Start())
	})
}

func TestMissed_OffsetsOfThisLogOnly(t *testing.T) {
	backend := memory.New()
	var got journal
	link := joinLog(t, backend, "/", "a", ample, got.deliver)
	elsewhere := joinLog(t, backend, "/b", "a", ample, got.deliver)
	for i := range 12 {
		publish(t, link, event(strconv.Itoa(i)))
	}
	epoch, _, _ := strings.Cut(link.Start(), "-")
	publish(t, elsewhere, event("elsewhere"))
	wantMissed(t, link, got.offsets[10], "11")
	wantMissed(t, link, got.offsets[11])
	wantMissed(t, link, epoch+"-0", got.texts[:12]...)
	for _, offset := range []string{
		"", "-", epoch, epoch + "-", epoch + "--1", epoch + "-+1", epoch + "-01", epoch + "-00", epoch + "-1 ", " " + epoch + "-1", epoch + "-1a",
		epoch + "-13", epoch + "-999999999999999999", epoch + "-18446744073709551617", epoch + "-0x1", epoch + "-١", strings.ToLower(epoch) + "-1",
		strings.Repeat("1", 1<<20), epoch + "-" + strings.Repeat("1", 1<<20), "1-1", "$", "0-0",
	} {
		wantGap(t, link, offset)
	}
	for _, offset := range got.offsets[12:] {
		wantGap(t, link, offset)
	}
}

func TestFind_ClientTextCostsNoMemory(t *testing.T) {
	link := joinLog(t, memory.New(), "/", "a", ample, nil)
	epoch, _, _ := strings.Cut(link.Start(), "-")
	save(t, link, "known")
	huge := strings.Repeat("9", 4<<20)
	for _, id := range []string{"known", huge} {
		for _, offset := range []string{huge, epoch + "-" + huge} {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			if _, err := link.Find(t.Context(), id, offset); err == nil {
				t.Error("found")
			}
			runtime.ReadMemStats(&after)
			allocated := after.TotalAlloc - before.TotalAlloc
			if allocated > 64<<10 {
				t.Errorf("refusing %.10s… at %.20s… took %d bytes", id, offset, allocated)
			}
		}
	}
}

func TestMissed_WhatIsTrimmedMeanwhileEndsIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		backend := memory.New()
		link := joinLog(t, backend, "/", "a", ample, nil)
		for i := range 1000 {
			publish(t, link, event(strconv.Itoa(i)))
		}
		read := 0
		var end error
		for _, err := range link.Missed(t.Context(), link.Start()) {
			if end = err; err == nil {
				read++
			}
			if read == 200 {
				time.Sleep(2 * ample.Window)
			}
		}
		if !errors.Is(end, adapter.ErrNoOffset) || read < 200 || read >= 1000 {
			t.Errorf("read %d, then %v, want ErrNoOffset after what was read already", read, end)
		}
	})
}

func TestMissed_MayBeLeftAndPublishedInto(t *testing.T) {
	backend := memory.New()
	var got journal
	link := joinLog(t, backend, "/", "a", ample, got.deliver)
	publish(t, link, event("0"))
	read := 0
	for range link.Missed(t.Context(), link.Start()) {
		if read++; read == 300 {
			break
		}
		publish(t, link, event(strconv.Itoa(read))) // a lock held here would block for good
	}
	if read != 300 || len(got.texts) != 300 {
		t.Errorf("read %d, delivered %d", read, len(got.texts))
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, err := range link.Missed(ctx, link.Start()) {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want the context's error", err)
		}
	}
}

func TestRecoveryLink_ClosedIsRefused(t *testing.T) {
	link := joinLog(t, memory.New(), "/", "a", ample, nil)
	if err := link.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, findErr := link.Find(t.Context(), "p", link.Start())
	_, takeErr := link.Take(t.Context(), &adapter.Record{PrivateID: "p"})
	_, missedErr := missed(t, link, link.Start())
	for what, err := range map[string]error{
		"Publish": link.Publish(t.Context(), event("x")), "Save": link.Save(t.Context(), &adapter.Record{}),
		"Find": findErr, "Take": takeErr, "Missed": missedErr,
	} {
		if !errors.Is(err, adapter.ErrClosed) {
			t.Errorf("%s: got %v, want ErrClosed", what, err)
		}
	}
}
