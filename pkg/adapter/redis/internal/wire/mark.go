package wire

import (
	"strings"

	"github.com/roomcast/roomcast/pkg/adapter"
)

// Mark finds one's own messages among those that come back from Redis, without reading
// them. It is safe for concurrent use.
type Mark struct {
	json, packed string
}

// What precedes a sender's id. It is the last of its kind in a message of ours, or of
// Node.js: in JSON, text that looks like it has its quotes escaped.
const (
	jsonUID   = `,"uid":"`
	packedUID = "\xa3uid"
)

// NewMark returns what the messages of self to topic have in common.
func NewMark(self adapter.NodeID, topic string) Mark {
	end := func(packed bool) string {
		w := writer{packed: packed}
		o := w.begin()
		o.members++ // there are others before these
		o.text("uid", string(self))
		o.text("nsp", topic)
		return string(w.out[1:])
	}
	return Mark{json: end(false), packed: end(true)}
}

// On says whether payload is a message that self has published to topic. It may miss
// one, which then shows by its UID.
func (m *Mark) On(payload string) bool {
	uid, mark, last, more := packedUID, m.packed, "", "\xa8"+ownMember
	if strings.HasPrefix(payload, "{") {
		uid, mark, last, more = jsonUID, m.json, "}", `,"`+ownMember+`":`
	}
	at := strings.LastIndex(payload, uid)
	if at < 0 || !strings.HasPrefix(payload[at:], mark) {
		return false
	}
	rest := payload[at+len(mark):]
	return rest == last || strings.HasPrefix(rest, more)
}
