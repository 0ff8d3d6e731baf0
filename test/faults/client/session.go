package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/roomcast/roomcast/test/faults/tally"
)

// credentials are the payload of CONNECT: the room that the server lets the client
// join, and what it needs to recover.
type credentials struct {
	Room    int    `json:"room"`
	Private string `json:"pid,omitempty"`
	Offset  string `json:"offset,omitempty"`
}

// connect opens a session at a node and joins the main namespace.
func (c *Client) connect(ctx context.Context, place Place) (*wire, error) {
	w, err := openWire(ctx, place.Addr, connectLimit)
	if err != nil {
		return nil, err
	}
	if err := c.join(ctx, w, place); err != nil {
		_ = w.conn.Close()
		return nil, err
	}
	return w, nil
}

func (c *Client) join(ctx context.Context, w *wire, place Place) error {
	if tcp, ok := w.conn.(*net.TCPConn); ok && c.config.ReceiveBuffer > 0 {
		_ = tcp.SetReadBuffer(c.config.ReceiveBuffer)
	}
	c.mu.Lock()
	c.wire = w
	own := credentials{Room: c.config.Log.Room, Private: c.private, Offset: c.offset}
	c.mu.Unlock()
	if ctx.Err() != nil { // Drop has come too early for this connection
		return context.Cause(ctx)
	}
	if open, err := w.read(); err != nil || !bytes.HasPrefix(open, []byte("0{")) {
		return errors.Join(fmt.Errorf("client: %.20q is no open packet", open), err)
	}
	auth, err := json.Marshal(own)
	if err != nil {
		return fmt.Errorf("client: %w", err)
	}
	if err := w.write(opText, append([]byte("40"), auth...)); err != nil {
		return err
	}
	return c.awaitConnect(w, place, own)
}

// awaitConnect reads the answer to CONNECT, before which pings may come.
func (c *Client) awaitConnect(w *wire, place Place, own credentials) error {
	for {
		packet, err := w.read()
		if err != nil {
			return err
		}
		payload, ok := bytes.CutPrefix(packet, []byte("40"))
		if !ok {
			if err := c.handle(w, packet); err != nil {
				return err
			}
			continue
		}
		var given struct {
			SID string `json:"sid"`
			PID string `json:"pid"`
		}
		if err := json.Unmarshal(payload, &given); err != nil {
			return fmt.Errorf("client: %q: %w", packet, err)
		}
		c.accept(place, own, given.SID, given.PID)
		_ = w.conn.SetDeadline(time.Time{})
		return nil
	}
}

// accept notes under which ids the server has connected the client. One that is
// not recovered has no past: its offset goes with its private id.
func (c *Client) accept(place Place, own credentials, id, private string) {
	c.mu.Lock()
	recovered := own.Private != "" && own.Private == private && c.id == id
	came := c.id != ""
	c.id, c.private = id, private
	if !recovered {
		c.offset = ""
	}
	c.mu.Unlock()
	switch {
	case recovered:
		c.recovered.Add(1)
	case came:
		c.afresh.Add(1)
	}
	c.config.Log.Sit(tally.Sitting{Node: place.Node, From: time.Now(), Recovered: recovered})
}

// listen reads until the connection ends.
func (c *Client) listen(ctx context.Context, w *wire) error {
	for {
		if c.stalled.Load() {
			<-ctx.Done()
			return context.Cause(ctx)
		}
		packet, err := w.read()
		if err != nil {
			return err
		}
		if err := c.handle(w, packet); err != nil {
			return err
		}
	}
}

// handle does what a packet asks for.
func (c *Client) handle(w *wire, packet []byte) error {
	if a, offset, ok := readMessage(packet); ok {
		a.At = time.Now().UnixNano()
		if !c.config.Uncounted {
			c.config.Log.Arrive(a)
		}
		if offset != "" {
			c.mu.Lock()
			c.offset = offset
			c.mu.Unlock()
		}
		return nil
	}
	switch text := string(packet); {
	case text == "2":
		return w.write(opText, []byte("3"))
	case text == "1" || text == "41":
		return errClosed
	case strings.HasPrefix(text, "43"):
		c.answer(text[2:])
	case strings.HasPrefix(text, "42") && !c.config.Silent:
		if id, _ := idOf(text[2:]); id != "" {
			return w.write(opText, []byte("43"+id+`["yes"]`))
		}
	}
	return nil
}

// answer hands an acknowledgement to the call that waits for it.
func (c *Client) answer(text string) {
	digits, payload := idOf(text)
	id, err := strconv.Atoi(digits)
	if err != nil {
		return
	}
	c.mu.Lock()
	waiting := c.answers[id]
	delete(c.answers, id)
	c.mu.Unlock()
	if waiting != nil {
		waiting <- json.RawMessage(payload)
	}
}

// idOf splits a packet's text into its acknowledgement id, which may be absent,
// and its payload.
func idOf(text string) (id, payload string) {
	if start := strings.IndexByte(text, '['); start >= 0 {
		return text[:start], text[start:]
	}
	return "", text
}

// durations is a list that grows.
type durations struct {
	mu   sync.Mutex
	list []time.Duration
}

func (d *durations) add(one time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.list = append(d.list, one)
}

func (d *durations) all() []time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	return append([]time.Duration(nil), d.list...)
}
