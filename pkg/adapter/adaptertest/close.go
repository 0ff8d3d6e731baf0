package adaptertest

import (
	"context"
	"errors"
	"path"
	"reflect"
	"runtime"
	"strings"
	"time"

	"github.com/roomcast/roomcast/pkg/adapter"
)

var closeChecks = []check{
	{"Close_WaitsForDeliver", "Close returns nil only when no deliver is running; when its context ends before, it returns that error", closeWaitsForDeliver},
	{"Close_EachCallWaits", "a second Close waits for a running deliver as the first one does", eachCloseWaits},
	{"Close_TwiceIsHarmless", "closing a closed link returns nil", closeTwice},
	{"Close_WhilePublishing", "Publish during Close succeeds or fails with ErrClosed; all calls return", closeWhilePublishing},
	{"Close_EndsDelivery", "no call of deliver begins after Close has returned", closeEndsDelivery},
	{"Close_HandsOverWhatIsQueued", "what was published before Close reaches the others", closeHandsOver},
	{endsGoroutines, "what the adapter starts ends with the last link that it gave out", closeEndsGoroutines},
}

const endsGoroutines = "Close_EndsGoroutines"

// wantClosed fails the check unless Publish is refused with ErrClosed.
func (m *member) wantClosed() {
	m.Helper()
	err := m.call(func(ctx context.Context) error { return m.link.Publish(ctx, numbered(2)) })
	if !errors.Is(err, adapter.ErrClosed) {
		m.Errorf("Publish after Close: got %v, want ErrClosed", err)
	}
}

// closeInVain closes a link while its deliver is held, and wants it to give up.
func (m *member) closeInVain() {
	m.Helper()
	switch err := m.callWithin(moment, m.link.Close); {
	case err == nil:
		m.Error("Close returned nil while deliver was running")
	case err == errStuck:
		m.Fatal("Close did not return after its context had ended")
	}
}

func closeWaitsForDeliver(tr *trial) {
	topic := tr.topic()
	m, g := tr.node().joinHeld(topic)
	g.hold(m, tr.node().join(topic))
	m.closeInVain()
	g.open()
}

func eachCloseWaits(tr *trial) {
	topic := tr.topic()
	m, g := tr.node().joinHeld(topic)
	g.hold(m, tr.node().join(topic))
	_ = m.callWithin(moment, m.link.Close)
	m.closeInVain()
	g.open()
}

func closeTwice(tr *trial) {
	topic := tr.topic()
	m, peer := tr.node().join(topic), tr.node().join(topic)
	peer.publish(numbered(1))
	m.expect(1)
	tr.must("the first Close", m.close())
	tr.must("the second Close", m.close())
}

func closeWhilePublishing(tr *trial) {
	const goroutines = 3
	topic := tr.topic()
	m, g := tr.node().joinHeld(topic)
	peer := tr.node().join(topic)
	g.hold(m, peer)
	closed := make(chan struct{})
	closing := tr.start(func() error {
		defer close(closed)
		return m.callWithin(moment, m.link.Close)
	})
	results := make([]<-chan error, 0, 2*goroutines)
	for range goroutines {
		results = append(results,
			tr.start(func() error { return m.publishUntil(closed) }),
			tr.start(func() error { return peer.publishUntil(closed) }))
	}
	for _, result := range results {
		if err := tr.await(result, 2*patience); err != nil && !errors.Is(err, adapter.ErrClosed) {
			tr.Errorf("Publish while the link closes: got %v, want nil or ErrClosed", err)
		}
	}
	_ = tr.await(closing, patience)
	g.open()
	if m.close() == errStuck {
		tr.Error("Close did not return")
	}
}

// publishUntil publishes every now and then, until it is refused or done is closed.
func (m *member) publishUntil(done <-chan struct{}) error {
	often := time.NewTicker(time.Millisecond)
	defer often.Stop()
	for {
		if err := m.link.Publish(m.Context(), numbered(2)); err != nil {
			return err
		}
		select {
		case <-often.C:
		case <-done:
			return nil
		}
	}
}

func closeEndsDelivery(tr *trial) {
	topic := tr.topic()
	m, g := tr.node().joinHeld(topic)
	peer, witness := tr.node().join(topic), tr.node().join(topic)
	g.hold(m, peer)
	peer.publish(series(2, 20)...)
	peer.publish(numbered(last))
	witness.until(last)
	closing := tr.start(m.close)
	g.open()
	tr.must("Close", tr.await(closing, patience))
	for m.inbox.shift() != nil { // delivered before Close returned
	}
	peer.publish(numbered(last))
	witness.expect(last)
	m.quiet("deliver was called after Close had returned")
}

func closeHandsOver(tr *trial) {
	const n = 50
	topic := tr.topic()
	sender, receiver := tr.delayed().join(topic), tr.node().join(topic)
	sender.publish(series(1, n)...)
	tr.must("Close", sender.close())
	for number := range uint32(n) {
		receiver.expect(number + 1)
	}
}

func closeEndsGoroutines(tr *trial) {
	a, b := tr.node(), tr.node()
	meet := func() {
		topic := tr.topic()
		m, peer := a.join(topic), b.join(topic)
		m.publish(numbered(1))
		peer.expect(1)
		tr.must("Close", m.close())
		tr.must("Close", peer.close())
	}
	meet() // a client's own pool may start what stays
	before := goroutines("")
	meet()
	deadline := time.Now().Add(patience)
	for pause := time.Millisecond; ; pause *= 2 {
		left := goroutines(packageOf(a.adapter) + ".")
		for name := range before {
			delete(left, name)
		}
		if len(left) == 0 {
			return
		}
		if time.Now().After(deadline) {
			for _, stack := range left {
				tr.Errorf("a goroutine outlives the last link:\n%s", stack)
			}
			return
		}
		<-time.NewTimer(pause).C
	}
}

// packageOf returns the package of a's type, written as in a stack trace.
func packageOf(a adapter.Adapter) string {
	kind := reflect.TypeOf(a)
	if kind.Kind() == reflect.Pointer {
		kind = kind.Elem()
	}
	dir, name := path.Split(kind.PkgPath())
	return dir + strings.ReplaceAll(name, ".", "%2e")
}

// goroutines returns the stacks that mention text, by their goroutines' names.
func goroutines(text string) map[string]string {
	buf := make([]byte, 64<<10)
	n := runtime.Stack(buf, true)
	for n == len(buf) {
		buf = make([]byte, 2*len(buf))
		n = runtime.Stack(buf, true)
	}
	found := map[string]string{}
	for stack := range strings.SplitSeq(string(buf[:n]), "\n\n") {
		if name, _, ok := strings.Cut(stack, " ["); ok && strings.Contains(stack, text) {
			found[name] = stack
		}
	}
	return found
}
