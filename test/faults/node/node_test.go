package node_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/roomcast/roomcast/test/faults/client"
	"github.com/roomcast/roomcast/test/faults/node"
	"github.com/roomcast/roomcast/test/faults/tally"
)

// patience bounds every wait; a test that needs it has failed.
const patience = 10 * time.Second

// running is a node in this process.
type running struct {
	t     *testing.T
	at    node.Addresses
	input io.Closer
	err   error
	ended chan struct{}
}

// start starts a node, which ends with the test.
func start(t *testing.T, config node.Config) *running {
	t.Helper()
	arguments, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	inputEnd, input := io.Pipe()
	output, outputEnd := io.Pipe()
	r := &running{t: t, input: input, ended: make(chan struct{})}
	go func() {
		defer close(r.ended)
		r.err = node.Run(context.Background(), string(arguments), inputEnd, outputEnd)
		_ = outputEnd.CloseWithError(r.err)
	}()
	t.Cleanup(r.stop)
	line, err := bufio.NewReader(output).ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &r.at)
	}
	if err != nil {
		t.Fatalf("the node says %q: %v", line, err)
	}
	return r
}

func (r *running) stop() {
	_ = r.input.Close()
	<-r.ended
}

func (r *running) order(method, path string, result any) {
	r.t.Helper()
	request, err := http.NewRequestWithContext(r.t.Context(), method, "http://"+r.at.Admin+path, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		r.t.Fatal(err)
	}
	defer response.Body.Close()
	if err := json.NewDecoder(response.Body).Decode(result); err != nil || response.StatusCode != http.StatusOK {
		r.t.Fatalf("%s is answered with %s: %v", path, response.Status, err)
	}
}

// join connects a client that is in a room.
func (r *running) join(room int) (*client.Client, *tally.Log) {
	r.t.Helper()
	log := &tally.Log{Room: room}
	c := client.New(client.Config{Log: log, Place: func() (client.Place, bool) {
		return client.Place{Addr: r.at.Web, Node: 1}, true
	}})
	ctx, stop := context.WithCancel(r.t.Context())
	var clients sync.WaitGroup
	clients.Go(func() { c.Run(ctx) })
	r.t.Cleanup(func() {
		stop()
		clients.Wait()
	})
	eventually(r.t, c.Connected)
	return c, log
}

func eventually(t *testing.T, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); !holds(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatal("it does not happen")
		}
	}
}

func TestNode_SendsNumbersToWhomItIsTold(t *testing.T) {
	r := start(t, node.Config{Sender: 1, Adapter: "memory"})
	_, inside := r.join(3)
	_, outside := r.join(tally.Everybody)
	for i, path := range []string{"/emit?selection=-1&size=200", "/emit?selection=3&size=200"} {
		var sent node.Sent
		r.order(http.MethodPost, path, &sent)
		if sent.Number != i+1 || sent.Error != "" || time.Since(sent.At) > time.Minute {
			t.Errorf("%s: got %+v", path, sent)
		}
	}
	eventually(t, func() bool { return inside.Count() == 2 && outside.Count() == 1 })
	if got := outside.Arrivals()[0]; got.Sender != 1 || got.Number != 1 {
		t.Errorf("got %+v", got)
	}
}

func TestNode_TellsWhatItKnows(t *testing.T) {
	r := start(t, node.Config{Sender: 1, Adapter: "memory", Recovery: true})
	c, _ := r.join(3)
	if err := c.Call(t.Context(), "join", "own", nil); err != nil {
		t.Fatal(err)
	}
	var found node.Found
	r.order(http.MethodPost, fmt.Sprintf("/fetch?milliseconds=%d", patience.Milliseconds()), &found)
	if found.Sockets != 1 || found.Rooms["own"] != 1 || found.Rooms[node.Room(3)] != 1 || len(found.Rooms) != 2 {
		t.Errorf("got %+v", found)
	}
	var asked node.Asked
	r.order(http.MethodPost, fmt.Sprintf("/ask?milliseconds=%d", patience.Milliseconds()), &asked)
	if asked.Answers != 1 || asked.Error != "" {
		t.Errorf("got %+v", asked)
	}
	var state node.State
	r.order(http.MethodGet, "/state", &state)
	if !state.Ready || state.Bus != "up" || state.Sessions != 1 || state.Goroutines == 0 || state.Heap == 0 {
		t.Errorf("got %+v", state)
	}
	var sent int
	r.order(http.MethodPost, "/flood?selection=3&rate=1000&size=10&milliseconds=50", &sent)
	if sent != 50 {
		t.Errorf("sent %d in 50 ms at 1,000 a second", sent)
	}
}

func TestNode_EndsWithItsInput(t *testing.T) {
	r := start(t, node.Config{Adapter: "memory"})
	r.stop()
	if r.err != nil {
		t.Error(r.err)
	}
}

func TestNode_RefusesWhatItDoesNotKnow(t *testing.T) {
	for _, arguments := range []string{"{", `{"Adapter":"pigeons","Redis":{"Addrs":["127.0.0.1:1"]}}`} {
		if err := node.Run(t.Context(), arguments, http.NoBody, io.Discard); err == nil {
			t.Errorf("%s is accepted", arguments)
		}
	}
}
