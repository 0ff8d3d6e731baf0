package server_test

import (
	"github.com/gorilla/websocket"

	"github.com/roomcast/roomcast/pkg/packet"
)

// tongue turns packets without attachments from the text of the default parser into
// what a client of another parser sends, and back. Without a parser it does nothing.
type tongue struct{ parser packet.Parser }

// say returns the frame for an Engine.IO message such as `42["event"]`.
func (t tongue) say(message string) (kind int, data []byte) {
	if t.parser == nil || message[0] != '4' {
		return websocket.TextMessage, []byte(message)
	}
	p, _, err := packet.NewDecoder(packet.Limits{}).Text([]byte(message[1:]))
	if err != nil {
		panic(err)
	}
	data, _, err = t.parser.Append(nil, &p)
	if err != nil {
		panic(err)
	}
	return websocket.BinaryMessage, data
}

// hear returns what a frame would be with the default parser, attachments left out.
func (t tongue) hear(kind int, data []byte) string {
	if t.parser == nil || kind != websocket.BinaryMessage {
		return string(data)
	}
	p, _, err := t.parser.NewReader(packet.Limits{}).Binary(data)
	if err != nil {
		return "unreadable: " + err.Error()
	}
	p.Attachments = nil
	return string(p.AppendText([]byte("4")))
}
