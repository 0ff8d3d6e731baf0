// Package client is a small Socket.IO client over WebSocket for benches: it counts
// numbered broadcasts, comes back when it has lost its connection, and recovers.
package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/roomcast/roomcast/test/faults/tally"
)

// The waits of a client.
const (
	// connectLimit bounds an attempt: the official client gives up after 20 s too.
	connectLimit = 20 * time.Second
	// Between two attempts a client waits a random time from this range.
	minPause, maxPause = 50 * time.Millisecond, 500 * time.Millisecond
)

// Place is a node to which a client may connect.
type Place struct {
	// Addr is where it listens, as host:port.
	Addr string
	// Node is the number under which it sends.
	Node int
}

// Config says what a client does.
type Config struct {
	// Log gets what the client sees. Its Room is the room that the client joins.
	Log *tally.Log
	// Place returns the node for the next attempt to connect; false if there is none
	// at the moment.
	Place func() (Place, bool)
	// ReceiveBuffer is the size of the socket's buffer; 0 is the system's choice.
	ReceiveBuffer int
	// Silent says that the client does not acknowledge.
	Silent bool
	// Uncounted says that arrivals are not logged: only the offset is kept.
	Uncounted bool
}

// Client is one client. Its methods are safe for concurrent use.
type Client struct {
	config Config

	connected  atomic.Bool
	recovered  atomic.Int64
	afresh     atomic.Int64
	refused    atomic.Int64
	handshakes durations
	stalled    atomic.Bool

	mu       sync.Mutex
	wire     *wire
	id       string // of the present or the last socket
	private  string
	offset   string
	answers  map[int]chan json.RawMessage
	lastCall int
}

// New returns a client that Run runs.
func New(config Config) *Client {
	return &Client{config: config, answers: make(map[int]chan json.RawMessage)}
}

// Run connects, and connects again whenever the connection is lost, until ctx
// ends.
func (c *Client) Run(ctx context.Context) {
	stop := context.AfterFunc(ctx, c.Drop)
	defer stop()
	for ctx.Err() == nil {
		place, ok := c.config.Place()
		if ok {
			ok = c.sit(ctx, place)
		}
		if !ok || ctx.Err() == nil {
			wait(ctx, minPause+rand.N(maxPause-minPause))
		}
	}
}

// wait returns after d, or when ctx ends.
func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// sit is connected to a node until the connection ends. It says whether it was.
func (c *Client) sit(ctx context.Context, place Place) bool {
	start := time.Now()
	w, err := c.connect(ctx, place)
	if err != nil {
		var refusal *refusedError
		if errors.As(err, &refusal) {
			c.refused.Add(1)
		}
		return false
	}
	c.handshakes.add(time.Since(start))
	c.connected.Store(true)
	err = c.listen(ctx, w)
	c.connected.Store(false)
	c.config.Log.Leave(time.Now())
	_ = w.conn.Close()
	return err == nil
}

// Connected says whether the client is connected and in its room.
func (c *Client) Connected() bool { return c.connected.Load() }

// Returns says how often the client came back with its id, how often without, and
// how often it was refused.
func (c *Client) Returns() (recovered, afresh, refused int64) {
	return c.recovered.Load(), c.afresh.Load(), c.refused.Load()
}

// Handshakes returns how long each successful attempt took, from the dial to the
// answer to CONNECT.
func (c *Client) Handshakes() []time.Duration { return c.handshakes.all() }

// HasOffset says whether the client has received what it needs to recover.
func (c *Client) HasOffset() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.offset != ""
}

// Stall stops reading, for good.
func (c *Client) Stall() { c.stalled.Store(true) }

// Drop closes the connection as a network does; Run connects again.
func (c *Client) Drop() {
	c.mu.Lock()
	w := c.wire
	c.mu.Unlock()
	if w != nil {
		_ = w.conn.Close()
	}
}

// Leave disconnects as a user does who closes the page: the server forgets the
// client. Run must be ended by its context.
func (c *Client) Leave() { _ = c.send("41") }

func (c *Client) send(packet string) error {
	c.mu.Lock()
	w := c.wire
	c.mu.Unlock()
	if w == nil {
		return errors.New("client: not connected")
	}
	_ = w.conn.SetWriteDeadline(time.Now().Add(connectLimit))
	return w.write(opText, []byte(packet))
}

// Call sends an event with one argument and decodes the acknowledgement's first
// argument into result, unless that is nil.
func (c *Client) Call(ctx context.Context, event string, argument, result any) error {
	text, err := json.Marshal([]any{event, argument})
	if err != nil {
		return fmt.Errorf("client: %w", err)
	}
	answer := make(chan json.RawMessage, 1)
	c.mu.Lock()
	c.lastCall++
	id := c.lastCall
	c.answers[id] = answer
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.answers, id)
	}()
	if err := c.send(fmt.Sprintf("42%d%s", id, text)); err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		return fmt.Errorf("client: call of %q: %w", event, context.Cause(ctx))
	case raw := <-answer:
		var arguments []json.RawMessage
		if err := json.Unmarshal(raw, &arguments); err != nil || len(arguments) == 0 || result == nil {
			return err
		}
		return json.Unmarshal(arguments[0], result)
	}
}
