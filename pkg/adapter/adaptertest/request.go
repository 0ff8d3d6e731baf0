package adaptertest

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/roomcast/roomcast/pkg/adapter"
	"github.com/roomcast/roomcast/pkg/packet"
)

var requestChecks = []check{
	{"Request_Whole", "a request reaches every other node with all that its action uses", requestWhole},
	{"Request_ToOneNode", "a request with To reaches that node with all that its action uses, and no other", requestToOneNode},
	{"Request_WithoutAnswer", "a request without an id arrives without one, and so is not answered", requestWithoutAnswer},
	{"Request_ResponseWhole", "a response arrives with all that answers its action", responseWhole},
	{"Request_ResponseToTheAsker", "a response reaches the node that asked and no other", responseToTheAsker},
	{"Request_InOrderWithBroadcasts", "requests and broadcasts of one sender arrive in the order in which they were published", inOrderWithBroadcasts},
}

// asking returns a request of a namespace that waits for answers.
func asking(action adapter.Action) *adapter.Request {
	return &adapter.Request{
		ID: fmt.Sprintf("request-%d", action), Action: action, Timeout: 1500 * time.Millisecond,
		Packet: packet.Packet{Type: packet.Event},
	}
}

// requests returns one request for each action, with what the action uses.
func requests(namespace string) []*adapter.Request {
	data := packet.Packet{
		Type: packet.Event, Namespace: namespace,
		Data: []byte(`["event",{"é":[null,1.5]},{"_placeholder":true,"num":0}]`), Attachments: [][]byte{{0, 255}},
	}
	join, leave, disconnect, fetch := asking(adapter.ActionJoin), asking(adapter.ActionLeave), asking(adapter.ActionDisconnect), asking(adapter.ActionFetch)
	rooms, event, call := asking(adapter.ActionRooms), asking(adapter.ActionEvent), asking(adapter.ActionCall)
	for _, r := range []*adapter.Request{join, leave, disconnect, fetch, call} {
		r.Rooms, r.Except = []string{"one", "日本"}, []string{"a#b"}
	}
	join.Targets, leave.Targets = []string{"x", "y"}, []string{"z"}
	disconnect.Close = true
	event.Packet.Data = []byte(`["event",{"é":[null,1.5]}]`)
	call.Packet, call.Volatile, call.Uncompressed = data, true, true
	return []*adapter.Request{join, leave, disconnect, fetch, rooms, event, call}
}

func requestWhole(tr *trial) {
	namespace := tr.namespace()
	nodes := tr.together(3, namespace)
	for _, want := range requests(namespace) {
		want.Packet.Namespace = namespace
		nodes[0].publish(&adapter.Message{Kind: adapter.KindRequest, Request: want})
		for _, other := range nodes[1:] {
			got := other.next()
			if got.Kind != adapter.KindRequest || got.Request == nil || got.Request.Action != want.Action {
				tr.Fatalf("request for action %d arrived as kind %d with %+v", want.Action, got.Kind, got.Request)
			}
			tr.compareRequests(got.Request, want)
		}
	}
}

func requestToOneNode(tr *trial) {
	nodes := tr.together(3, tr.namespace())
	want := asking(adapter.ActionRelease)
	want.Rooms, want.Packet.Namespace = []string{socketID("AAAA")}, nodes[0].topic
	nodes[0].publish(&adapter.Message{Kind: adapter.KindRequest, To: nodes[1].id, Request: want})
	got := nodes[1].next()
	if got.Kind != adapter.KindRequest || got.Request == nil || got.Request.Action != want.Action {
		tr.Fatalf("the request to release a socket arrived as kind %d with %+v", got.Kind, got.Request)
	}
	tr.compareRequests(got.Request, want)
	nodes[2].quiet("the request was addressed to another node")
	answer := &adapter.Response{ID: want.ID, Action: want.Action, Done: true}
	nodes[1].publish(&adapter.Message{Kind: adapter.KindResponse, To: nodes[0].id, Response: answer})
	if got := nodes[0].next(); got.Kind != adapter.KindResponse || got.Response == nil {
		tr.Errorf("the response arrived as kind %d", got.Kind)
	} else {
		tr.compareResponses(got.Response, answer)
	}
}

