package redis

import (
	"strings"
	"sync/atomic"
	"unicode/utf16"

	"github.com/roomcast/roomcast/pkg/adapter/redis/internal/bus"
)

// idWay says how the broadcasts to a room travel whose name has the form of a
// socket's id.
type idWay int

const (
	byAll  idWay = iota // on the channel of the namespace
	byName              // on a channel of their own, as other rooms'
	byTag               // on the channel of the name's last four characters
)

// routing says on which channel a broadcast travels.
type routing struct {
	common string // the channel of the namespace; a room's name and "#" may follow
	tags   string // the beginning of the channels of tags; a tag and "#" follow
	rooms  bool   // rooms have channels of their own
	ids    idWay  // if they have: private rooms
	// compatible is the way of private rooms in which Node.js servers listen.
	compatible idWay
	// pattern matches all channels of the namespace's broadcasts; empty where there are
	// no patterns.
	pattern string
	// selective says that a link is told of its rooms, and listens to their channels
	// rather than to everything.
	selective bool
	// complied says that Node.js servers are to get everything, and may send it.
	complied atomic.Bool
}

// way returns the channel on which this node sends a broadcast to room alone.
func (r *routing) way(room string) string {
	ids := r.ids
	if r.complied.Load() {
		ids = r.compatible
	}
	channel, _ := r.channel(room, ids)
	return channel
}

// channel returns the channel of a broadcast to room alone, and why a link listens to it.
func (r *routing) channel(room string, ids idWay) (string, uint8) {
	switch {
	case !r.rooms:
		return r.common, routeNamespace
	case ids == byName || !isID(room):
		return r.common + room + "#", routeRoom
	case ids == byTag:
		return r.tagChannel(room), routeTag
	}
	return r.common, routeNamespace
}

func (r *routing) tagChannel(id string) string { return r.tags + tagOf(id) + "#" }

// carries says whether a broadcast to rooms belongs on the channel on which it has
// arrived. The names of the channels are not injective (namespace "/a" and room "b" give
// that of "/a#b"), so what a message says is compared with it.
func (r *routing) carries(a bus.Arrival, rooms []string) bool {
	switch a.Kind {
	case routeNamespace:
		return true
	case routeTag:
		tag, ok := strings.CutPrefix(a.Channel, r.tags)
		return ok && len(rooms) == 1 && isID(rooms[0]) && tag == tagOf(rooms[0])+"#"
	}
	named, ok := strings.CutPrefix(a.Channel, r.common)
	return ok && (len(rooms) == 1 && named == rooms[0]+"#" || named == "" && a.Kind == routeEvery)
}

// Socket ids have so many characters, of which the last ones are their node's tag.
const (
	idLen  = 20
	tagLen = 4
)

// isID says that a room is taken for a socket's own. JavaScript counts in UTF-16, and
// nodes of both kinds must agree.
func isID(room string) bool {
	if len(room) < idLen || len(room) > idLen*utf16Bytes {
		return false
	}
	n := 0
	for _, r := range room {
		n += utf16.RuneLen(r)
	}
	return n == idLen
}

// utf16Bytes is how many bytes a unit of UTF-16 takes in a string at most.
const utf16Bytes = 3

func tagOf(id string) string { return id[len(id)-tagLen:] }

var globEscapes = strings.NewReplacer(
	`*`, `\*`, `?`, `\?`, `[`, `\[`, `]`, `\]`, `^`, `\^`, `-`, `\-`, `\`, `\\`,
)

// escapeGlob makes a pattern that matches text alone.
func escapeGlob(text string) string { return globEscapes.Replace(text) }
