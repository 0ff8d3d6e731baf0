package wire

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"hash"
)

// ErrUnsigned means that a payload was not signed with our key, or not for where it was
// found.
var ErrUnsigned = errors.New("wire: payload is not signed with the cluster's key")

// A sealed payload is a version, an HMAC-SHA-256 and the body. No message that is not
// sealed begins with this version.
const (
	sealVersion = 0xc1 // a byte that begins no MessagePack, JSON or message of package adapter
	sealSize    = 1 + sha256.Size
)

// Seal appends to dst body, signed with key for context: the name of the channel or key
// under which it is found. Without a key it appends body as it is. A seal says nothing of
// time: who can read and write there can repeat what was signed.
func Seal(dst, key []byte, context string, body []byte) []byte {
	if len(key) == 0 {
		return append(dst, body...)
	}
	dst = append(dst, sealVersion)
	dst = appendSum(dst, key, context, body)
	return append(dst, body...)
}

// Open returns the body of a payload that was found under context, as part of payload. It
// fails with ErrUnsigned if Seal has not made it with the same key and context. Without a
// key the payload is the body.
func Open(key []byte, context string, payload []byte) (body []byte, err error) {
	if len(key) == 0 {
		return payload, nil
	}
	if len(payload) < sealSize || payload[0] != sealVersion {
		return nil, ErrUnsigned
	}
	body = payload[sealSize:]
	if !hmac.Equal(payload[1:sealSize], appendSum(nil, key, context, body)) {
		return nil, ErrUnsigned
	}
	return body, nil
}

// Seal signs all fields of the entry as one, for the stream of that name. The seal is
// before what Own was. Without a key it does nothing.
func (e *Entry) Seal(key []byte, stream string) {
	if len(key) == 0 {
		return
	}
	seal := append(make([]byte, 0, sealSize+len(e.Own)), sealVersion)
	seal = e.appendSum(seal, key, stream, e.Own)
	e.Own = string(append(seal, e.Own...))
}

// Open checks what Seal has done, and undoes it. It fails with ErrUnsigned, and then
// leaves the entry as it was.
func (e *Entry) Open(key []byte, stream string) error {
	if len(key) == 0 {
		return nil
	}
	if len(e.Own) < sealSize || e.Own[0] != sealVersion {
		return ErrUnsigned
	}
	own := e.Own[sealSize:]
	if !hmac.Equal([]byte(e.Own[1:sealSize]), e.appendSum(nil, key, stream, own)) {
		return ErrUnsigned
	}
	e.Own = own
	return nil
}

// sign adds a part to what mac signs. Each is preceded by its length, so that nothing can
// be moved from one to the next.
func sign[T ~string | ~[]byte](mac hash.Hash, part T) {
	var size [8]byte
	binary.BigEndian.PutUint64(size[:], uint64(len(part)))
	_, _ = mac.Write(size[:])
	_, _ = mac.Write([]byte(part))
}

// appendSum appends the signature of a payload.
func appendSum(dst, key []byte, context string, body []byte) []byte {
	mac := hmac.New(sha256.New, key)
	sign(mac, context)
	sign(mac, body)
	return mac.Sum(dst)
}

// appendSum appends the signature of the entry, its Own being own.
func (e *Entry) appendSum(dst, key []byte, stream, own string) []byte {
	mac := hmac.New(sha256.New, key)
	for _, part := range []string{stream, e.UID, e.Topic, e.Type, e.Data, own} {
		sign(mac, part)
	}
	return mac.Sum(dst)
}
