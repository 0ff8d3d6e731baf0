package router

import (
	"crypto/hmac"
	"encoding/binary"
	"strconv"
	"time"

	"github.com/roomcast/roomcast/pkg/adapter"
)

// timeSize is the length of the time with which a proof begins: milliseconds since 1970.
const timeSize = 8

// Announce adds the node's address to its heartbeat, and the proof that it is genuine.
func (s *Signer) Announce(self adapter.NodeID, h *adapter.Heartbeat) {
	if s.address == "" {
		return
	}
	now := binary.BigEndian.AppendUint64(make([]byte, 0, timeSize), uint64(time.Now().UnixMilli()))
	h.Address = s.address
	h.Proof = append(now, s.signAnnouncement(self, h, now)...)
}

func (s *Signer) signAnnouncement(member adapter.NodeID, h *adapter.Heartbeat, signed []byte) []byte {
	return s.sign(purposeAddress, string(member), strconv.FormatUint(uint64(h.Tag), 10), h.Address, string(signed))
}

// Trusts says whether the address in a heartbeat of member is that member's: it was signed
// with the same secret, for this member and this tag, lately, and after any other that was
// trusted. One that was heard before is not trusted again.
func (s *Signer) Trusts(member adapter.NodeID, h *adapter.Heartbeat) bool {
	if len(h.Proof) < timeSize || !hmac.Equal(h.Proof[timeSize:], s.signAnnouncement(member, h, h.Proof[:timeSize])) {
		return false
	}
	signed := time.UnixMilli(int64(binary.BigEndian.Uint64(h.Proof)))
	if _, err := ParseAddress(h.Address); err != nil || !fresh(signed) {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if newest, known := s.newest[member]; known && !signed.After(newest) {
		return false
	}
	for other, newest := range s.newest {
		if !fresh(newest) { // what is older is not trusted anyway
			delete(s.newest, other)
		}
	}
	s.newest[member] = signed
	return true
}
