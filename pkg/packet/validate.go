package packet

import (
	"fmt"

	"github.com/go-json-experiment/json/jsontext"
)

// Validate checks what a Reader owes its caller: the acknowledgement id, the kind of
// data and the event's name suit p's type, Data is JSON that is no deeper than
// MaxDepth of limits, and only an Event or Ack has attachments, as many as there are
// placeholders. Without attachments an object that looks like a placeholder is plain
// data. The other limits are not looked at. It fails with ErrInvalid and ErrLimit.
func (p *Packet) Validate(limits Limits) error {
	if len(p.Attachments) > 0 && p.Type != Event && p.Type != Ack {
		return fmt.Errorf("%w: attachments in packet type %d", ErrInvalid, p.Type)
	}
	placeholders, err := p.check(len(p.Attachments), limits.withDefaults().MaxDepth)
	if err != nil {
		return err
	}
	if placeholders != len(p.Attachments) {
		return fmt.Errorf("%w: %d placeholders for %d attachments", ErrInvalid, placeholders, len(p.Attachments))
	}
	return nil
}

// check checks p's data and acknowledgement id against p's type, and counts the
// placeholders if there are attachments.
func (p *Packet) check(attachments, maxDepth int) (placeholders int, err error) {
	if err := p.checkKind(); err != nil {
		return 0, err
	}
	if p.Data == nil {
		return 0, nil
	}
	s := scanner{data: p.Data, levels: maxDepth, attachments: plainData}
	if attachments > 0 {
		s.attachments = attachments
	}
	switch err := s.scan(); err {
	case nil:
	case errDepth:
		return 0, fmt.Errorf("%w: JSON nested more than %d deep", ErrLimit, maxDepth)
	default:
		return 0, fmt.Errorf("%w: payload: %w at byte %d", ErrInvalid, err, s.pos)
	}
	if p.Type == Event {
		return s.placeholders, checkEvent(p.Data)
	}
	return s.placeholders, nil
}

// checkKind checks that p has the id and the kind of payload that its type allows.
func (p *Packet) checkKind() error {
	kind := p.Data.Kind() // invalid for absent data
	var ok bool
	switch p.Type {
	case Connect:
		ok = p.Data == nil || kind == '{'
	case Disconnect:
		ok = p.Data == nil
	case Event, Ack:
		ok = kind == '['
	case ConnectError:
		ok = kind == '{' || kind == '"'
	}
	if !ok {
		return fmt.Errorf("%w: payload does not suit packet type %d", ErrInvalid, p.Type)
	}
	if p.HasID && p.Type != Event && p.Type != Ack {
		return fmt.Errorf("%w: acknowledgement id in packet type %d", ErrInvalid, p.Type)
	}
	if p.Type == Ack && !p.HasID {
		return fmt.Errorf("%w: acknowledgement without id", ErrInvalid)
	}
	return nil
}

// checkEvent checks that data, an array, begins with the name of an event.
func checkEvent(data jsontext.Value) error {
	name, ok := EventName(data)
	if !ok {
		return fmt.Errorf("%w: event without a name", ErrInvalid)
	}
	if Reserved(string(name)) {
		return fmt.Errorf("%w: event name %q is reserved", ErrInvalid, name)
	}
	return nil
}
