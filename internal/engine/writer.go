package engine

import (
	"bytes"
	"errors"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

const (
	// writeBatchBytes is what a writer goroutine hands to the kernel at once: few
	// system calls, and a queue length that stays true.
	writeBatchBytes = 256 << 10
	// writeChunkBytes is what it hands to a connection that cannot go on after a
	// deadline, as TLS cannot.
	writeChunkBytes = 64 << 10
	// writableBytes is how much may wait behind a write that was not refused yet: the
	// kernel, which takes more, has most likely taken it already.
	writableBytes = 64 << 10
)

// rawWrite is one non-blocking write. Its method value is bound once, so that a
// pooled one costs no allocation.
type rawWrite struct {
	bytes []byte
	n     int
	err   error
	call  func(uintptr) bool
}

var rawWrites = sync.Pool{New: func() any {
	w := &rawWrite{}
	w.call = w.write
	return w
}}

func (w *rawWrite) write(fd uintptr) bool {
	w.n, _, w.err = writeFD(fd, w.bytes)
	return true
}

// tryWrite writes what the socket takes at once.
func tryWrite(raw syscall.RawConn, b []byte) (int, error) {
	w := rawWrites.Get().(*rawWrite)
	w.bytes = b
	err := raw.Write(w.call)
	if err == nil {
		err = w.err
	}
	n := w.n
	w.bytes, w.n, w.err = nil, 0, nil
	rawWrites.Put(w)
	return n, err
}

// send writes m if the connection is free and queues what is left of it. It
// fails with ErrClosed and ErrSlowConsumer.
func (w *webSocket) send(m *Message) error {
	m = w.fit(m)
	w.mu.Lock()
	if w.writing || w.stopped {
		err := w.enqueue(m)
		w.mu.Unlock()
		return err
	}
	w.writing = true
	w.mu.Unlock()
	w.write(m, false)
	return nil
}

// sendVolatile is send for a message that may be dropped. It reports whether m
// will be sent.
func (w *webSocket) sendVolatile(m *Message) bool {
	m = w.fit(m)
	w.mu.Lock()
	if w.writing || w.stopped {
		taken := (w.writable(m) || w.engine.options.SlowConsumer == DropVolatile) && w.enqueue(m) == nil
		w.mu.Unlock()
		return taken
	}
	w.writing = true
	w.mu.Unlock()
	return w.write(m, true)
}

// writable says that the client is not known to be slow, though something is being written
// to it: it may have read that, and answered, before the goroutine that wrote it goes on.
// The caller holds mu.
func (w *webSocket) writable(m *Message) bool {
	return !w.blocked && w.queued+len(w.form(m)) <= writableBytes
}

// hold queues what is sent from now on, and drops what is volatile, until begin.
func (w *webSocket) hold() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.writing, w.blocked = true, true
}

// begin writes the response that opens the connection together with the first message, then
// what hold has queued.
func (w *webSocket) begin(first *Message) {
	w.mu.Lock()
	response := w.queue[0]
	w.queue = w.queue[1:]
	w.blocked = false // the client may have read first, and answered, before write goes on
	w.mu.Unlock()
	w.write(Join([]*Message{response, first}), false)
}

// sendControl sends a frame that the WebSocket library made.
func (w *webSocket) sendControl(frame []byte) error {
	if frame[0] == frameClose {
		w.finish(&Message{frames: bytes.Clone(frame), uncompressed: true})
		return nil
	}
	return w.send(&Message{frames: bytes.Clone(frame), uncompressed: true})
}

// finish sends a last frame. The connection is dropped after closeTimeout.
func (w *webSocket) finish(last *Message) {
	timeout := w.engine.closeTimeout()
	w.mu.Lock()
	if w.stopped {
		w.mu.Unlock()
		return
	}
	w.stopped = true
	w.announce()
	w.dropTimer = time.AfterFunc(timeout, w.drop)
	if w.writing {
		w.push(last)
		w.mu.Unlock()
		return
	}
	w.writing = true
	w.mu.Unlock()
	w.write(last, false)
}

// abort ends the connection at once; what is queued is lost.
func (w *webSocket) abort() {
	w.mu.Lock()
	w.stopped = true
	w.announce()
	w.mu.Unlock()
	w.drop()
}

// adopt queues messages in front of whatever is sent from now on. The caller
// starts w.drain if it is told to.
func (w *webSocket) adopt(messages []*Message) (drain bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, m := range messages {
		w.push(w.fit(m))
	}
	drain = !w.writing && len(messages) > 0 && !w.stopped
	w.writing = w.writing || drain
	return drain
}

// enqueue appends m if the queue has room for it. The caller holds mu.
func (w *webSocket) enqueue(m *Message) error {
	if w.stopped {
		return ErrClosed
	}
	if w.queued > 0 && w.queued+len(w.form(m)) > int(w.engine.options.MaxSendQueueBytes) {
		return ErrSlowConsumer
	}
	w.push(m)
	return nil
}

// push appends m. The caller holds mu.
func (w *webSocket) push(m *Message) {
	w.queue = append(w.queue, m)
	w.queued += len(w.form(m))
}

// fit returns m, without binary frames if the client wants none.
func (w *webSocket) fit(m *Message) *Message {
	if w.textOnly {
		return m.textOnly()
	}
	return m
}

