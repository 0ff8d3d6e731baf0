package engine

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// sendMany sends numbered messages of a size until the session refuses one, and
// returns how many were taken.
func sendMany(s *Session, count, size int) (sent int, err error) {
	for ; sent < count; sent++ {
		text := fmt.Sprintf("%d %s", sent, strings.Repeat("x", size))
		if err = s.Send(NewMessage([]byte(text))); err != nil {
			break
		}
	}
	return sent, err
}

// expectNumbered reads what sendMany has sent.
func (c *peer) expectNumbered(count int) {
	c.t.Helper()
	for i := range count {
		if got, want := c.read(), fmt.Sprintf("4%d ", i); !strings.HasPrefix(got, want) {
			c.t.Fatalf("message %d begins with %.20q", i, got)
		}
	}
}

func TestWriter_FullSocketKeepsOrderAndEndsItsGoroutine(t *testing.T) {
	f := onTightSockets(t, Options{})
	c, r := f.openSocket()
	sent, err := sendMany(r.session, 300, 10_000)
	if err != nil {
		t.Fatal(err)
	}
	if r.session.QueuedBytes() == 0 {
		t.Error("the socket has taken 3 MB")
	}
	if r.session.SendVolatile(NewMessage([]byte("volatile"))) {
		t.Error("a full socket took a volatile message")
	}
	c.expectNumbered(sent)
	socket := r.session.socket.Load()
	socket.awaitChange(socket.idle)
	if n := r.session.QueuedBytes(); n != 0 {
		t.Errorf("%d bytes are queued at the end", n)
	}
	// The write deadline of the queue does not strike later.
	if !r.session.SendVolatile(NewMessage([]byte("volatile"))) {
		t.Error("an empty socket did not take a volatile message")
	}
	c.expect("4volatile")
}

func TestWriter_ConcurrentSendersLoseNothing(t *testing.T) {
	test := func(t *testing.T, f *fixture) {
		c, r := f.openSocket()
		const senders, each = 8, 300
		var sending sync.WaitGroup
		for sender := range senders {
			sending.Go(func() {
				for i := range each {
					m := NewMessage([]byte(fmt.Sprintf("%d:%d", sender, i)), make([]byte, i))
					if err := r.session.Send(m); err != nil {
						t.Error(err)
					}
				}
			})
		}
		next := [senders]int{}
		for range senders * each {
			var sender, i int
			text := c.read()
			if _, err := fmt.Sscanf(text, "4%d:%d", &sender, &i); err != nil || next[sender] != i {
				t.Fatalf("got %q, want number %d of sender %d (%v)", text, next[sender], sender, err)
			}
			next[sender]++
			if got := c.read(); len(got) != len("binary:")+i {
				t.Fatalf("attachment %d has %d bytes", i, len(got))
			}
		}
		sending.Wait()
	}
	onEveryConn(t, Options{}, test)
	t.Run("tight", func(t *testing.T) { test(t, onTightSockets(t, Options{})) })
}

func TestWriter_QueueBeyondTheLimitEndsTheSession(t *testing.T) {
	f := onTightSockets(t, Options{MaxSendQueueBytes: 100_000})
	other, otherSession := f.openSocket()
	_, r := f.openSocket()
	_, err := sendMany(r.session, 10_000, 1000)
	if !errors.Is(err, ErrSlowConsumer) {
		t.Fatalf("got %v, want ErrSlowConsumer", err)
	}
	if end := f.awaitEnd(r); end.reason != ReasonTransportError || !errors.Is(end.cause, ErrSlowConsumer) {
		t.Errorf("session ended with %v", end)
	}
	if err := r.session.Send(NewMessage(nil)); !errors.Is(err, ErrClosed) {
		t.Errorf("Send got %v afterwards, want ErrClosed", err)
	}
	if r.session.SendVolatile(NewMessage(nil)) {
		t.Error("SendVolatile was taken afterwards")
	}
	if got := f.engine.Stats().SlowConsumers; got != 1 {
		t.Errorf("counted %d slow consumers, want 1", got)
	}
	_ = otherSession.session.Send(NewMessage([]byte("unharmed")))
	other.expect("4unharmed")
}

