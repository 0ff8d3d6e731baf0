package server_test

import (
	"bytes"
	"context"
	"testing"

	"github.com/roomcast/roomcast/internal/testutil/rawclient"
	"github.com/roomcast/roomcast/pkg/adapter/memory"
	"github.com/roomcast/roomcast/pkg/packet"
	"github.com/roomcast/roomcast/pkg/server"
)

// brittle is a parser that panics on packets with a certain text.
type brittle struct{}

func (brittle) Append(dst []byte, p *packet.Packet) ([]byte, bool, error) {
	dst = p.AppendText(dst)
	breakAt(dst)
	return dst, false, nil
}

func (brittle) NewReader(l packet.Limits) packet.Reader { return brittleReader{packet.NewDecoder(l)} }

type brittleReader struct{ packet.Reader }

func (r brittleReader) Text(text []byte) (packet.Packet, bool, error) {
	breakAt(text)
	return r.Reader.Text(text)
}

func breakAt(text []byte) {
	if bytes.Contains(text, []byte(`["bad"`)) {
		panic("parser: broken")
	}
}

// A parser is the program's. Its panic is an error of the packet, also in the goroutine
// of an adapter, which serves everybody.
func TestParser_PanicIsAnErrorOfThatPacket(t *testing.T) {
	bus := memory.New()
	node, url := start(t, server.Options{Adapter: bus, Parser: brittle{}})
	other, otherURL := start(t, server.Options{Adapter: bus, Parser: brittle{}})
	meet(t, []*server.Server{node, other})
	here, _ := rawclient.Join(t, url, "/", nil)
	there, _ := rawclient.Join(t, otherURL, "/", nil)
	if err := node.Emit("bad"); err == nil {
		t.Error("nobody is told")
	}
	if _, err := server.CallAll[int](t.Context(), node.Of("/").All(), "bad").Wait(); err == nil {
		t.Error("the call is said to have succeeded")
	}
	errs(t, node.Emit("good"))
	here.Expect(`2["good"]`)
	there.Expect(`2["good"]`)
	here.Send(`2["bad"]`)
	here.ExpectClose()
	there.ExpectNothing("/")
}

// With recovery the emitter's own goroutine delivers: that of a handler, whose panics
// are recovered.
func TestParser_PanicDoesNotEndTheDeliveryOfALog(t *testing.T) {
	s, url, _ := recovering(t, server.Options{Parser: brittle{}})
	server.On(s.Of("/"), "emit", func(_ context.Context, _ *server.Socket, event string) error { return s.Emit(event) })
	w := wander(t, url, "/", nil)
	w.Send(`2["emit","bad"]`)
	w.ExpectNothing("/")
	errs(t, s.Emit("good"))
	w.events(`2["good"]`)
}
