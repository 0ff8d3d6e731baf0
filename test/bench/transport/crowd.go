package main

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"

	"github.com/roomcast/roomcast/internal/testutil/certificate"
)

// crowd is clients in one room.
type crowd struct {
	pair *certificate.Pair
	form form
	url  string

	members  []*member
	reading  sync.WaitGroup
	received atomic.Int64 // bytes on the wire
	events   atomic.Int64 // deliveries
}

// member is a client.
type member struct {
	conn *websocket.Conn
	acks chan struct{}

	mu sync.Mutex // held while writing
}

// counted adds up what is read.
type counted struct {
	net.Conn
	sum *atomic.Int64
}

func (c counted) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.sum.Add(int64(n))
	return n, err
}

// enter connects n clients, which join the room.
func (c *crowd) enter(n int) error {
	dialer := websocket.Dialer{
		TLSClientConfig: c.pair.Client, EnableCompression: c.form.deflate, ReadBufferSize: 1024, WriteBufferPool: new(sync.Pool),
		NetDial: func(network, address string) (net.Conn, error) {
			conn, err := net.Dial(network, address)
			return counted{conn, &c.received}, err
		},
	}
	url := strings.Replace(c.url, "http", "ws", 1) + "/socket.io/?EIO=4&transport=websocket"
	for range n {
		conn, response, err := dialer.Dial(url, nil)
		if err != nil {
			return err
		}
		_ = response.Body.Close()
		m := &member{conn: conn, acks: make(chan struct{}, 1)}
		c.members = append(c.members, m)
		c.reading.Go(func() { c.read(m) })
		if err := m.send("40"); err != nil {
			return err
		}
		if err := m.send(`420["join","room"]`); err != nil {
			return err
		}
		if err := m.acknowledged(); err != nil {
			return err
		}
	}
	return nil
}

func (c *crowd) leave() {
	for _, m := range c.members {
		_ = m.conn.Close()
	}
	c.reading.Wait()
}

func (m *member) send(text string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.conn.WriteMessage(websocket.TextMessage, []byte(text))
}

const patience = 20 * time.Second

func (m *member) acknowledged() error {
	select {
	case <-m.acks:
		return nil
	case <-time.After(patience):
		return errors.New("an acknowledgement does not come")
	}
}

// read takes what the server sends until the connection ends.
func (c *crowd) read(m *member) {
	for {
		_, data, err := m.conn.ReadMessage()
		switch {
		case err != nil:
			return
		case string(data) == "2":
			_ = m.send("3")
		case len(data) > 1 && string(data[:2]) == "42":
			c.events.Add(1)
		case len(data) > 1 && string(data[:2]) == "43":
			m.acks <- struct{}{}
		}
	}
}

// await returns when n deliveries more than at the last call have come.
func (c *crowd) await(n int64) error {
	look := time.NewTicker(time.Millisecond)
	defer look.Stop()
	for end := time.Now().Add(patience); c.events.Load() < n; <-look.C {
		if time.Now().After(end) {
			return fmt.Errorf("%d of %d deliveries have come", c.events.Load(), n)
		}
	}
	c.events.Add(-n)
	return nil
}

// echo lets n clients send events and wait for their acknowledgements, which it counts.
func (c *crowd) echo(n int, payload string, duration time.Duration) (acks int64, err error) {
	var (
		working sync.WaitGroup
		count   atomic.Int64
		errs    = make([]error, n)
		end     = time.Now().Add(duration)
	)
	for i, m := range c.members[:n] {
		working.Go(func() {
			for time.Now().Before(end) && errs[i] == nil {
				if errs[i] = m.send(`421["echo",` + payload + `]`); errs[i] == nil {
					errs[i] = m.acknowledged()
				}
				count.Add(1)
			}
		})
	}
	working.Wait()
	return count.Load(), errors.Join(errs...)
}