func TestWriter_VolatileIsDroppedByAFullSocket(t *testing.T) {
	f := onTightSockets(t, Options{})
	c, r := f.openSocket()
	m := NewMessage([]byte(strings.Repeat("x", 10_000)))
	taken := 0
	for r.session.SendVolatile(m) {
		taken++
	}
	if n := r.session.QueuedBytes(); n >= m.Size() {
		t.Errorf("%d bytes are queued, want less than a message", n)
	}
	for range taken {
		c.expect("4" + strings.Repeat("x", 10_000))
	}
	f.eventually("writable", func() bool { return r.session.SendVolatile(NewMessage([]byte("again"))) })
	c.expect("4again")
}

// A client can read a message, and say something that has others send to it, before the
// goroutine that wrote the message goes on.
func TestWriter_VolatileIsTakenWhileAnotherGoroutineWrites(t *testing.T) {
	onEveryConn(t, Options{}, func(t *testing.T, f *fixture) {
		c, r := f.openSocket()
		socket := r.session.socket.Load()
		socket.awaitChange(socket.idle)
		socket.mu.Lock()
		socket.writing = true // as if that goroutine had lost its processor
		socket.mu.Unlock()
		for range 2 {
			if !r.session.SendVolatile(NewMessage([]byte("volatile"))) {
				t.Error("a volatile message was dropped for a client that is not slow")
			}
		}
		if r.session.SendVolatile(NewMessage(make([]byte, writableBytes))) {
			t.Error("more was taken than may wait")
		}
		socket.write(NewMessage([]byte("first")), false)
		c.expect("4first", "4volatile", "4volatile")
	})
}

// slowReturn is a descriptor whose writers lose their processor once they have written.
type slowReturn struct {
	syscall.RawConn
	resume chan struct{}
}

func (c slowReturn) Write(f func(fd uintptr) bool) error {
	err := c.RawConn.Write(f)
	<-c.resume
	return err
}

func TestWriter_VolatileIsTakenOnceTheOpenPacketIsRead(t *testing.T) {
	f := onSockets(t, Options{})
	resume := make(chan struct{})
	f.onOpen = func(r *recorder) {
		if r.session.SendVolatile(NewMessage([]byte("early"))) {
			t.Error("a volatile message was taken before the open packet was written")
		}
		frames := &r.session.socket.Load().frames
		frames.raw = slowReturn{frames.raw, resume}
	}
	c := f.dial(socketQuery)
	c.read() // the open packet
	r := f.next()
	if !r.session.SendVolatile(NewMessage([]byte("volatile"))) {
		t.Error("a volatile message was dropped for a client that has read the open packet")
	}
	close(resume)
	c.expect("4volatile")
}

func TestWriter_DropVolatileQueuesUpToTheLimit(t *testing.T) {
	f := onTightSockets(t, Options{MaxSendQueueBytes: 100_000, SlowConsumer: DropVolatile})
	c, r := f.openSocket()
	taken := 0
	for i := range 1000 {
		text := fmt.Sprintf("%d %s", taken, strings.Repeat("x", 10_000))
		if !r.session.SendVolatile(NewMessage([]byte(text))) {
			if i < 9 { // ten of them, with their frames, are more than the limit
				t.Errorf("message %d was dropped below the limit", i)
			}
			continue
		}
		taken++
	}
	if taken > 900 {
		t.Errorf("%d of 1000 messages were taken", taken)
	}
	c.expectNumbered(taken)
	f.expectOpen(r)
}

func TestWriter_NoProgressEndsTheSession(t *testing.T) {
	f := onTightSockets(t, Options{WriteTimeout: 300 * time.Millisecond})
	_, r := f.openSocket()
	if err := r.session.Send(NewMessage(make([]byte, 3<<20))); err != nil {
		t.Fatal(err)
	}
	f.expectEnd(r, ReasonTransportError)
}

