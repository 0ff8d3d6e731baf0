package client

import (
	"bytes"
	"encoding/json"
	"strconv"

	"github.com/roomcast/roomcast/test/faults/tally"
)

// Event is the name of the numbered broadcasts. Their argument is a text,
// "<sender>|<number>|<filling>", and with recovery the server adds the offset.
const Event = "m"

// Text returns the argument of a broadcast, of at least size bytes.
func Text(sender, number, size int) string {
	text := strconv.Itoa(sender) + "|" + strconv.Itoa(number) + "|"
	if missing := size - len(text); missing > 0 {
		text += string(bytes.Repeat([]byte{'.'}, missing))
	}
	return text
}

// eventStart is how the packet of a numbered broadcast begins.
var eventStart = []byte(`42["` + Event + `","`)

// readMessage reads the packet of a numbered broadcast. It is called for each
// delivery, thousands of times a second, so it does not decode JSON that it can
// do without.
func readMessage(packet []byte) (a tally.Arrival, offset string, ok bool) {
	rest, ok := bytes.CutPrefix(packet, eventStart)
	if !ok {
		return a, "", false
	}
	text, rest, ok := bytes.Cut(rest, []byte{'"'})
	if !ok {
		return a, "", false
	}
	sender, text, _ := bytes.Cut(text, []byte{'|'})
	number, _, ok := bytes.Cut(text, []byte{'|'})
	if !ok {
		return a, "", false
	}
	var errSender, errNumber error
	a.Sender, errSender = strconv.Atoi(string(sender))
	a.Number, errNumber = strconv.Atoi(string(number))
	if after, more := bytes.CutPrefix(rest, []byte{','}); more {
		_ = json.Unmarshal(bytes.TrimSuffix(after, []byte{']'}), &offset)
	}
	return a, offset, errSender == nil && errNumber == nil
}
