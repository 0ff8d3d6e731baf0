package server_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	gosync "sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/roomcast/roomcast/internal/testutil/rawclient"
	"github.com/roomcast/roomcast/pkg/server"
)

func TestCallAll_WhatCameIsKeptWhenTheTimeIsOver(t *testing.T) {
	for name, at := range map[string]int{"own client": 0, "another node's": 1} {
		t.Run(name, func(t *testing.T) {
			inClusterBubble(t, 2, server.Options{}, func(t *testing.T, nodes []node) {
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
	inClusterBubble(t, 2, server.Options{}, func(t *testing.T, nodes []node) {
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
				inClusterBubble(t, 2, server.Options{}, func(t *testing.T, nodes []node) {
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
// Who does not get a volatile event is not waited for.
func TestCallAll_VolatileEventThatWasDroppedIsNotAwaited(t *testing.T) {
	s, url := start(t, server.Options{})
	connected := make(chan struct{})
	s.Of("/").OnConnect(func(context.Context, *server.Socket) error { close(connected); return nil })
	session := url + "/socket.io/?EIO=4&transport=polling"
	request := func(method, body string) string {
		r, err := http.NewRequestWithContext(t.Context(), method, session, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		text, _ := io.ReadAll(answer.Body)
		return string(text)
	}
	var open struct{ SID string }
	if err := json.Unmarshal([]byte(request(http.MethodGet, "")[1:]), &open); err != nil {
		t.Fatal(err)
	}
	session += "&sid=" + open.SID
	request(http.MethodPost, "40")
	<-connected
	request(http.MethodGet, "") // the reply; from here on nobody polls
	answers := server.CallAll[int](t.Context(), s.Of("/").Volatile(), "now?")
	_, err := answers.Wait()
	var missing *server.PartialError
	if !errors.As(err, &missing) || !errors.Is(err, server.ErrDisconnected) || missing.Expected != 1 || missing.Received != 0 {
		t.Errorf("got %v, want the end of a call that nobody can answer", err)
	}
}

func TestCallAll_NodeThatDiesIsNamed(t *testing.T) {
	inClusterBubble(t, 3, server.Options{}, func(t *testing.T, nodes []node) {
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
	inClusterBubble(t, 2, server.Options{}, func(t *testing.T, nodes []node) {
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
	inClusterBubble(t, 2, server.Options{}, func(t *testing.T, nodes []node) {
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

// A socket that owes too many acknowledgements is not asked for more, and the others are.
func TestCallAll_PendingAcknowledgementsAreBounded(t *testing.T) {
	inClusterBubble(t, 2, server.Options{MaxPendingAcks: 2}, func(t *testing.T, nodes []node) {
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

// Calls of all nodes at a time, to clients of which some answer, some do not and
// some go: each call ends, with as many answers as it counts.
func TestCallAll_ManyAtATimeWhileClientsComeAndGo(t *testing.T) {
	inClusterBubble(t, 3, server.Options{}, func(t *testing.T, nodes []node) {
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
		synctest.Wait()
		for _, n := range nodes {
			if connections, sockets := server.Awaited(n.Of("/")); connections != 0 || sockets != 0 {
				t.Errorf("%d and %d acknowledgements are still awaited", connections, sockets)
			}
		}
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