func TestWriter_ProgressRenewsTheDeadline(t *testing.T) {
	f := onTightSockets(t, Options{})
	c, r := f.openSocket()
	m := NewMessage(bytes.Repeat([]byte("progress"), 400_000)) // one write, if it takes no longer than its deadline
	if err := r.session.Send(m); err != nil {
		t.Fatal(err)
	}
	conn, written := c.conn.NetConn(), r.session.socket.Load().frames.Conn
	_ = conn.SetReadDeadline(time.Now().Add(patience))
	var got bytes.Buffer
	deadlines := 0
	for queued := r.session.QueuedBytes(); queued > 1<<20; queued = r.session.QueuedBytes() {
		// Of what the client reads last, the write that is under way has written a part.
		_, _ = io.CopyN(&got, conn, int64(m.Size()-queued-got.Len()+1))
		_ = written.SetWriteDeadline(time.Now())
		f.eventually("end of the write", func() bool { return r.session.QueuedBytes() < queued })
		deadlines++
	}
	_, _ = io.CopyN(&got, conn, int64(m.Size()-got.Len()))
	if !bytes.Equal(got.Bytes(), m.frames) || deadlines < 2 {
		t.Errorf("got %d of %d bytes, past %d deadlines", got.Len(), m.Size(), deadlines)
	}
	f.expectOpen(r)
}

func TestWriter_ReadingStopsWhileHalfTheQueueIsUsed(t *testing.T) {
	f := onTightSockets(t, Options{MaxSendQueueBytes: 200_000})
	f.onText = echo
	c, r := f.openSocket()
	message := frame(0x81, "4"+strings.Repeat("x", 10_000))
	var writing sync.WaitGroup
	writing.Go(func() {
		for range 1000 { // 10 MB, far more than all buffers hold
			c.sendRaw(message)
		}
	})
	f.eventually("half a queue", func() bool { return r.session.QueuedBytes() > 100_000 })
	for range 1000 {
		if n := r.session.QueuedBytes(); n > 150_000 {
			t.Fatalf("%d bytes are queued", n)
		}
		c.expect("4" + strings.Repeat("x", 10_000))
	}
	writing.Wait()
	f.expectOpen(r)
}

func TestWriter_TLSClosesWithoutWaitingForTheClient(t *testing.T) {
	f := onTLS(t, Options{MaxSendQueueBytes: 100_000})
	c, r := f.openSocket()
	_ = c.conn.NetConn().(*tls.Conn).NetConn().(*net.TCPConn).SetReadBuffer(128 << 10)
	start := time.Now()
	for time.Since(start) < patience {
		if _, err := sendMany(r.session, 1, 50_000); err != nil {
			break
		}
	}
	end := f.awaitEnd(r)
	if !errors.Is(end.cause, ErrSlowConsumer) {
		t.Errorf("session ended with %v", end)
	}
	f.eventually("session forgotten", func() bool { return len(f.engine.snapshot()) == 0 })
	start = time.Now()
	f.stop()
	if took := time.Since(start); took > time.Second {
		t.Errorf("Close took %v", took)
	}
}

func TestWriter_SharedBytesAreNeverWritten(t *testing.T) {
	f := onTightSockets(t, Options{})
	m := NewMessage([]byte(strings.Repeat("x", 50_000)), []byte("attachment"))
	want := bytes.Clone(m.frames)
	var peers []*peer
	for range 5 {
		c, r := f.openSocket()
		for range 20 {
			_ = r.session.Send(m)
		}
		peers = append(peers, c)
	}
	for _, c := range peers {
		for range 20 {
			c.expect("4"+strings.Repeat("x", 50_000), "binary:attachment")
		}
	}
	if !bytes.Equal(m.frames, want) {
		t.Error("the frames have changed")
	}
}

func BenchmarkSession_Send(b *testing.B) {
	f := onSockets(b, Options{PingInterval: time.Hour, ParkAfter: -1}) // being parked allocates, once
	const receivers = 100
	var reading sync.WaitGroup
	var sessions []*Session
	var peers []*peer
	for range receivers {
		c, r := f.openSocket()
		reading.Go(func() { _, _ = io.Copy(io.Discard, c.conn.NetConn()) })
		sessions, peers = append(sessions, r.session), append(peers, c)
	}
	text := []byte(strings.Repeat("x", 128))
	b.ReportAllocs()
	for b.Loop() {
		m := NewMessage(text)
		for _, s := range sessions {
			_ = s.Send(m)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*receivers), "ns/receiver")
	for _, c := range peers {
		_ = c.conn.Close()
	}
	reading.Wait()
}
