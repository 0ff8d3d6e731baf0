package packet

import (
	"bytes"
	"fmt"
	"math"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// The values of Limits that are zero.
const (
	defaultMaxAttachments     = 10
	defaultBytesPerAttachment = 1_000_000
	defaultMaxDepth           = 1_000
)

// Limits bounds what a Decoder accepts. Its zero value is the default.
type Limits struct {
	// MaxAttachments is how many attachments a packet may announce. Zero means 10;
	// a negative value means none.
	MaxAttachments int
	// MaxAttachmentBytes is how many bytes the attachments of one packet may have
	// together. Zero means MaxAttachments times 1,000,000; a negative value means
	// that they are not counted.
	MaxAttachmentBytes int64
	// MaxDepth is how many arrays and objects may lie inside each other, at most
	// 10,000, beyond which nothing could be unmarshaled. Zero means 1,000; a negative
	// value means none, so that only packets without data pass.
	MaxDepth int
}

// AttachmentBytes is MaxAttachmentBytes with its default in place of zero, and the
// largest number in place of a negative one.
func (l Limits) AttachmentBytes() int64 { return l.withDefaults().MaxAttachmentBytes }

func (l Limits) withDefaults() Limits {
	if l.MaxAttachments == 0 {
		l.MaxAttachments = defaultMaxAttachments
	}
	l.MaxAttachments = max(l.MaxAttachments, 0)
	switch {
	case l.MaxAttachmentBytes == 0:
		l.MaxAttachmentBytes = int64(l.MaxAttachments) * defaultBytesPerAttachment
	case l.MaxAttachmentBytes < 0:
		l.MaxAttachmentBytes = math.MaxInt64
	}
	if l.MaxDepth == 0 {
		l.MaxDepth = defaultMaxDepth
	}
	l.MaxDepth = min(max(l.MaxDepth, 0), deepest)
	return l
}

// Decoder makes packets of the texts and binary messages that one peer sends.
// What is not exactly a packet is refused: after an error the connection should
// be closed. A Decoder is a few words while no attachments are due. It must not
// be used concurrently.
type Decoder struct {
	limits Limits
	// partial is the packet that waits for attachments, or nil.
	partial *partial
}

// partial is a packet whose attachments are still coming.
type partial struct {
	packet Packet
	// due is how many attachments have not come.
	due int
	// room is how many bytes they may have.
	room int64
}

// NewDecoder returns a Decoder that enforces limits.
func NewDecoder(limits Limits) *Decoder {
	return &Decoder{limits: limits.withDefaults()}
}

// Pending says that attachments are due.
func (d *Decoder) Pending() bool { return d.partial != nil }

// Text takes a packet's text, without Engine.IO's digit. If the packet has no
// attachments it is complete and its Data aliases text; otherwise what is needed
// is copied, and Binary completes the packet. Event and Ack stand for their binary
// kinds too.
//
// It fails with ErrInvalid for what is not a packet (or not the time for one, as
// attachments are due) and with ErrLimit; nothing is pending then.
func (d *Decoder) Text(text []byte) (p Packet, complete bool, err error) {
	if d.partial != nil {
		d.partial = nil
		return Packet{}, false, fmt.Errorf("%w: text while attachments are due", ErrInvalid)
	}
	p, attachments, err := d.header(text)
	if err != nil {
		return Packet{}, false, err
	}
	if _, err := p.check(attachments, d.limits.MaxDepth); err != nil {
		return Packet{}, false, err
	}
	if attachments == 0 {
		return p, true, nil
	}
	p.Data = p.Data.Clone()
	d.partial = &partial{packet: p, due: attachments, room: d.limits.MaxAttachmentBytes}
	p.Data = nil
	return p, false, nil
}

// Binary takes the next attachment and copies it. With the last one the packet is
// complete; it owns its memory. It fails with ErrInvalid if no attachment is due
// and with ErrLimit if the packet's attachments have too many bytes; nothing is
// pending then.
func (d *Decoder) Binary(data []byte) (p Packet, complete bool, err error) {
	w := d.partial
	if w == nil {
		return Packet{}, false, fmt.Errorf("%w: binary while no attachment is due", ErrInvalid)
	}
	if int64(len(data)) > w.room {
		d.partial = nil
		return Packet{}, false, fmt.Errorf("%w: attachments of more than %d bytes", ErrLimit, d.limits.MaxAttachmentBytes)
	}
	w.room -= int64(len(data))
	w.due--
	w.packet.Attachments = append(w.packet.Attachments, append([]byte{}, data...))
	if w.due > 0 {
		return Packet{}, false, nil
	}
	d.partial = nil
	return w.packet, true, nil
}

// header reads all of text but the payload, which becomes Data unread.
func (d *Decoder) header(text []byte) (p Packet, attachments int, err error) {
	if len(text) == 0 || text[0] < '0' || text[0] > '6' {
		return Packet{}, 0, fmt.Errorf("%w: packet type", ErrInvalid)
	}
	p.Type, text = Type(text[0]-'0'), text[1:]
	switch p.Type {
	case BinaryEvent, BinaryAck:
		if attachments, text, err = d.attachmentCount(text); err != nil {
			return Packet{}, 0, err
		}
		p.Type -= BinaryEvent - Event
	}
	if p.Namespace, text, err = namespace(text); err != nil {
		return Packet{}, 0, err
	}
	if n := digitCount(text); n > 0 {
		if p.ID, p.HasID = parseDigits(text[:n]); !p.HasID {
			return Packet{}, 0, fmt.Errorf("%w: acknowledgement id", ErrInvalid)
		}
		text = text[n:]
	}
	if len(text) > 0 {
		p.Data = jsontext.Value(text)
	}
	return p, attachments, nil
}

// attachmentCount reads the count and the hyphen in front of what it returns as rest.
func (d *Decoder) attachmentCount(text []byte) (count int, rest []byte, err error) {
	n := digitCount(text)
	if n == 0 || text[0] == '0' || n == len(text) || text[n] != '-' {
		return 0, nil, fmt.Errorf("%w: attachment count", ErrInvalid)
	}
	c, ok := parseDigits(text[:n])
	if !ok || c > uint64(d.limits.MaxAttachments) {
		return 0, nil, fmt.Errorf("%w: more than %d attachments", ErrLimit, d.limits.MaxAttachments)
	}
	return int(c), text[n+1:], nil
}

// namespace reads the namespace and the comma behind it, if they are there.
func namespace(text []byte) (name string, rest []byte, err error) {
	if len(text) == 0 || text[0] != '/' {
		return DefaultNamespace, text, nil
	}
	raw, rest, _ := bytes.Cut(text, []byte{','})
	if len(raw) == 1 {
		return DefaultNamespace, rest, nil
	}
	if !utf8.Valid(raw) {
		return "", nil, fmt.Errorf("%w: namespace: %w", ErrInvalid, errUTF8)
	}
	return string(raw), rest, nil
}

// digitCount returns how many digits text begins with.
func digitCount(text []byte) int {
	for i, c := range text {
		if !isDigit(c) {
			return i
		}
	}
	return len(text)
}
