package engine

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// separator stands between two packets of a polling payload.
const separator = 0x1e

// binaryPrefix begins a binary message that is sent as text.
const binaryPrefix = 'b'

// cutPacket returns the first packet of a payload and what follows its
// separator; more says that there was one.
func cutPacket(payload []byte) (packet, rest []byte, more bool) {
	return bytes.Cut(payload, []byte{separator})
}

// decodeBinary returns the bytes of a binary message that came as text, prefix included.
func decodeBinary(packet []byte) ([]byte, error) {
	encoded := packet[1:]
	// The decoder would skip line breaks, which the grammar does not have.
	if bytes.ContainsAny(encoded, "\r\n") {
		return nil, fmt.Errorf("%w: line break in base64", errPacket)
	}
	data := make([]byte, base64.StdEncoding.DecodedLen(len(encoded)))
	n, err := base64.StdEncoding.Strict().Decode(data, encoded)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errPacket, err)
	}
	return data[:n], nil
}

// appendBinary appends data as a binary message in text form.
func appendBinary(dst, data []byte) []byte {
	return base64.StdEncoding.AppendEncode(append(dst, binaryPrefix), data)
}

// encodePayload joins the polling forms of messages.
func encodePayload(messages []*Message) []byte {
	if len(messages) == 1 {
		return messages[0].pollingForm()
	}
	size := 0
	for _, m := range messages {
		size += len(m.pollingForm()) + 1
	}
	payload := make([]byte, 0, size)
	for i, m := range messages {
		if i > 0 {
			payload = append(payload, separator)
		}
		payload = append(payload, m.pollingForm()...)
	}
	return payload
}

// writePayload sends messages as the answer to a poll.
func (e *Engine) writePayload(w http.ResponseWriter, r *http.Request, messages []*Message) error {
	payload := encodePayload(messages)
	header := w.Header()
	header.Set("Content-Type", "text/plain; charset=UTF-8")
	coding := e.payloadCoding(header, r, messages, len(payload))
	if coding == CodingIdentity {
		e.counters.polled.sent.Add(uint64(len(payload)))
		return e.WriteBody(w, payload)
	}
	buffer := messageBuffers.Get().(*[]byte)
	*buffer = coding.appendCompressed((*buffer)[:0], payload)
	e.counters.polled.sent.Add(uint64(len(*buffer)))
	err := e.WriteBody(w, *buffer)
	if err == nil { // otherwise HTTP/2 may still be reading it
		putBuffer(buffer)
	}
	return err
}

// WriteBody writes the whole body of a response and its Content-Length. It blocks
// until all is written, or there was no progress for WriteTimeout.
func (e *Engine) WriteBody(w http.ResponseWriter, body []byte) error {
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	control := http.NewResponseController(w)
	var err error
	for len(body) > 0 && err == nil {
		_ = control.SetWriteDeadline(time.Now().Add(e.options.WriteTimeout)) // where it is not supported, the server has its own
		n := min(len(body), writeChunkBytes)
		_, err = w.Write(body[:n])
		body = body[n:]
	}
	if err == nil {
		// What net/http has buffered must be out before the deadline goes.
		if err = control.Flush(); errors.Is(err, http.ErrNotSupported) {
			err = nil
		}
	}
	_ = control.SetWriteDeadline(time.Time{})
	return err
}