func (tr *trial) compareRequests(got, want *adapter.Request) {
	tr.Helper()
	differs := tr.differs(want.Action)
	differs("id", got.ID, want.ID)
	differs("rooms", slices.Sorted(slices.Values(got.Rooms)), slices.Sorted(slices.Values(want.Rooms)))
	differs("excepted rooms", slices.Sorted(slices.Values(got.Except)), slices.Sorted(slices.Values(want.Except)))
	differs("targets", slices.Sorted(slices.Values(got.Targets)), slices.Sorted(slices.Values(want.Targets)))
	differs("close", got.Close, want.Close)
	differs("timeout", got.Timeout, want.Timeout)
	differs("volatile", got.Volatile, want.Volatile)
	differs("uncompressed", got.Uncompressed, want.Uncompressed)
	if want.Packet.Data != nil {
		tr.compareData(&got.Packet, &want.Packet)
	}
}

// differs returns what reports a field that did not arrive as it was published.
func (tr *trial) differs(action adapter.Action) func(what string, got, want any) {
	return func(what string, got, want any) {
		tr.Helper()
		if !reflect.DeepEqual(got, want) {
			tr.Errorf("action %d: %s arrived as %.200v, want %.200v", action, what, got, want)
		}
	}
}

func requestWithoutAnswer(tr *trial) {
	namespace := tr.namespace()
	nodes := tr.together(2, namespace)
	want := asking(adapter.ActionEvent)
	want.ID, want.Packet.Namespace, want.Packet.Data = "", namespace, []byte(`["event",1]`)
	nodes[0].publish(&adapter.Message{Kind: adapter.KindRequest, Request: want})
	got := nodes[1].next()
	if got.Request == nil || got.Request.ID != "" || !sameJSON(got.Request.Packet.Data, want.Packet.Data) {
		tr.Errorf("got kind %d with %+v, want the event without an id", got.Kind, got.Request)
	}
}

// exchange joins two nodes, lets the first ask and the second answer, and returns
// what arrives at the first.
func (tr *trial) exchange(asked *adapter.Request, answers ...*adapter.Response) []*adapter.Response {
	tr.Helper()
	namespace := tr.namespace()
	nodes := tr.together(2, namespace)
	asked.Packet.Namespace = namespace
	nodes[0].publish(&adapter.Message{Kind: adapter.KindRequest, Request: asked})
	nodes[1].next()
	var arrived []*adapter.Response
	for _, answer := range answers {
		answer.ID, answer.Action = asked.ID, asked.Action
		if answer.Answer != nil {
			answer.Answer.Namespace = namespace
		}
		nodes[1].publish(&adapter.Message{Kind: adapter.KindResponse, To: nodes[0].id, Response: answer})
		got := nodes[0].next()
		if got.Kind != adapter.KindResponse || got.Response == nil {
			tr.Fatalf("the response to action %d arrived as kind %d", asked.Action, got.Kind)
		}
		arrived = append(arrived, got.Response)
	}
	return arrived
}

func responseWhole(tr *trial) {
	sockets := []adapter.Socket{
		{ID: "s1", Rooms: []string{"s1", "日本"}, Handshake: []byte(`{"query":{"a":"1"},"auth":null}`), Data: []byte(`{"name":"ann"}`)},
		{ID: "s2", Rooms: []string{"s2"}, Handshake: []byte(`{"query":{}}`), Data: []byte(`{}`)},
	}
	answer := func() *packet.Packet {
		return &packet.Packet{Type: packet.Ack, Data: []byte(`[{"é":null}]`)}
	}
	binary := &packet.Packet{Type: packet.Ack, Data: []byte(`[{"_placeholder":true,"num":0}]`), Attachments: [][]byte{{0, 255}}}
	for _, tt := range []struct {
		action  adapter.Action
		answers []*adapter.Response
	}{
		{adapter.ActionJoin, []*adapter.Response{{Done: true}}},
		{adapter.ActionFetch, []*adapter.Response{{Done: true, Sockets: sockets}}},
		{adapter.ActionFetch, []*adapter.Response{{Done: true}}},
		{adapter.ActionRooms, []*adapter.Response{{Done: true, Rooms: []string{"a", "日本"}}}},
		{adapter.ActionEvent, []*adapter.Response{{Done: true, Answer: answer()}}},
		{adapter.ActionCall, []*adapter.Response{{Receivers: 2}, {Answer: answer()}, {Answer: binary, Done: true}}},
	} {
		asked := asking(tt.action)
		asked.Packet.Data = []byte(`["event"]`)
		for i, got := range tr.exchange(asked, tt.answers...) {
			tr.compareResponses(got, tt.answers[i])
		}
	}
}

