package router

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/roomcast/roomcast/pkg/adapter"
)

const (
	// MinSecret is the least length of a secret in bytes.
	MinSecret = 16
	// maxSkew is how far the clocks of two nodes may be apart, and with it how long what
	// was signed is good for.
	maxSkew = 30 * time.Second
)

// The purposes of signatures: one that was made for one is worth nothing for another.
const (
	purposeAddress = "roomcast address 1"
	purposeForward = "roomcast forward 1"
)

// ErrSecret means that a secret is too short.
var ErrSecret = errors.New("router: the secret is too short")

// Signer makes and checks signatures with the secret of a cluster, which it never gives
// away. It is safe for concurrent use.
type Signer struct {
	secret  []byte
	address string

	mu      sync.Mutex
	newest  map[adapter.NodeID]time.Time // of the announcements that were believed
	windows map[adapter.NodeID]*window   // of the passes that were admitted
}

// NewSigner returns a Signer for a node that the others reach at address, or do not
// reach if that is empty. It fails with ErrSecret for a secret of less than MinSecret
// bytes, and with ErrAddress.
func NewSigner(secret []byte, address string) (*Signer, error) {
	if len(secret) < MinSecret {
		return nil, fmt.Errorf("%w: %d bytes, at least %d are wanted", ErrSecret, len(secret), MinSecret)
	}
	if address != "" {
		if _, err := ParseAddress(address); err != nil {
			return nil, err
		}
	}
	return &Signer{
		secret: append([]byte(nil), secret...), address: address,
		newest: make(map[adapter.NodeID]time.Time), windows: make(map[adapter.NodeID]*window),
	}, nil
}

// sign returns the signature of fields, which are signed each for itself, so that no
// byte can move from one to the next.
func (s *Signer) sign(purpose string, fields ...string) []byte {
	mac := hmac.New(sha256.New, s.secret)
	var length [8]byte
	write := func(text string) {
		binary.BigEndian.PutUint64(length[:], uint64(len(text)))
		mac.Write(length[:]) // a hash takes everything
		mac.Write([]byte(text))
	}
	write(purpose)
	for _, field := range fields {
		write(field)
	}
	return mac.Sum(nil)
}

// fresh says whether something was signed within maxSkew of now.
func fresh(signed time.Time) bool { return time.Since(signed).Abs() <= maxSkew }
