package router

import (
	"bytes"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
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

// Relay passes on the bytes of a WebSocket between its client and its session's owner. It
// is safe for concurrent use.
type Relay struct {
	client  net.Conn
	owner   io.ReadWriteCloser
	timeout time.Duration // of a write to the client
	ended   atomic.Bool
}

// Relays returns those that there are at the moment.
func (r *Router) Relays() []*Relay {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Collect(maps.Keys(r.relays))
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
	l := &Relay{client: client, owner: owner, timeout: r.options.WriteTimeout}
	early := make([]byte, buffered.Reader.Buffered())
	_, _ = io.ReadFull(buffered.Reader, early) // it is there already
	var head bytes.Buffer
	head.WriteString("HTTP/1.1 101 Switching Protocols\r\n")
	_ = answer.Header.Write(&head) // a buffer takes everything
	head.WriteString("\r\n")
	if !r.add(l) {
		l.Close()
		return nil // the connection is not HTTP's any more
	}
	r.work.Go(func() {
		defer r.remove(l)
		l.run(head.Bytes(), early)
	})
	return nil
}

// add registers a relay, unless the router is closing.
func (r *Router) add(l *Relay) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closing {
		return false
	}
	r.relays[l] = struct{}{}
	r.counters.relayed.Add(1)
	return true
}

func (r *Router) remove(l *Relay) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.relays, l)
}

// run passes bytes on until one side has ended, and then ends the other. head goes to
// the client first, early to the owner.
func (l *Relay) run(head, early []byte) {
	defer l.Close()
	if l.toClient(head) != nil {
		return
	}
	if _, err := l.owner.Write(early); err != nil {
		return
	}
	var up sync.WaitGroup
	up.Go(func() {
		pump(l.client.Read, l.toOwner)
		l.Close()
	})
	pump(l.owner.Read, l.toClient)
	l.Close()
	up.Wait()
}

func (l *Relay) toClient(data []byte) error {
	_ = l.client.SetWriteDeadline(time.Now().Add(l.timeout)) // where it fails the write does
	_, err := l.client.Write(data)
	return err
}

func (l *Relay) toOwner(data []byte) error {
	_, err := l.owner.Write(data)
	return err
}

// Ended says whether either side has gone, or Close was called.
func (l *Relay) Ended() bool { return l.ended.Load() }

// Close ends both sides. It does not wait, and may be called at any time and more than once.
func (l *Relay) Close() {
	l.ended.Store(true)
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
