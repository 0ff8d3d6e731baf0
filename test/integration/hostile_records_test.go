//go:build integration

package integration

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/roomcast/roomcast/internal/testutil/rawclient"
	"github.com/roomcast/roomcast/pkg/server"
)

// traveller is a client, and what it needs to come back.
type traveller struct {
	*rawclient.Client
	id, privateID, offset string
}

// host lets a client in at node i, tells it something, and waits for its record.
func (b *besieged) host(t *testing.T, i int) *traveller {
	t.Helper()
	w := &traveller{Client: rawclient.Dial(t, b.nodes[i].url, nil)}
	w.Send("0")
	var ok bool
	if w.id, w.privateID, ok = connected(w.Next()); !ok {
		t.Fatal("the client was not let in")
	}
	if err := b.nodes[1-i].To(w.id).Emit("hello"); err != nil {
		t.Fatal(err)
	}
	w.offset = strings.TrimSuffix(strings.TrimPrefix(w.Next(), `2["hello","`), `"]`)
	eventually(t, "a record", func() bool { return b.attacker.Exists(t.Context(), w.key()).Val() == 1 })
	return w
}

func (w *traveller) key() string { return "sio:session:" + w.privateID }

// lose is host, and the client's connection ends.
func (b *besieged) lose(t *testing.T, i int) *traveller {
	t.Helper()
	w := b.host(t, i)
	w.Close()
	eventually(t, "the connection's end", func() bool { return b.holders(w.id) == 0 })
	return w
}

// holders counts the sockets with that id.
func (b *besieged) holders(id string) (count int) {
	for _, n := range b.nodes {
		for _, s := range n.Of("/").Sockets() {
			if s.ID() == id {
				count++
			}
		}
	}
	return count
}

// connected reads the answer to a CONNECT packet.
func connected(packet string) (id, privateID string, ok bool) {
	var answer struct{ SID, PID string }
	text, ok := strings.CutPrefix(packet, "0")
	return answer.SID, answer.PID, ok && json.Unmarshal([]byte(text), &answer) == nil && answer.SID != "" && answer.PID != ""
}

// claims connects with an auth payload as it is, and says whether that made the client
// who w was. It leaves again.
func (w *traveller) claims(t *testing.T, url, auth string) bool {
	t.Helper()
	c := rawclient.Dial(t, url, nil)
	defer c.Close()
	c.Send("0" + auth)
	for {
		if id, privateID, ok := connected(c.Next()); ok {
			if (id == w.id) != (privateID == w.privateID) {
				t.Fatalf("the answer to %.100s is half of what the client was", auth)
			}
			return id == w.id
		}
	}
}

func (w *traveller) credentials() string { return auth(w.privateID, w.offset) }

func auth(privateID, offset string) string {
	text, _ := json.Marshal(map[string]string{"pid": privateID, "offset": offset})
	return string(text)
}

func besiegeRecords(t *testing.T) *besieged {
	return besiege(t, streams, server.Options{Recovery: new(server.Recovery)})
}

// Credentials that are made up, with what means something to Redis in them, are a fresh
// start, and do no harm to the record that they come near.
func TestHostile_MadeUpCredentialsOnAStream(t *testing.T) {
	b := besiegeRecords(t)
	w := b.lose(t, 0)
	ms, _, _ := strings.Cut(w.offset, "-")
	claims := []string{
		`{"pid":1,"offset":"` + w.offset + `"}`, `{"pid":"` + w.privateID + `","offset":1}`, `{"pid":["` + w.privateID + `"],"offset":"` + w.offset + `"}`,
		`{"pid":"` + w.privateID + `"}`, `{"offset":"` + w.offset + `"}`, auth(w.id, w.offset), auth(w.offset, w.privateID), auth(w.privateID, ""),
		auth(w.privateID, strings.Repeat("9", 900_000)), auth(strings.Repeat("x", 900_000), w.offset),
	}
	for _, text := range []string{
		"*", "?", "[a-z]*", w.privateID[:10] + "*", "\\", "{" + w.privateID + "}", w.privateID + "\r\nFLUSHALL\r\n", "../" + w.privateID, w.privateID + "\x00", " " + w.privateID,
	} {
		claims = append(claims, auth(text, w.offset))
	}
	for _, text := range []string{
		"*", "$", "+", "-", ">", "(" + w.offset, "0", "0-1", ms, ms + "-", ms + "--1", ms + "-+0", w.offset + "-1", w.offset + " ", "1-1",
		"18446744073709551615-18446744073709551615", "18446744073709551616-0", "99999999999999-0", w.offset + "\r\nFLUSHALL\r\n",
	} {
		claims = append(claims, auth(w.privateID, text))
	}
	for i, claim := range claims {
		if w.claims(t, b.nodes[i%2].url, claim) {
			t.Errorf("recovered with %.200s", claim)
		}
	}
	if !w.claims(t, b.nodes[1].url, w.credentials()) {
		t.Error("after all that the client itself starts afresh")
	}
	b.unharmed(t)
}

