package server_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	gosync "sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/roomcast/roomcast/internal/testutil/rawclient"
	"github.com/roomcast/roomcast/pkg/server"
)

// counted fails the test unless answers has these counts.
func counted[Res any](t *testing.T, answers *server.Answers[Res], expected, received int) {
	t.Helper()
	if e, r := answers.Counts(); e != expected || r != received {
		t.Errorf("counts are %d and %d, want %d and %d", e, r, expected, received)
	}
}

func TestCallAll_GathersTheAnswersOfTheSelectionOnAllNodes(t *testing.T) {
	inCluster(t, 3, server.Options{}, func(t *testing.T, nodes []node) {
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
	inCluster(t, 2, server.Options{}, func(t *testing.T, nodes []node) {
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

func TestCallAll_WhatCameIsKeptWhenTheTimeIsOver(t *testing.T) {
	for name, at := range map[string]int{"own client": 0, "another node's": 1} {
		t.Run(name, func(t *testing.T) {
			inCluster(t, 2, server.Options{}, func(t *testing.T, nodes []node) {
				quick, _ := nodes[0].member(t)
				slow, _ := nodes[at].member(t)
				begin := time.Now()
				answers := server.CallAll[string](t.Context(), nodes[0].Of("/").All(), "ask")
				answerCall(t, quick, `["ask"]`, `"quick"`)
				id := expectCall(t, slow, `["ask"]`)
				got, err := answers.Wait()
				if elapsed := time.Since(begin); elapsed != 5*time.Second {
					t.Errorf("took %v, want RequestTimeout", elapsed)
				}
				var missing *server.PartialError
				if !errors.As(err, &missing) || !errors.Is(err, context.DeadlineExceeded) || missing.Expected != 2 || missing.Received != 1 {
					t.Errorf("got %v, want a PartialError of 1 of 2 because of the deadline", err)
				}
				if !slices.Equal(got, []string{"quick"}) {
					t.Errorf("got %q", got)
				}
				acknowledge(slow, id, `"late"`)
				slow.ExpectNothing("/")
				counted(t, answers, 2, 1)
			})
		})
	}
}

func TestCallAll_CancelEndsTheWaitWithItsCause(t *testing.T) {
	inCluster(t, 2, server.Options{}, func(t *testing.T, nodes []node) {
		nodes[0].member(t)
		nodes[1].member(t)
		cause := errors.New("enough")
		ctx, cancel := context.WithCancelCause(t.Context())
		answers := server.CallAll[string](ctx, nodes[0].Of("/").All(), "ask")
		synctest.Wait()
		cancel(cause)
		synctest.Wait()
		if err := answers.Err(); !errors.Is(err, cause) {
			t.Errorf("got %v, want the cause", err)
		}
		counted(t, answers, 2, 0)
		begin := time.Now()
		if _, err := server.CallAll[string](ctx, nodes[0].Of("/").All(), "ask").Wait(); !errors.Is(err, cause) || time.Since(begin) != 0 {
			t.Errorf("with a ctx that has ended: %v after %v", err, time.Since(begin))
		}
	})
}

func TestCallAll_ClientThatGoesEndsItsPart(t *testing.T) {
	for name, leave := range map[string]func(node, *rawclient.Client){
		"leaves":            func(_ node, c *rawclient.Client) { c.Send("1") },
		"is lost":           func(_ node, c *rawclient.Client) { c.Close() },
		"is disconnected":   func(n node, _ *rawclient.Client) { n.To("leaver").Local().Disconnect(context.Background(), false) },
		"breaks the rules":  func(_ node, c *rawclient.Client) { c.Send("9") },
		"is put out by all": func(n node, _ *rawclient.Client) { n.To("leaver").Disconnect(context.Background(), true) },
	} {
		for _, at := range []int{0, 1} {
			t.Run(fmt.Sprint(name, " on node ", at), func(t *testing.T) {
				inCluster(t, 2, server.Options{}, func(t *testing.T, nodes []node) {
					stays, _ := nodes[0].member(t)
					leaver, _ := nodes[at].member(t, "leaver")
					begin := time.Now()
					answers := server.CallAll[string](t.Context(), nodes[0].Of("/").All(), "ask")
					expectCall(t, leaver, `["ask"]`)
					leave(nodes[at], leaver)
					answerCall(t, stays, `["ask"]`, `"yes"`)
					got, err := answers.Wait()
					missing := partial(t, err, server.ErrDisconnected)
					if !slices.Equal(got, []string{"yes"}) || missing.Expected != 2 || missing.Received != 1 || time.Since(begin) != 0 {
						t.Errorf("got %q, %v after %v", got, err, time.Since(begin))
					}
				})
			})
		}
	}
}

// The answers of a dead node's clients that came before count.
func TestCallAll_NodeThatDiesIsNamed(t *testing.T) {
	inCluster(t, 3, server.Options{}, func(t *testing.T, nodes []node) {
		here, _ := nodes[0].member(t)
		first, _ := nodes[2].member(t)
		second, _ := nodes[2].member(t)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		answers := server.CallAll[string](ctx, nodes[0].Of("/").All(), "ask")
		answerCall(t, here, `["ask"]`, `"here"`)
		answerCall(t, first, `["ask"]`, `"first"`)
		id := expectCall(t, second, `["ask"]`)
		synctest.Wait()
		nodes[2].wire.cut.Store(true)
		acknowledge(second, id, `"second"`)
		begin := time.Now()
		got, err := answers.Wait()
		if elapsed := time.Since(begin); elapsed > 11*time.Second {
			t.Errorf("took %v, want at most HeartbeatTimeout and a check", elapsed)
		}
		missing := partial(t, err, server.ErrNodeLost, nodes[2].NodeID())
		if slices.Sort(got); !slices.Equal(got, []string{"first", "here"}) || missing.Expected != 3 || missing.Received != 2 {
			t.Errorf("got %q with %+v", got, missing)
		}
	})
}

func TestCallAll_WithoutReceiversEndsAtOnce(t *testing.T) {
	inCluster(t, 2, server.Options{}, func(t *testing.T, nodes []node) {
		begin := time.Now()
		answers := server.CallAll[string](t.Context(), nodes[0].To("nobody"), "ask")
		if got, err := answers.Wait(); err != nil || len(got) != 0 || time.Since(begin) != 0 {
			t.Errorf("got %q, %v after %v", got, err, time.Since(begin))
		}
		counted(t, answers, 0, 0)
	})
}

func TestCallAll_WhatCannotBeSentIsTheError(t *testing.T) {
	s, url := start(t, server.Options{})
	c, _ := rawclient.Join(t, url, "/", nil)
	all := s.Of("/").All()
	if _, err := server.CallAll[int](t.Context(), all, "disconnect").Wait(); !errors.Is(err, server.ErrReservedEvent) {
		t.Errorf("reserved event: %v", err)
	}
	if _, err := server.CallAll[int](t.Context(), all, "x", slices.Repeat([]any{[]byte{1}}, 11)...).Wait(); !errors.Is(err, server.ErrTooManyAttachments) {
		t.Errorf("11 attachments: %v", err)
	}
	if _, err := server.CallAll[int](t.Context(), all, "x", make(chan int)).Wait(); err == nil {
		t.Error("a channel was sent")
	}
	c.ExpectNothing("/")
}

func TestCallAll_AnswersThatDoNotDecodeAreReported(t *testing.T) {
	inCluster(t, 2, server.Options{}, func(t *testing.T, nodes []node) {
		here, _ := nodes[0].member(t)
		there, _ := nodes[1].member(t)
		answers := server.CallAll[int](t.Context(), nodes[0].Of("/").All(), "ask")
		answerCall(t, here, `["ask"]`, `"not a number"`)
		answerCall(t, there, `["ask"]`, "3")
		got, err := answers.Wait()
		if !slices.Equal(got, []int{3}) || !errors.Is(err, server.ErrArguments) || answers.Err() != nil {
			t.Errorf("got %v, %v; the call itself %v", got, err, answers.Err())
		}
		empty := server.CallAll[int](t.Context(), nodes[0].Of("/").All(), "ask")
		answerCall(t, here, `["ask"]`, "")
		answerCall(t, there, `["ask"]`, "null,5")
		if got, err := empty.Wait(); err != nil || !slices.Equal(got, []int{0, 0}) {
			t.Errorf("without an argument: got %v, %v", got, err)
		}
	})
}

func TestCallAll_BinaryAndSeveralArguments(t *testing.T) {
	inCluster(t, 2, server.Options{}, func(t *testing.T, nodes []node) {
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
	inCluster(t, 2, server.Options{}, func(t *testing.T, nodes []node) {
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
	inCluster(t, 2, server.Options{}, func(t *testing.T, nodes []node) {
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

// A socket that owes too many acknowledgements is not asked for more, and the others are.
func TestCallAll_PendingAcknowledgementsAreBounded(t *testing.T) {
	inCluster(t, 2, server.Options{MaxPendingAcks: 2}, func(t *testing.T, nodes []node) {
		lazy, _ := nodes[0].member(t)
		ns := nodes[0].Of("/")
		ctx, cancel := context.WithCancel(t.Context())
		for i := range 2 {
			server.CallAll[int](ctx, ns.All(), "ask", i)
			expectCall(t, lazy, fmt.Sprintf(`["ask",%d]`, i))
		}
		synctest.Wait()
		busy, _ := nodes[1].member(t)
		answers := server.CallAll[int](t.Context(), ns.All(), "third")
		answerCall(t, busy, `["third"]`, "3")
		if got, err := answers.Wait(); err != nil || !slices.Equal(got, []int{3}) {
			t.Errorf("got %v, %v", got, err)
		}
		counted(t, answers, 1, 1)
		cancel()
		synctest.Wait() // the calls that have ended give their places back
		answers = server.CallAll[int](t.Context(), ns.Local(), "fourth")
		answerCall(t, lazy, `["fourth"]`, "4")
		if got, err := answers.Wait(); err != nil || !slices.Equal(got, []int{4}) {
			t.Errorf("got %v, %v", got, err)
		}
	})
}

// Nobody's acknowledgement counts twice, and one with an id that was not given out
// counts for nothing.
func TestCallAll_InventedAcknowledgementsAreIgnored(t *testing.T) {
	inCluster(t, 2, server.Options{}, func(t *testing.T, nodes []node) {
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
	inCluster(t, 1, server.Options{MaxAttachments: 20}, func(t *testing.T, nodes []node) {
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
	inCluster(t, 2, server.Options{}, func(t *testing.T, nodes []node) {
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

// Calls of all nodes at a time, to clients of which some answer, some do not and
// some go: each call ends, with as many answers as it counts.
func TestCallAll_ManyAtATimeWhileClientsComeAndGo(t *testing.T) {
	inCluster(t, 3, server.Options{}, func(t *testing.T, nodes []node) {
		const clients, callsEach = 8, 30
		var reading, calling gosync.WaitGroup
		var all []*rawclient.Client
		for i := range 3 * clients {
			c, _ := nodes[i%3].member(t)
			all = append(all, c)
			reading.Go(func() { behave(c, i) })
		}
		for _, n := range nodes {
			calling.Go(func() {
				for i := range callsEach {
					ctx, cancel := context.WithTimeout(t.Context(), time.Duration(1+i%4)*100*time.Millisecond)
					answers := server.CallAll[int](ctx, n.Of("/").All(), "ask", i)
					got, err := answers.Wait()
					expected, received := answers.Counts()
					if received != len(got) || received > expected || (err == nil) != (received == expected) {
						t.Errorf("got %d answers, counted %d of %d, %v", len(got), received, expected, err)
					}
					var missing *server.PartialError
					if err != nil && (!errors.As(err, &missing) || missing.Received != received || missing.Expected != expected) {
						t.Errorf("got %v", err)
					}
					cancel()
				}
			})
		}
		calling.Wait()
		for _, c := range all {
			c.Close()
		}
		reading.Wait()
	})
}

// behave reads as client i does: it answers each call, only some, or goes after a few.
func behave(c *rawclient.Client, i int) {
	for n := 0; ; n++ {
		_, data, err := c.Conn().ReadMessage()
		if err != nil {
			return
		}
		id, _, ok := strings.Cut(strings.TrimPrefix(string(data), "42"), "[")
		switch {
		case !ok || i%4 == 1 && n%3 == 0:
		case i%4 == 2 && n == 10*i:
			c.Close()
		default:
			acknowledge(c, id, fmt.Sprint(i))
		}
	}
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
