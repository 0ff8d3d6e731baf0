package router

import (
	"crypto/hmac"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/roomcast/roomcast/pkg/adapter"
)

// timeSize is the length of the time with which a proof begins: nanoseconds since 1970.
const timeSize = 8

// Errors of Signer.Trusts.
var (
	// ErrProof means that an address was not signed with this node's secret.
	ErrProof = errors.New("router: the address is not signed with this node's secret")
	// ErrClock means that an address was signed long ago, or that clocks differ.
	ErrClock = errors.New("router: the address was signed at a time that is more than 30 s from this node's")
)

// Announce adds the node's address to its heartbeat, and the proof that it is genuine.
func (s *Signer) Announce(self adapter.NodeID, h *adapter.Heartbeat) {
	if s.address == "" {
		return
	}
	now := binary.BigEndian.AppendUint64(make([]byte, 0, timeSize), uint64(time.Now().UnixNano()))
	h.Address = s.address
	h.Proof = append(now, s.signAnnouncement(self, h, now)...)
}

func (s *Signer) signAnnouncement(member adapter.NodeID, h *adapter.Heartbeat, signed []byte) []byte {
	return s.sign(purposeAddress, string(member), strconv.FormatUint(uint64(h.Tag), 10), h.Address, string(signed))
}

// Trusts says whether the address in a heartbeat of member is that member's: it was signed
// with the same secret, for this member and this tag, lately, and after any other that was
// trusted. It fails with ErrProof for what no node with the secret has signed, and with
// ErrClock for what was signed by a clock that is too far from this one. What was heard
// before, or has been overtaken, is no failure and not trusted.
func (s *Signer) Trusts(member adapter.NodeID, h *adapter.Heartbeat) (bool, error) {
	if len(h.Proof) < timeSize || !hmac.Equal(h.Proof[timeSize:], s.signAnnouncement(member, h, h.Proof[:timeSize])) {
		return false, ErrProof
	}
	if _, err := ParseAddress(h.Address); err != nil {
		return false, err
	}
	signed := time.Unix(0, int64(binary.BigEndian.Uint64(h.Proof)))
	if !fresh(signed) {
		return false, fmt.Errorf("%w: it said %v", ErrClock, signed.UTC())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if newest, known := s.newest[member]; known && !signed.After(newest) {
		return false, nil
	}
	for other, newest := range s.newest {
		if !fresh(newest) { // what is older is not trusted anyway
			delete(s.newest, other)
		}
	}
	s.newest[member] = signed
	return true, nil
}
