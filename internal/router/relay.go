package router

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

const (
	// restSize is the buffer that each direction of a relay keeps.
	restSize = 512
	// busySize is the buffer that a direction borrows while more than that comes at once.
	busySize = 32 << 10
)

var errNoRelay = errors.New("the answer is an upgrade that cannot be one")

var busyBuffers = sync.Pool{New: func() any { return new([busySize]byte) }}

// relay passes on the bytes of a WebSocket between its client and its session's owner.
type relay struct {
	client  net.Conn
	owner   io.ReadWriteCloser
	timeout time.Duration // of a write to the client
}

// startRelay lets a client's connection become the WebSocket that its owner has accepted.
func (r *Router) startRelay(w http.ResponseWriter, answer *http.Response) error {
	owner, ok := answer.Body.(io.ReadWriteCloser)
	if !ok {
		return errors.Join(errNoRelay, answer.Body.Close())
	}
	client, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return errors.Join(err, owner.Close())
	}
	l := &relay{client: client, owner: owner, timeout: r.options.WriteTimeout}
	early := make([]byte, buffered.Reader.Buffered())
	_, _ = io.ReadFull(buffered.Reader, early) // it is there already
	var head bytes.Buffer
	head.WriteString("HTTP/1.1 101 Switching Protocols\r\n")
	_ = answer.Header.Write(&head) // a buffer takes everything
	head.WriteString("\r\n")
	if !r.add(l) {
		l.close()
		return nil // the connection is not HTTP's any more
	}
	r.work.Go(func() {
		defer r.remove(l)
		l.run(head.Bytes(), early)
	})
	return nil
}

// add registers a relay, unless the router is closing.
func (r *Router) add(l *relay) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closing {
		return false
	}
	r.relays[l] = struct{}{}
	r.counters.relayed.Add(1)
	return true
}

func (r *Router) remove(l *relay) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.relays, l)
}

// run passes bytes on until one side has ended, and then ends the other. head goes to
// the client first, early to the owner.
func (l *relay) run(head, early []byte) {
	defer l.close()
	if l.toClient(head) != nil {
		return
	}
	if _, err := l.owner.Write(early); err != nil {
		return
	}
	var up sync.WaitGroup
	up.Go(func() {
		pump(l.client.Read, l.toOwner)
		l.close()
	})
	pump(l.owner.Read, l.toClient)
	l.close()
	up.Wait()
}

func (l *relay) toClient(data []byte) error {
	_ = l.client.SetWriteDeadline(time.Now().Add(l.timeout)) // where it fails the write does
	_, err := l.client.Write(data)
	return err
}

func (l *relay) toOwner(data []byte) error {
	_, err := l.owner.Write(data)
	return err
}

// close ends both sides. It may be called at any time, and more than once.
func (l *relay) close() {
	_ = l.client.Close() // what was not written is lost with the connection
	_ = l.owner.Close()
}

// pump passes on what is read until either side fails. A direction at rest keeps a small
// buffer only: there may be many.
func pump(read func([]byte) (int, error), write func([]byte) error) {
	rest := make([]byte, restSize)
	for {
		n, err := read(rest)
		if n > 0 && write(rest[:n]) != nil || err != nil {
			return
		}
		if n == len(rest) && !pumpBusy(read, write) {
			return
		}
	}
}

// pumpBusy passes on with a large buffer, until a read does not fill a small one. It
// returns false when either side fails.
func pumpBusy(read func([]byte) (int, error), write func([]byte) error) bool {
	busy := busyBuffers.Get().(*[busySize]byte)
	defer busyBuffers.Put(busy)
	for {
		n, err := read(busy[:])
		if n > 0 && write(busy[:n]) != nil || err != nil {
			return false
		}
		if n < restSize {
			return true
		}
	}
}
