package server_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/roomcast/roomcast/internal/testutil/rawclient"
	"github.com/roomcast/roomcast/pkg/server"
)

func TestCallAll_GathersTheAnswersOfTheSelectionOnAllNodes(t *testing.T) {
	inClusterBubble(t, 3, server.Options{}, func(t *testing.T, nodes []node) {
		var called []*rawclient.Client
		for _, n := range nodes {
			c, _ := n.member(t, "a")
			called = append(called, c)
			n.member(t, "a", "b")
			n.member(t)
		}
		for at, n := range nodes {
			answers := server.CallAll[int](t.Context(), n.To("a").Except("b"), "add", 1, 2)
			for i, c := range called {
				answerCall(t, c, `["add",1,2]`, fmt.Sprint(i))
			}
			got, err := answers.Wait()
			if slices.Sort(got); err != nil || !slices.Equal(got, []int{0, 1, 2}) {
				t.Errorf("from node %d: got %v, %v", at, got, err)
			}
			counted(t, answers, 3, 3)
			local := server.CallAll[int](t.Context(), n.To("a").Except("b").Local(), "here")
			answerCall(t, called[at], `["here"]`, "7")
			if got, err := local.Wait(); err != nil || !slices.Equal(got, []int{7}) {
				t.Errorf("on node %d: got %v, %v", at, got, err)
			}
		}
		for _, c := range called {
			c.ExpectNothing("/")
		}
	})
}

// The reader of Each has an answer before the slower clients have given theirs.
func TestCallAll_EachYieldsAnswersAsTheyCome(t *testing.T) {
	inClusterBubble(t, 2, server.Options{}, func(t *testing.T, nodes []node) {
		var clients []*rawclient.Client
		for i := range 4 {
			c, _ := nodes[i%2].member(t)
			clients = append(clients, c)
		}
		answers := server.CallAll[int](t.Context(), nodes[0].Of("/").All(), "ask")
		synctest.Wait()
		counted(t, answers, 4, 0)
		var order []int
		next := 3
		give := func() {
			if next >= 0 {
				answerCall(t, clients[next], `["ask"]`, fmt.Sprint(next))
				next--
			}
		}
		give()
		for value, err := range answers.Each() {
			if err != nil || answers.Err() != nil {
				t.Errorf("got %v, and the call has %v", err, answers.Err())
			}
			order = append(order, value)
			counted(t, answers, 4, len(order))
			give()
		}
		if !slices.Equal(order, []int{3, 2, 1, 0}) {
			t.Errorf("got %v, want the order of the answers", order)
		}
		var again []int
		for value := range answers.Each() {
			if again = append(again, value); len(again) == 2 {
				break
			}
		}
		if !slices.Equal(again, []int{3, 2}) {
			t.Errorf("the second time got %v", again)
		}
	})
}

func TestCallAll_BinaryAndSeveralArguments(t *testing.T) {
	inClusterBubble(t, 2, server.Options{}, func(t *testing.T, nodes []node) {
		for _, n := range nodes {
			c, _ := n.member(t, "only")
			answers := server.CallAll[server.Args](t.Context(), nodes[0].To("only"), "ask", []byte("question"))
			got := c.Next()
			id, ok := strings.CutSuffix(strings.TrimPrefix(got, "51-"), `["ask",{"_placeholder":true,"num":0}]`)
			if !ok {
				t.Fatalf("got %q", got)
			}
			c.Expect("binary:question")
			c.Send("62-" + id + `["text",{"_placeholder":true,"num":1},{"deep":[{"_placeholder":true,"num":0}]}]`)
			c.SendBinary([]byte{0, 1})
			c.SendBinary([]byte{254, 255})
			all, err := answers.Wait()
			if err != nil || len(all) != 1 || all[0].Len() != 3 || all[0].WantsAck() {
				t.Fatalf("got %v, %v", all, err)
			}
			var text string
			var body []byte
			var deep struct {
				Deep [][]byte `json:"deep"`
			}
			if err := all[0].Decode(&text, &body, &deep); err != nil || text != "text" || string(body) != "\xfe\xff" || string(deep.Deep[0]) != "\x00\x01" {
				t.Errorf("got %q, %q, %q, %v", text, body, deep, err)
			}
			c.Send("1")
			synctest.Wait()
		}
	})
}

// A handler may wait for an answer of its own client, which is among the receivers.
func TestCallAll_FromAHandlerOfAReceiver(t *testing.T) {
	inClusterBubble(t, 2, server.Options{}, func(t *testing.T, nodes []node) {
		ns := nodes[0].Of("/")
		server.Handle(ns, "poll", func(ctx context.Context, _ *server.Socket, _ struct{}) (int, error) {
			got, err := server.CallAll[int](ctx, ns.All(), "ask").Wait()
			return len(got), err
		})
		self, _ := nodes[0].member(t)
		other, _ := nodes[1].member(t)
		self.Send(`25["poll"]`)
		answerCall(t, other, `["ask"]`, "1")
		answerCall(t, self, `["ask"]`, "2")
		self.Expect("35[2]")
	})
}