func (tr *trial) compareResponses(got, want *adapter.Response) {
	tr.Helper()
	differs := tr.differs(want.Action)
	differs("id", got.ID, want.ID)
	differs("action", got.Action, want.Action)
	differs("done", got.Done, want.Done)
	differs("receivers", got.Receivers, want.Receivers)
	differs("rooms", slices.Sorted(slices.Values(got.Rooms)), slices.Sorted(slices.Values(want.Rooms)))
	differs("having an answer", got.Answer != nil, want.Answer != nil)
	differs("the number of sockets", len(got.Sockets), len(want.Sockets))
	if tr.Failed() {
		return
	}
	if want.Answer != nil {
		tr.compareData(got.Answer, want.Answer)
	}
	for i, s := range want.Sockets {
		differs("a socket's id", got.Sockets[i].ID, s.ID)
		differs("a socket's rooms", slices.Sorted(slices.Values(got.Sockets[i].Rooms)), slices.Sorted(slices.Values(s.Rooms)))
		if !sameJSON(got.Sockets[i].Handshake, s.Handshake) || !sameJSON(got.Sockets[i].Data, s.Data) {
			tr.Errorf("a socket arrived with handshake %.100s and data %.100s", got.Sockets[i].Handshake, got.Sockets[i].Data)
		}
	}
}

func responseToTheAsker(tr *trial) {
	nodes := tr.together(3, tr.namespace())
	asked := asking(adapter.ActionRooms)
	asked.Packet.Namespace = nodes[0].topic
	nodes[0].publish(&adapter.Message{Kind: adapter.KindRequest, Request: asked})
	nodes[1].next()
	nodes[2].next()
	answer := &adapter.Response{ID: asked.ID, Action: asked.Action, Done: true, Rooms: []string{"a"}}
	nodes[1].publish(&adapter.Message{Kind: adapter.KindResponse, To: nodes[0].id, Response: answer})
	if got := nodes[0].next(); got.Kind != adapter.KindResponse {
		tr.Errorf("the asking node got kind %d, want the response", got.Kind)
	}
	nodes[2].quiet("the response is for the node that asked")
}

func inOrderWithBroadcasts(tr *trial) {
	const rounds = 20
	nodes := tr.together(2, tr.namespace())
	var want []string
	for i := range rounds {
		asked := asking(adapter.ActionRooms)
		asked.ID, asked.Packet.Namespace = fmt.Sprint(i), nodes[0].topic
		nodes[0].publish(
			event(nodes[0].topic, uint32(i)),
			&adapter.Message{Kind: adapter.KindRequest, Request: asked},
		)
		want = append(want, fmt.Sprint("broadcast ", i), fmt.Sprint("request ", i))
	}
	var got []string
	for range want {
		if m := nodes[1].next(); m.Kind == adapter.KindRequest {
			got = append(got, "request "+m.Request.ID)
		} else {
			got = append(got, fmt.Sprint("broadcast ", numberOf(m)))
		}
	}
	if tr.config.OrderPerSelection { // one kind after the other, each as it came
		byKind := func(a, b string) int { return cmp.Compare(a[0], b[0]) }
		slices.SortStableFunc(got, byKind)
		slices.SortStableFunc(want, byKind)
	}
	if !slices.Equal(got, want) {
		tr.Errorf("got %q, want %q", got, want)
	}
}
