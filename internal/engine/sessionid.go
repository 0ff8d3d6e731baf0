package engine

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// maxIDLength is the largest length of a session id in bytes.
const maxIDLength = 128

// Errors that refuse a handshake for the id that its session would have.
var (
	errNewID     = errors.New("engine: option NewID")
	errIDTaken   = errors.New("engine: a session has this id")
	errIDInvalid = errors.New("engine: not 1 to 128 letters, digits and -._~")
)

// reserve gives the session that r opens an id that no other has.
func (e *Engine) reserve(r *http.Request) (string, *Refusal) {
	id, err := e.newID(r) // without the lock: it may be the application's code
	if err != nil {
		return "", badRequest(err)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	_, taken := e.sessions[id]
	switch {
	case e.closing:
		return "", refuseClosing
	case e.isFull():
		return "", refuseConnections
	case taken:
		return "", badRequest(fmt.Errorf("%w: %w", errNewID, errIDTaken))
	}
	e.sessions[id] = nil
	return id, nil
}

// newID asks the application for an id, or makes one of 20 characters: 96 random
// bits and the node's tag.
func (e *Engine) newID(r *http.Request) (string, error) {
	if e.options.NewID != nil {
		id, err := e.options.NewID(r)
		if err == nil && !validID(id) {
			err = errIDInvalid
		}
		if err != nil {
			return "", fmt.Errorf("%w: %w", errNewID, err)
		}
		return id, nil
	}
	var id [15]byte
	_, _ = rand.Read(id[:]) // never fails
	if e.options.Tag != nil {
		tag := e.options.Tag()
		id[12], id[13], id[14] = byte(tag>>16), byte(tag>>8), byte(tag)
	}
	return base64.RawURLEncoding.EncodeToString(id[:]), nil
}

// validID says whether an id stays as it is in a URL's query, in a cookie and in a log.
func validID(id string) bool {
	return id != "" && len(id) <= maxIDLength && !strings.ContainsFunc(id, func(c rune) bool {
		letter := 'a' <= c|0x20 && c|0x20 <= 'z'
		return !letter && (c < '0' || c > '9') && !strings.ContainsRune("-._~", c)
	})
}
