package server

import (
	"errors"
	"fmt"
	"sync"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/roomcast/roomcast/internal/engine"
	"github.com/roomcast/roomcast/pkg/packet"
)

// texts are buffers in which packets are written before they become messages.
var texts = sync.Pool{New: func() any { return new([]byte) }}

// largestText is the size up to which such a buffer is kept.
const largestText = 16 << 10

// encode makes the wire forms that all receivers of p share.
func (s *Server) encode(p *packet.Packet, uncompressed bool) (*engine.Message, error) {
	buffer := texts.Get().(*[]byte)
	wire, binary, err := s.append((*buffer)[:0], p)
	if err != nil {
		texts.Put(buffer)
		return nil, fmt.Errorf("server: encode packet: %w", err)
	}
	var m *engine.Message
	if binary {
		m = engine.NewBinaryMessage(wire)
	} else {
		m = engine.NewMessage(wire, p.Attachments...)
	}
	if uncompressed {
		m = m.Uncompressed()
	}
	if cap(wire) <= largestText {
		*buffer = wire
		texts.Put(buffer)
	}
	return m, nil
}

// append writes p as the clients' parser reads it.
func (s *Server) append(dst []byte, p *packet.Packet) (wire []byte, binary bool, err error) {
	if s.options.Parser != nil {
		return s.appendForeign(dst, p)
	}
	return p.AppendText(dst), false, nil
}

// appendForeign has the program's parser write p. Its panic must not end the goroutine
// of an adapter, or be held against the handler that happens to run in it.
func (s *Server) appendForeign(dst []byte, p *packet.Packet) (wire []byte, binary bool, err error) {
	defer func() {
		if v := recover(); v != nil {
			s.panicked("parser", v, "namespace", clip(p.Namespace))
			err = errParserPanicked
		}
	}()
	q := *p // so that p need not be on the heap where there is no such parser
	return s.options.Parser.Append(dst, &q)
}

var errParserPanicked = errors.New("server: parser panicked")

// newReader returns what reads a connection's packets.
func (s *Server) newReader() packet.Reader {
	if parser := s.options.Parser; parser != nil {
		return parser.NewReader(s.limits)
	}
	return packet.NewDecoder(s.limits)
}

// encodeEvent encodes an event and its arguments, once for all receivers.
func (s *Server) encodeEvent(event string, args []any) (jsontext.Value, [][]byte, error) {
	if s.closed.Load() {
		return nil, nil, ErrServerClosed
	}
	if packet.Reserved(event) {
		return nil, nil, fmt.Errorf("%w: %q", ErrReservedEvent, event)
	}
	data, attachments, err := packet.MarshalEvent(event, args...)
	if err != nil {
		return nil, nil, fmt.Errorf("server: encode event: %w", err)
	}
	return data, attachments, s.checkAttachments(attachments)
}

// checkForeign fails for a packet of another node, or of whoever writes to the
// backend, on which clients would drop the connection.
func (s *Server) checkForeign(p *packet.Packet) error {
	if name, _ := packet.EventName(p.Data); packet.Reserved(string(name)) {
		return fmt.Errorf("%w: %s", ErrReservedEvent, name)
	}
	return s.checkAttachments(p.Attachments)
}

// checkAttachments fails for a packet on which clients would drop the connection.
// Other parsers than the default one have a form without that limit.
func (s *Server) checkAttachments(attachments [][]byte) error {
	if s.options.Parser == nil && len(attachments) > s.options.MaxAttachments {
		return fmt.Errorf("%w: %d, at most %d", ErrTooManyAttachments, len(attachments), s.options.MaxAttachments)
	}
	return nil
}
