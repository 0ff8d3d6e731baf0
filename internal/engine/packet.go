package engine

import (
	"errors"
	"fmt"
)

// The digits that begin an Engine.IO packet.
const (
	packetOpen    = '0'
	packetClose   = '1'
	packetPing    = '2'
	packetPong    = '3'
	packetMessage = '4'
	packetUpgrade = '5'
	packetNoop    = '6'
)

const (
	probeRequest = "2probe"
	probeReply   = "3probe"
)

// Errors that say how a client broke the protocol.
var (
	errPacket     = errors.New("engine: malformed packet")
	errClientPing = errors.New("engine: ping from a client")
)

// The packets that are the same for all sessions.
var (
	pingMessage  = textMessage("2")
	noopMessage  = textMessage("6")
	closeMessage = textMessage("1")
	probeMessage = textMessage(probeReply)
)

// parsePacket splits a text packet into its type and its payload, which shares
// the packet's memory. It is given no binary message in text form. It accepts what a client may send in an open session:
// messages with any payload, the other types without one.
func parsePacket(packet []byte) (kind byte, payload []byte, err error) {
	if len(packet) == 0 {
		return 0, nil, fmt.Errorf("%w: empty", errPacket)
	}
	kind, payload = packet[0], packet[1:]
	switch {
	case kind == packetMessage:
		return kind, payload, nil
	case kind == packetPing:
		return 0, nil, errClientPing
	case (kind == packetPong || kind == packetClose) && len(payload) == 0:
		return kind, nil, nil
	}
	return 0, nil, fmt.Errorf("%w: type %q", errPacket, kind)
}