// Whatever is under the key of a record that is none, or another client's, is a fresh
// start.
func TestHostile_RecordsThatAreNone(t *testing.T) {
	b := besiegeRecords(t)
	w, other := b.lose(t, 0), b.lose(t, 1)
	key := w.key()
	read := func(key string) string {
		value, err := b.attacker.Get(t.Context(), key).Result()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
	own := read(key)
	values := map[string]string{"another's": read(other.key()), "half": own[:len(own)/2], "twice": own + own}
	head := "\x84\xa3sid\xb4" + w.id + "\xa3pid\xb4" + w.privateID + "\xa5rooms"
	for name, message := range garbage() {
		values[name] = message
		values["base64 "+name] = base64.StdEncoding.EncodeToString([]byte(message))
		values["rooms "+name] = base64.StdEncoding.EncodeToString([]byte(head + message))
	}
	heapBefore := heap()
	for name, value := range values {
		must(t, b.attacker.Set(t.Context(), key, value, 0).Err())
		if w.claims(t, b.nodes[1].url, w.credentials()) {
			t.Errorf("recovered from a record that is %s", name)
		}
	}
	must(t, b.attacker.Del(t.Context(), key).Err())
	must(t, b.attacker.RPush(t.Context(), key, own).Err())
	if w.claims(t, b.nodes[1].url, w.credentials()) {
		t.Error("recovered from a list")
	}
	must(t, b.attacker.Del(t.Context(), key).Err())
	if grown := int64(heap()) - int64(heapBefore); grown > 64<<20 {
		t.Errorf("the heap grew by %d MiB", grown>>20)
	}
	must(t, b.attacker.Set(t.Context(), key, own, 0).Err())
	if !w.claims(t, b.nodes[1].url, w.credentials()) {
		t.Error("with its own record the client starts afresh")
	}
	b.unharmed(t)
}

// A private id of a connected client makes nobody a second one: its connection is
// closed first, as when it was only not noticed yet that the client is gone.
func TestHostile_PrivateIDOfAConnectedClient(t *testing.T) {
	b := besiegeRecords(t)
	for i, n := range b.nodes {
		w := b.host(t, 0)
		c := rawclient.Dial(t, n.url, nil)
		c.Send("0" + w.credentials())
		id, _, ok := connected(c.Next())
		if !ok || id != w.id {
			t.Errorf("at node %d the client that holds the credentials is %s, want %s", i, id, w.id)
		}
		w.ExpectClose()
		if holders := b.holders(w.id); holders != 1 {
			t.Errorf("%d sockets have the id", holders)
		}
	}
	b.unharmed(t)
}

// Many come at once with one private id, to both nodes: one of them is the client.
func TestHostile_PrivateIDUsedByManyAtOnce(t *testing.T) {
	b := besiegeRecords(t)
	for round := range 5 {
		w := b.lose(t, round%2)
		must(t, b.nodes[0].To(w.id).Emit("missed", round))
		b.unharmed(t) // what arrives behind it says that it is in the stream
		var mu sync.Mutex
		wins := 0
		var attempts sync.WaitGroup
		for i := range 16 {
			c := rawclient.Dial(t, b.nodes[i%2].url, nil)
			c.Send("0" + w.credentials())
			attempts.Go(func() {
				missed := false
				for {
					_, data, err := c.Conn().ReadMessage()
					if err != nil {
						return // another attempt was faster
					}
					packet := strings.TrimPrefix(string(data), "4")
					if id, _, ok := connected(packet); ok {
						mu.Lock()
						defer mu.Unlock()
						if id == w.id {
							wins++
						}
						if missed != (id == w.id) {
							t.Errorf("a client that is who it was: %v; it got what that missed: %v", id == w.id, missed)
						}
						return
					}
					missed = missed || strings.HasPrefix(packet, fmt.Sprintf(`2["missed",%d,`, round))
				}
			})
		}
		attempts.Wait()
		if holders := b.holders(w.id); wins == 0 || holders != 1 {
			t.Fatalf("round %d: %d attempts recovered, %d sockets have the id", round, wins, holders)
		}
	}
	b.unharmed(t)
}