func TestCallAll_HasItsPlaceAmongWhatAGoroutineEmits(t *testing.T) {
	inClusterBubble(t, 2, server.Options{}, func(t *testing.T, nodes []node) {
		here, _ := nodes[0].member(t)
		there, _ := nodes[1].member(t)
		var all []*server.Answers[int]
		for i := range 50 {
			_ = nodes[0].Emit("n", i)
			all = append(all, server.CallAll[int](t.Context(), nodes[0].Of("/").All(), "ask", i))
		}
		_ = nodes[0].Emit("end")
		for _, c := range []*rawclient.Client{here, there} {
			for i := range 50 {
				c.Expect(fmt.Sprintf(`2["n",%d]`, i))
				answerCall(t, c, fmt.Sprintf(`["ask",%d]`, i), fmt.Sprint(i))
			}
			c.Expect(`2["end"]`)
		}
		for i, answers := range all {
			if got, err := answers.Wait(); err != nil || !slices.Equal(got, []int{i, i}) {
				t.Errorf("call %d: got %v, %v", i, got, err)
			}
		}
	})
}

// Nobody's acknowledgement counts twice, and one with an id that was not given out
// counts for nothing.
func TestCallAll_InventedAcknowledgementsAreIgnored(t *testing.T) {
	inClusterBubble(t, 2, server.Options{}, func(t *testing.T, nodes []node) {
		liar, _ := nodes[1].member(t)
		honest, _ := nodes[1].member(t)
		for id := range 20 {
			acknowledge(liar, fmt.Sprint(id), `"guess"`)
		}
		answers := server.CallAll[string](t.Context(), nodes[0].Of("/").All(), "ask")
		id := expectCall(t, liar, `["ask"]`)
		for range 5 {
			acknowledge(liar, id, `"once"`)
		}
		liar.ExpectNothing("/")
		synctest.Wait()
		counted(t, answers, 2, 1)
		answerCall(t, honest, `["ask"]`, `"honest"`)
		if got, err := answers.Wait(); err != nil || !slices.Equal(got, []string{"once", "honest"}) {
			t.Errorf("got %q, %v", got, err)
		}
	})
}

// A receiver of too many binary parts would drop its connection; its node has no
// receivers then.
func TestCallAll_TooManyAttachmentsForAnotherNode(t *testing.T) {
	inClusterBubble(t, 1, server.Options{MaxAttachments: 20}, func(t *testing.T, nodes []node) {
		strict, stop := startNode(t, server.Options{Adapter: nodes[0].wire.Adapter})
		defer stop()
		time.Sleep(time.Second)
		c, _ := strict.member(t)
		begin := time.Now()
		answers := server.CallAll[int](t.Context(), nodes[0].Of("/").All(), "x", slices.Repeat([]any{[]byte{1}}, 11)...)
		if got, err := answers.Wait(); err != nil || len(got) != 0 || time.Since(begin) != 0 {
			t.Errorf("got %v, %v after %v", got, err, time.Since(begin))
		}
		c.ExpectNothing("/")
	})
}

// A function of OnAnyOutgoing that ends its goroutine does not end the delivery of
// what other nodes send.
func TestCallAll_OnAnyOutgoingThatExitsDoesNotDeafenTheNode(t *testing.T) {
	inClusterBubble(t, 2, server.Options{}, func(t *testing.T, nodes []node) {
		nodes[1].Of("/").OnAnyOutgoing(func(_ *server.Socket, event string, _ server.Args) {
			if event == "fatal" {
				runtime.Goexit()
			}
		})
		victim, _ := nodes[1].member(t)
		server.CallAll[int](t.Context(), nodes[0].Of("/").All(), "fatal")
		synctest.Wait()
		survivor, _ := nodes[1].member(t)
		_ = nodes[0].Emit("after")
		survivor.Expect(`2["after"]`)
		_ = victim
	})
}

func TestCallAll_FiveThousandSocketsOnTwoNodes(t *testing.T) {
	const clients = 2500
	servers, urls := crowds(t, 2, clients) // sinks, which never answer
	c, _ := rawclient.Join(t, urls[1], "/", nil)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	answers := server.CallAll[int](ctx, servers[0].Of("/").All(), "ask")
	answerCall(t, c, `["ask"]`, "1")
	for value, err := range answers.Each() {
		if value != 1 || err != nil {
			t.Errorf("got %d, %v", value, err)
		}
		break
	}
	counted(t, answers, 2*clients+1, 1)
	for _, s := range servers { // all go: the call is over long before its time
		if err := s.To("room").Local().Disconnect(t.Context(), true); err != nil {
			t.Fatal(err)
		}
	}
	var missing *server.PartialError
	if got, err := answers.Wait(); !errors.As(err, &missing) || len(got) != 1 || missing.Expected != 2*clients+1 || missing.Received != 1 {
		t.Errorf("got %d answers, %v", len(got), err)
	}
}