// form returns the bytes of m as this connection wants them.
func (w *webSocket) form(m *Message) []byte {
	if w.deflate {
		return m.deflatedForm(w.engine.options.PerMessageDeflate.Threshold)
	}
	return m.frames
}

// write writes m without blocking and leaves the rest to a writer goroutine. A
// volatile m is not taken if a socket takes nothing of it. The caller has set
// writing and does not hold mu.
func (w *webSocket) write(m *Message, volatile bool) (taken bool) {
	b, n := w.form(m), 0
	if w.frames.raw != nil {
		var err error
		if n, err = tryWrite(w.frames.raw, b); err != nil {
			w.failWrite(err)
			return false
		}
		w.engine.counters.framed.sent.Add(uint64(n))
		taken = n > 0 || !volatile
	} else {
		taken = true
	}
	w.mu.Lock()
	if taken && n < len(b) {
		w.queue = append([]*Message{m}, w.queue...)
		w.written = n
		w.queued += len(b) - n
		w.blocked = w.frames.raw != nil
	}
	idle := len(w.queue) == 0
	if idle {
		w.endWriting()
	}
	w.mu.Unlock()
	if !idle {
		w.engine.work.Go(w.drain)
	}
	return taken
}

// drain writes the queue until it is empty.
func (w *webSocket) drain() {
	var buffers net.Buffers
	for {
		buffers = w.nextBatch(buffers[:0])
		if len(buffers) == 0 {
			return
		}
		if err := w.writeBatch(buffers); err != nil {
			w.failWrite(err)
			return
		}
	}
}

// nextBatch appends the head of the queue to buffers. If there is none, writing
// is over.
func (w *webSocket) nextBatch(buffers net.Buffers) net.Buffers {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.queue) == 0 {
		// A deadline that passes later would fail the next direct write.
		_ = w.frames.Conn.SetWriteDeadline(time.Time{}) // fails only on a closed connection
		w.endWriting()
		return nil
	}
	skip, size := w.written, 0
	for _, m := range w.queue {
		b := w.form(m)[skip:]
		buffers = append(buffers, b)
		if size += len(b); size >= writeBatchBytes {
			break
		}
		skip = 0
	}
	return buffers
}

// writeBatch writes buffers, with a deadline that is renewed by progress.
func (w *webSocket) writeBatch(buffers net.Buffers) error {
	conn, timeout := w.frames.Conn, w.engine.options.WriteTimeout
	if w.frames.raw != nil {
		for len(buffers) > 0 {
			_ = conn.SetWriteDeadline(time.Now().Add(timeout)) // its failure is the write's, too
			n, err := buffers.WriteTo(conn)
			w.wrote(int(n))
			if err != nil && (n == 0 || !errors.Is(err, os.ErrDeadlineExceeded)) {
				return err
			}
		}
		return nil
	}
	for _, b := range buffers {
		for len(b) > 0 {
			_ = conn.SetWriteDeadline(time.Now().Add(timeout))
			n, err := conn.Write(b[:min(len(b), writeChunkBytes)])
			w.wrote(n)
			if err != nil {
				return err
			}
			b = b[n:]
		}
	}
	return nil
}

// wrote takes n bytes off the queue.
func (w *webSocket) wrote(n int) {
	w.engine.counters.framed.sent.Add(uint64(n))
	w.mu.Lock()
	defer w.mu.Unlock()
	w.queued -= n
	w.written += n
	for len(w.queue) > 0 && w.written >= len(w.form(w.queue[0])) {
		w.written -= len(w.form(w.queue[0]))
		w.queue[0] = nil
		w.queue = w.queue[1:]
	}
	w.announce()
}

// failWrite ends writing for good.
func (w *webSocket) failWrite(err error) {
	w.mu.Lock()
	w.stopped = true
	w.queue, w.queued, w.written = nil, 0, 0
	w.endWriting()
	w.mu.Unlock()
	w.lost(err) // before the reader can see the connection closed, and give that as the reason
	w.drop()
}

// endWriting leaves the connection free. The caller holds mu.
func (w *webSocket) endWriting() {
	w.writing, w.blocked = false, false
	w.queue = nil
	w.announce()
}

// announce wakes those who await a change. The caller holds mu.
func (w *webSocket) announce() {
	if w.changed != nil {
		close(w.changed)
		w.changed = nil
	}
}

// awaitChange blocks until done, which is called with mu held, is true.
func (w *webSocket) awaitChange(done func() bool) {
	w.mu.Lock()
	for !done() {
		if w.changed == nil {
			w.changed = make(chan struct{})
		}
		changed := w.changed
		w.mu.Unlock()
		<-changed
		w.mu.Lock()
	}
	w.mu.Unlock()
}

// flows says that at most half of the send queue's limit is used, or that it
// does not matter any more. The caller holds mu.
func (w *webSocket) flows() bool {
	return w.stopped || w.queued <= int(w.engine.options.MaxSendQueueBytes/2)
}

// awaitQueue blocks until flows is true, as it mostly is.
func (w *webSocket) awaitQueue() {
	w.mu.Lock()
	flows := w.flows()
	w.mu.Unlock()
	if !flows {
		w.awaitChange(w.flows)
	}
}

// idle says that nothing is being written. The caller holds mu.
func (w *webSocket) idle() bool { return !w.writing }
