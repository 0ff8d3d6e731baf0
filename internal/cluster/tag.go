package cluster

import (
	"crypto/rand"
	"encoding/base64"
)

// maxTag is the largest tag: it has 24 bits.
const maxTag = 1<<24 - 1

// idLength is how many characters the ids have that end in a tag.
const idLength = 20

// drawTag returns a random tag for which taken is false.
func drawTag(taken func(uint32) bool) uint32 {
	for {
		var b [3]byte
		_, _ = rand.Read(b[:]) // never fails, by its documentation
		tag := uint32(b[0])<<16 | uint32(b[1])<<8 | uint32(b[2])
		if !taken(tag) {
			return tag
		}
	}
}

// suffixOf is tag as it stands at the end of an id: four characters.
func suffixOf(tag uint32) string {
	return base64.RawURLEncoding.EncodeToString([]byte{byte(tag >> 16), byte(tag >> 8), byte(tag)})
}

// tagOf is the tag at the end of an id, if it can have one.
func tagOf(id string) (tag uint32, ok bool) {
	if len(id) != idLength {
		return 0, false
	}
	b, err := base64.RawURLEncoding.DecodeString(id[idLength-4:])
	if err != nil {
		return 0, false
	}
	return uint32(b[0])<<16 | uint32(b[1])<<8 | uint32(b[2]), true
}
