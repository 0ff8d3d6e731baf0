package wire

import (
	"slices"
	"strings"

	"github.com/roomcast/roomcast/pkg/adapter"
)

// Type is the number by which Node.js knows what a message is.
type Type uint8

// The types that Node.js knows.
const (
	TypeHello       Type = 1 + iota // a first heartbeat
	TypeHeartbeat                   // of older versions, as TypeHello and TypeGoodbye
	TypeBroadcast                   // also a call, which has a request id
	TypeJoin                        // sockets are put into rooms
	TypeLeave                       // sockets are taken out of rooms
	TypeDisconnect                  // sockets are disconnected
	TypeFetch                       // asks for sockets
	TypeSockets                     // answers TypeFetch
	TypeEvent                       // an event for servers
	TypeEventAnswer                 // answers TypeEvent
	TypeReceivers                   // the first answer to a call: how many sockets it reaches
	TypeAnswer                      // an acknowledgement, which answers a call
	TypeGoodbye                     // a server leaves
)

// typeOwn is an entry of a stream that holds a message in package adapter's own form.
// Node.js does not know the type, and ignores it.
const typeOwn Type = 0

// actions are what the types ask for.
var actions = map[Type]adapter.Action{
	TypeBroadcast: adapter.ActionCall, TypeJoin: adapter.ActionJoin, TypeLeave: adapter.ActionLeave,
	TypeDisconnect: adapter.ActionDisconnect, TypeFetch: adapter.ActionFetch, TypeEvent: adapter.ActionEvent,
}

// typeOf returns the type that asks for an action.
func typeOf(a adapter.Action) (Type, bool) {
	switch a {
	case adapter.ActionCall:
		return TypeBroadcast, true
	case adapter.ActionJoin:
		return TypeJoin, true
	case adapter.ActionLeave:
		return TypeLeave, true
	case adapter.ActionDisconnect:
		return TypeDisconnect, true
	case adapter.ActionFetch:
		return TypeFetch, true
	case adapter.ActionEvent:
		return TypeEvent, true
	}
	return 0, false
}

// changes says that Node.js does not answer messages of that type, which change sockets.
func (t Type) changes() bool { return t == TypeJoin || t == TypeLeave || t == TypeDisconnect }

// responds says that messages of that type answer others.
func (t Type) responds() bool {
	return t == TypeSockets || t == TypeEventAnswer || t == TypeReceivers || t == TypeAnswer
}

// Emitter is who emitters are, which are no nodes: nobody answers them.
const Emitter adapter.NodeID = "emitter"

// Lengths of the ids that Node.js servers give themselves.
const (
	clusterUIDLen = 16
	classicUIDLen = 6
)

// NodeJS says whether uid has the form of the id of a Node.js server with the sharded or
// the streams adapter: 16 hexadecimal digits.
func NodeJS(uid string) bool {
	return len(uid) == clusterUIDLen && consistsOf(uid, func(c byte) bool { return isDigit(c) || 'a' <= c && c <= 'f' })
}

// ClassicNodeJS says whether uid has the form of the id of a Node.js server with the
// classic adapter: 6 characters of the URL-safe base64 alphabet.
func ClassicNodeJS(uid string) bool {
	return len(uid) == classicUIDLen && consistsOf(uid, func(c byte) bool {
		return isDigit(c) || 'a' <= c|0x20 && c|0x20 <= 'z' || c == '-' || c == '_'
	})
}

func consistsOf(text string, allowed func(byte) bool) bool {
	return !slices.ContainsFunc([]byte(text), func(c byte) bool { return !allowed(c) })
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// Asker is a Node.js server that waits for answers.
type Asker struct {
	// Type is that of its request, on which the form of the answers depends: TypeFetch,
	// TypeEvent, or TypeBroadcast for a call.
	Type Type
	// UID is its id.
	UID string
}

// askerPrefix begins the id of a Node.js server that asks, so that it cannot be taken for
// a roomcast node's.
const askerPrefix = "nodejs:"

// ID returns the id under which requests of the asker arrive, and to which they are
// answered.
func (a Asker) ID() adapter.NodeID {
	return adapter.NodeID(askerPrefix + string('0'+rune(a.Type)) + ":" + a.UID)
}

// ParseAsker reads what Asker.ID returns, and false for another id.
func ParseAsker(id adapter.NodeID) (Asker, bool) {
	rest, ok := strings.CutPrefix(string(id), askerPrefix)
	if !ok || len(rest) < 2 || !isDigit(rest[0]) || rest[1] != ':' {
		return Asker{}, false
	}
	a := Asker{Type: Type(rest[0] - '0'), UID: rest[2:]}
	return a, a.Type == TypeBroadcast || a.Type == TypeFetch || a.Type == TypeEvent
}
