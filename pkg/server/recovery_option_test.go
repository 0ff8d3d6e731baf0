package server_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/roomcast/roomcast/internal/testutil/rawclient"
	"github.com/roomcast/roomcast/pkg/server"
)

func TestRecovery_CredentialsAreShownToNobody(t *testing.T) {
	for auth, want := range map[string]string{
		`"token":"t","n":[1,{"pid":2}]`: `{"token":"t","n":[1,{"pid":2}]}`,
		`"text":"\ud83d"`:               `{"text":"\ud83d"}`, // half an emoji, as a careless client cuts texts
		`"pid ":1,"Offset":"x"`:         `{"pid ":1,"Offset":"x"}`,
		``:                              ``,
	} {
		t.Run(auth, func(t *testing.T) {
			s, url, kept := recovering(t, server.Options{})
			ns := s.Of("/")
			var asked []string
			ns.Use(func(_ context.Context, s *server.Socket) error {
				asked = append(asked, string(s.Handshake().Auth))
				return nil
			})
			connected := sockets(ns)
			w := wander(t, url, "/", nil)
			receive(t, connected)
			emit(t, s, 0)
			w.events(`2["n",0]`)
			w.cut(kept)
			w.Client = rawclient.Dial(t, url, nil)
			credentials := strings.TrimPrefix(w.credentials(), "{")
			if auth != "" {
				credentials = auth + "," + credentials
			}
			w.Send("0{" + credentials)
			_, recovered := w.welcome()
			socket := receive(t, connected)
			if got := string(socket.Handshake().Auth); !recovered || got != want || asked[1] != want {
				t.Errorf("recovered: %v; the handshake has %q, middlewares saw %q, want %q", recovered, got, asked[1], want)
			}
			all, err := ns.All().FetchSockets(t.Context())
			if err != nil || len(all) != 1 || all[0].ID != w.sid {
				t.Fatalf("FetchSockets: %+v, %v", all, err)
			}
			if want == "" {
				want = "{}"
			}
			if h, err := all[0].Handshake(); err != nil || string(h.Auth) != want {
				t.Errorf("FetchSockets shows %+v, %v; want %q", h, err, want)
			}
		})
	}
}

func TestRecovery_OffByDefault(t *testing.T) {
	s, url := start(t, server.Options{})
	connected := sockets(s.Of("/"))
	c := rawclient.Dial(t, url, nil)
	c.Send(`0{"pid":"p","offset":"o","token":1}`)
	reply, socket := c.Next(), receive(t, connected)
	if want := fmt.Sprintf(`0{"sid":%q}`, socket.ID()); reply != want {
		t.Errorf("the reply is %q, want %q", reply, want)
	}
	// The client may come from a server with recovery, whose secret this is.
	if auth := string(socket.Handshake().Auth); auth != `{"token":1}` || socket.Recovered() {
		t.Errorf("auth is %q, recovered %v", auth, socket.Recovered())
	}
	errs(t, s.Emit("a"), s.Emit("a", "text"), socket.Emit("a", "text"), s.Of("/").Local().Emit("a", "text"))
	c.Expect(`2["a"]`, `2["a","text"]`, `2["a","text"]`, `2["a","text"]`)
}

func TestRecovery_OptionsAreChecked(t *testing.T) {
	for name, recovery := range map[string]server.Recovery{
		"MaxDisconnectionDuration": {MaxDisconnectionDuration: -1},
		"MaxRecords":               {MaxRecords: -1},
		"MaxRecordBytes":           {MaxRecordBytes: -1},
		"MaxPackets":               {MaxPackets: -1},
		"MaxLogBytes":              {MaxLogBytes: -1},
	} {
		if _, err := server.New(server.Options{Recovery: &recovery}); err == nil || !strings.Contains(err.Error(), "Recovery."+name) {
			t.Errorf("%s: error is %v, want one that names the field", name, err)
		}
	}
	_, err := server.New(server.Options{Adapter: &joiner{}, Recovery: &server.Recovery{}})
	if err == nil || !strings.Contains(err.Error(), "Recovery") {
		t.Errorf("an adapter without a log: error is %v, want one that names the option", err)
	}
	own := server.Recovery{MaxPackets: 7}
	start(t, server.Options{Recovery: &own})
	if own != (server.Recovery{MaxPackets: 7}) {
		t.Errorf("New changed the caller's options to %+v", own)
	}
}
