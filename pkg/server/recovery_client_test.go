package server_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/roomcast/roomcast/internal/testutil/rawclient"
	"github.com/roomcast/roomcast/pkg/server"
)

// wanderer is a client that is cut off and comes back, and keeps what an official
// client keeps for that: its private id, and the last offset.
type wanderer struct {
	*rawclient.Client
	t                testing.TB
	dial             rawclient.Dialer
	prefix           string // of packets of its namespace
	sid, pid, offset string
}

// wander connects a new client to namespace.
func wander(t testing.TB, url, namespace string, dial rawclient.Dialer) *wanderer {
	t.Helper()
	w := &wanderer{t: t, dial: dial}
	if namespace != "/" {
		w.prefix = namespace + ","
	}
	w.Client = rawclient.Dial(t, url, dial)
	w.enter()
	return w
}

// enter connects to the namespace, as a new client.
func (w *wanderer) enter() {
	w.t.Helper()
	w.Send("0" + w.prefix)
	reply := w.Next()
	if sid, pid, ok := w.connected(reply); !ok || sid == "" || pid == "" {
		w.t.Fatalf("the reply to CONNECT is %q, want one with sid and pid", reply)
	} else {
		w.sid, w.pid = sid, pid
	}
}

func (w *wanderer) connected(packet string) (sid, pid string, ok bool) {
	text, ok := strings.CutPrefix(packet, "0"+w.prefix)
	var reply struct {
		SID string `json:"sid"`
		PID string `json:"pid"`
	}
	return reply.SID, reply.PID, ok && json.Unmarshal([]byte(text), &reply) == nil
}

// event returns the next packet without its offset, which it notes. As an official
// client does, it takes any last argument that is a string for one.
func (w *wanderer) event() string {
	w.t.Helper()
	packet := w.Next()
	stripped, offset := cutOffset(packet)
	if offset != "" {
		w.offset = offset
	}
	return stripped
}

// cutOffset takes the last argument out of an event, if it is a string.
func cutOffset(packet string) (stripped, offset string) {
	i := strings.LastIndex(packet, `,"`)
	if !strings.HasPrefix(packet, "2") && !strings.HasPrefix(packet, "5") || i < 0 || !strings.HasSuffix(packet, `"]`) {
		return packet, ""
	}
	return packet[:i] + "]", packet[i+2 : len(packet)-2]
}

// events expects events of the log, in order.
func (w *wanderer) events(want ...string) {
	w.t.Helper()
	for _, want := range want {
		before := w.offset
		if got := w.event(); got != want {
			w.t.Fatalf("got %q, want %q", got, want)
		} else if w.offset == before && !strings.HasPrefix(want, "binary:") {
			w.t.Fatalf("%q came without an offset of its own", got)
		}
	}
}

// cut drops the connection and waits until the node has kept the record.
func (w *wanderer) cut(s *store) {
	w.t.Helper()
	w.Close()
	for receive(w.t, s.saved) != w.pid { // other clients' records come too
	}
}

// credentials are what the client says to come back.
func (w *wanderer) credentials() string {
	return fmt.Sprintf(`{"pid":%q,"offset":%q}`, w.pid, w.offset)
}

// back comes back and returns what was missed, and whether the client is who it was.
// A client that starts afresh must have got nothing before.
func (w *wanderer) back(url string) (missed []string, recovered bool) {
	w.t.Helper()
	w.Client = rawclient.Dial(w.t, url, w.dial)
	w.Send("0" + w.prefix + w.credentials())
	return w.welcome()
}

func (w *wanderer) welcome() (missed []string, recovered bool) {
	w.t.Helper()
	for {
		packet := w.event()
		sid, pid, ok := w.connected(packet)
		if !ok {
			missed = append(missed, packet)
			continue
		}
		recovered = pid == w.pid
		if recovered != (sid == w.sid) || pid == "" || !recovered && len(missed) > 0 {
			w.t.Fatalf("was %s %s, is %s %s after having missed %q", w.sid, w.pid, sid, pid, missed)
		}
		w.sid, w.pid = sid, pid
		return missed, recovered
	}
}

// at has the client come back to another node.
func (w *wanderer) at(dial rawclient.Dialer) *wanderer {
	w.dial = dial
	return w
}

// recovers comes back and expects to have missed just that.
func (w *wanderer) recovers(url string, want ...string) {
	w.t.Helper()
	missed, recovered := w.back(url)
	if !recovered || fmt.Sprint(missed) != fmt.Sprint(want) {
		w.t.Fatalf("recovered: %v, missed %q; want %q", recovered, missed, want)
	}
}

// afresh comes back and expects to be somebody else.
func (w *wanderer) afresh(url string) {
	w.t.Helper()
	if missed, recovered := w.back(url); recovered {
		w.t.Fatalf("recovered and missed %q, want a fresh start", missed)
	}
}

// emit emits a numbered event that all get.
func emit(t testing.TB, s *server.Server, numbers ...int) {
	t.Helper()
	for _, n := range numbers {
		if err := s.Emit("n", n); err != nil {
			t.Fatal(err)
		}
	}
}
