package router

import (
	"bytes"
	"context"
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
// is known from the moment at which its request is sent to the owner. It is safe for
// concurrent use.
type Relay struct {
	timeout time.Duration // of a write to the client
	ended   atomic.Bool
	probe   probe // of what the client has sent

	mu     sync.Mutex
	cancel context.CancelFunc // ends the request; nil once the owner has accepted the WebSocket
	client net.Conn           // nil until then; it and owner do not change after that
	owner  io.ReadWriteCloser
}

// Relays returns those that there are at the moment. After Drain there will be no other.
func (r *Router) Relays() []*Relay {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Collect(maps.Keys(r.relays))
}

// startRelay lets a client's connection become the WebSocket that its owner has accepted.
func (r *Router) startRelay(w http.ResponseWriter, answer *http.Response, l *Relay) error {
	owner, ok := answer.Body.(io.ReadWriteCloser)
	if !ok || l == nil {
		return errors.Join(errNoRelay, answer.Body.Close())
	}
	client, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return errors.Join(err, owner.Close())
	}
	early := make([]byte, buffered.Reader.Buffered())
	_, _ = io.ReadFull(buffered.Reader, early) // it is there already
	var head bytes.Buffer
	head.WriteString("HTTP/1.1 101 Switching Protocols\r\n")
	_ = answer.Header.Write(&head) // a buffer takes everything
	head.WriteString("\r\n")
	l.join(client, owner)
	r.counters.relayed.Add(1)
	r.work.Go(func() {
		defer r.remove(l)
		l.run(head.Bytes(), early)
	})
	return nil
}

func (r *Router) remove(l *Relay) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.relays, l)
}

// join gives the relay its two sides, which end at once if Close was called before.
func (l *Relay) join(client net.Conn, owner io.ReadWriteCloser) {
	l.mu.Lock()
	l.cancel, l.client, l.owner = nil, client, owner
	l.mu.Unlock()
	if l.Ended() {
		l.Close()
	}
}

// joined says whether the client's connection is the relay's.
func (l *Relay) joined() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.client != nil
}

// run passes bytes on until one side has ended, and then ends the other. head goes to
// the client first, early to the owner.
func (l *Relay) run(head, early []byte) {
	defer l.Close()
	if l.toClient(head) != nil || l.toOwner(early) != nil {
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
	l.probe.sent(data)
	return err
}

// Ended says whether either side has gone, or Close was called.
func (l *Relay) Ended() bool { return l.ended.Load() }

// Probing says whether the upgrade of the session is not decided yet: the owner has not
// answered the request, or the client has sent no more than the probe. A client whose
// probe is cut off stays with polling, one that has sent more comes back.
func (l *Relay) Probing() bool { return !l.Ended() && !l.probe.over.Load() }

// Close ends both sides. It does not wait, and may be called at any time and more than once.
func (l *Relay) Close() {
	l.ended.Store(true)
	l.mu.Lock()
	cancel, client, owner := l.cancel, l.client, l.owner
	l.mu.Unlock()
	if client == nil {
		cancel()
		return
	}
	_ = client.Close() // what was not written is lost with the connection
	_ = owner.Close()
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
