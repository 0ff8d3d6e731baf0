package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/roomcast/roomcast/internal/testutil/rawclient"
)

// client is a chat client in the default namespace.
type client struct {
	*rawclient.Client
	t  *testing.T
	id string
}

// dial connects to the server at address.
func dial(t *testing.T, address string) *client {
	t.Helper()
	raw, id := rawclient.Join(t, "http://"+address, "/", nil)
	return &client{Client: raw, t: t, id: id}
}

// ask emits an event and decodes the first argument of its acknowledgement, if
// reply is not nil.
func (c *client) ask(event string, argument, reply any) {
	c.t.Helper()
	text, err := json.Marshal([]any{event, argument})
	if err != nil {
		c.t.Fatal(err)
	}
	c.Send("27" + string(text))
	answer := c.next("37[")
	if reply != nil {
		c.decode(answer, reply)
	}
}

// event decodes the argument of the next event of that name for which ok holds.
func event[T any](c *client, name string, ok func(T) bool) T {
	c.t.Helper()
	for {
		var argument T
		c.decode(c.next(fmt.Sprintf("2[%q,", name)), &argument)
		if ok(argument) {
			return argument
		}
	}
}

// next returns what follows prefix in the next packet that begins with it.
func (c *client) next(prefix string) string {
	c.t.Helper()
	for {
		if rest, ok := strings.CutPrefix(c.Next(), prefix); ok {
			return rest
		}
	}
}

// decode reads one JSON value; the bracket that follows it ends the packet.
func (c *client) decode(text string, v any) {
	c.t.Helper()
	if err := json.NewDecoder(strings.NewReader(text)).Decode(v); err != nil {
		c.t.Fatalf("decode %q: %v", text, err)
	}
}

// readOn reads in the background as a browser does, so that the client answers
// when the server closes; the function that it returns waits for that end.
func (c *client) readOn() (ended func()) {
	var wg sync.WaitGroup
	wg.Go(func() { c.ExpectClose() })
	return wg.Wait
}
