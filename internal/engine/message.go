package engine

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"slices"
	"sync"
)

// The first byte of a WebSocket frame: FIN and an opcode.
const (
	frameText   = 0x81
	frameBinary = 0x82
	frameClose  = 0x88
	framePing   = 0x89
	framePong   = 0x8a
	frameRSV1   = 0x40 // the frame is deflated
)

// maxControlBytes is the largest payload of a control frame.
const maxControlBytes = 125

// Message is one or more text and binary messages in the order in which they
// leave, in the wire forms that all receivers share. It is immutable and safe
// for concurrent use.
type Message struct {
	frames       []byte // WebSocket frames, one after the other; the source of the other forms
	uncompressed bool
	parts        []*Message // of a joined one, whose other forms are put together from theirs

	mu       sync.Mutex // guards the forms that are made when first needed
	polling  []byte
	deflated []byte
}

// NewMessage makes a Message of text, without the packet type in front, and its
// attachments. All of them are copied into one slice, so the caller may build
// text in memory of its own that it uses again.
func NewMessage(text []byte, attachments ...[]byte) *Message {
	size := frameSize(len(text) + 1)
	for _, a := range attachments {
		size += frameSize(len(a))
	}
	frames := appendFrameHeader(make([]byte, 0, size), frameText, len(text)+1)
	frames = append(frames, packetMessage)
	frames = append(frames, text...)
	for _, a := range attachments {
		frames = appendFrameHeader(frames, frameBinary, len(a))
		frames = append(frames, a...)
	}
	return &Message{frames: frames}
}

// NewBinaryMessage makes a Message of one binary message, which no text
// announces. data is copied.
func NewBinaryMessage(data []byte) *Message {
	frames := appendFrameHeader(make([]byte, 0, frameSize(len(data))), frameBinary, len(data))
	return &Message{frames: append(frames, data...)}
}

// Join returns one Message with the contents of all messages, in their order.
// It is uncompressed if one of them is. However often a message is joined, it is
// compressed once.
func Join(messages []*Message) *Message {
	if len(messages) == 1 {
		return messages[0]
	}
	size := 0
	for _, m := range messages {
		size += len(m.frames)
	}
	joined := &Message{frames: make([]byte, 0, size), parts: slices.Clone(messages)}
	for _, m := range messages {
		joined.frames = append(joined.frames, m.frames...)
		joined.uncompressed = joined.uncompressed || m.uncompressed
	}
	return joined
}

// Uncompressed returns a Message with the same contents that no transport
// compresses.
func (m *Message) Uncompressed() *Message {
	return &Message{frames: m.frames, uncompressed: true}
}

// textOnly returns a Message with the same contents whose attachments are text
// frames, in the form that polling has for them.
func (m *Message) textOnly() *Message {
	converted := &Message{uncompressed: m.uncompressed}
	for rest := m.frames; len(rest) > 0; {
		var first byte
		var data []byte
		if first, data, rest = cutFrame(rest); first == frameBinary {
			first, data = frameText, appendBinary(nil, data)
		}
		converted.frames = append(appendFrameHeader(converted.frames, first, len(data)), data...)
	}
	return converted
}

// Size returns the number of bytes that m takes on a WebSocket that does not
// compress. Send queues count messages by it.
func (m *Message) Size() int { return len(m.frames) }

// textMessage returns a message of one text packet, type included.
func textMessage(packet string) *Message {
	frames := appendFrameHeader(nil, frameText, len(packet))
	return &Message{frames: append(frames, packet...), uncompressed: true}
}

// pollingForm returns the packets as a polling payload holds them.
func (m *Message) pollingForm() []byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.polling != nil {
		return m.polling
	}
	if m.parts != nil {
		m.polling = encodePayload(m.parts)
		return m.polling
	}
	var payload []byte
	for rest := m.frames; len(rest) > 0; {
		var first byte
		var data []byte
		if first, data, rest = cutFrame(rest); payload != nil {
			payload = append(payload, separator)
		}
		if first == frameBinary {
			payload = appendBinary(payload, data)
		} else {
			payload = append(payload, data...)
		}
	}
	m.polling = payload
	return payload
}

// deflatedForm returns the frames with those of at least threshold bytes
// deflated, each by itself as "no context takeover" demands.
func (m *Message) deflatedForm(threshold int) []byte {
	if m.uncompressed {
		return m.frames
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.deflated != nil {
		return m.deflated
	}
	frames := make([]byte, 0, len(m.frames))
	if m.parts == nil {
		frames = appendDeflated(frames, m.frames, threshold)
	}
	for _, part := range m.parts {
		frames = append(frames, part.deflatedForm(threshold)...)
	}
	m.deflated = frames
	return frames
}

// appendDeflated appends frames, those of at least threshold bytes deflated.
func appendDeflated(dst, frames []byte, threshold int) []byte {
	for len(frames) > 0 {
		var first byte
		var data []byte
		first, data, frames = cutFrame(frames)
		if len(data) >= threshold {
			first, data = first|frameRSV1, deflate(data)
		}
		dst = append(appendFrameHeader(dst, first, len(data)), data...)
	}
	return dst
}

var deflaters = sync.Pool{New: func() any {
	w, _ := flate.NewWriter(nil, flate.BestSpeed) // fails only for an unknown level
	return w
}}

// deflate compresses data as RFC 7692 wants it: flushed, without the four bytes
// that end a flush.
func deflate(data []byte) []byte {
	w := deflaters.Get().(*flate.Writer)
	defer deflaters.Put(w)
	var out bytes.Buffer
	w.Reset(&out)
	_, _ = w.Write(data) // a bytes.Buffer does not fail
	_ = w.Flush()
	return out.Bytes()[:out.Len()-4]
}

// frameSize returns the length of an unmasked frame with size bytes of payload.
func frameSize(size int) int {
	switch {
	case size < 126:
		return 2 + size
	case size < 1<<16:
		return 4 + size
	}
	return 10 + size
}

// appendFrameHeader appends the header of an unmasked frame.
func appendFrameHeader(dst []byte, first byte, size int) []byte {
	switch {
	case size < 126:
		return append(dst, first, byte(size))
	case size < 1<<16:
		return binary.BigEndian.AppendUint16(append(dst, first, 126), uint16(size))
	}
	return binary.BigEndian.AppendUint64(append(dst, first, 127), uint64(size))
}

// cutFrame splits our own, unmasked frames after the first one.
func cutFrame(frames []byte) (first byte, payload, rest []byte) {
	first, size, start := frames[0], int(frames[1]), 2
	switch size {
	case 126:
		size, start = int(binary.BigEndian.Uint16(frames[2:])), 4
	case 127:
		size, start = int(binary.BigEndian.Uint64(frames[2:])), 10
	}
	return first, frames[start : start+size], frames[start+size:]
}
