package engine

import (
	"encoding/json"
	"errors"
	"math/rand/v2"
	"net/http"
	"strconv"
)

// The error codes of the protocol.
const (
	codeUnknownTransport   = 0
	codeUnknownSession     = 1
	codeBadMethod          = 2
	codeBadRequest         = 3
	codeForbidden          = 4
	codeUnsupportedVersion = 5
	codeUnavailable        = -1 // not in the protocol: a plain 503
)

// Refusal says why a request was refused.
type Refusal struct {
	// Code is the protocol's number, or -1 for a refusal that it does not have.
	Code int
	// Message is what the client is told.
	Message string
	// Reason names the cause, from a fixed list: a key of Stats.Refused.
	Reason string
	// Err says more, for logs, or is nil where Reason says it all. It may quote
	// what the client has sent.
	Err error
}

// The reasons of refusals.
const (
	reasonTransport   = "transport_unknown"
	reasonSession     = "session_unknown"
	reasonMethod      = "bad_method"
	reasonBadRequest  = "bad_request"
	reasonForbidden   = "forbidden"
	reasonOrigin      = "origin"
	reasonVersion     = "unsupported_version"
	reasonConnections = "max_connections"
	reasonRate        = "max_handshakes"
	reasonClosing     = "closing"
)

var refusalReasons = [...]string{
	reasonTransport, reasonSession, reasonMethod, reasonBadRequest, reasonForbidden,
	reasonOrigin, reasonVersion, reasonConnections, reasonRate, reasonClosing,
}

// The messages of the reference, which clients compare.
const (
	messageBadRequest  = "Bad request"
	messageForbidden   = "Forbidden"
	messageUnavailable = "Service Unavailable"
)

// The refusals that are always the same.
var (
	refuseTransport   = &Refusal{Code: codeUnknownTransport, Message: "Transport unknown", Reason: reasonTransport}
	refuseSession     = &Refusal{Code: codeUnknownSession, Message: "Session ID unknown", Reason: reasonSession}
	refuseMethod      = &Refusal{Code: codeBadMethod, Message: "Bad handshake method", Reason: reasonMethod}
	refuseOrigin      = &Refusal{Code: codeForbidden, Message: messageForbidden, Reason: reasonOrigin}
	refuseVersion     = &Refusal{Code: codeUnsupportedVersion, Message: "Unsupported protocol version", Reason: reasonVersion}
	refuseConnections = &Refusal{Code: codeUnavailable, Message: messageUnavailable, Reason: reasonConnections}
	refuseRate        = &Refusal{Code: codeUnavailable, Message: messageUnavailable, Reason: reasonRate}
	refuseClosing     = &Refusal{Code: codeUnavailable, Message: messageUnavailable, Reason: reasonClosing}
)

// The refusals that the protocol calls a bad request; clients do not see the errors.
var (
	refuseOriginBytes    = badRequest(errors.New("engine: Origin has a control character"))
	refuseOtherTransport = badRequest(errors.New("engine: the session has another transport"))
	refuseNoUpgrade      = badRequest(errors.New("engine: transport websocket without an upgrade"))
	refuseNoWebSocket    = badRequest(errors.New("engine: upgrade to another transport than websocket"))
	refuseUpgrades       = badRequest(errors.New("engine: upgrades are off"))
	refuseUpgraded       = badRequest(errors.New("engine: the session is upgraded, or about to be"))
)

// badRequest returns the protocol's refusal for whatever has no code of its own.
func badRequest(err error) *Refusal {
	return &Refusal{Code: codeBadRequest, Message: messageBadRequest, Reason: reasonBadRequest, Err: err}
}

// absentSession returns the refusal of a request whose session is not here, for a reason
// that clients do not see.
func absentSession(err error) *Refusal {
	unknown := *refuseSession
	unknown.Err = err
	return &unknown
}

// status returns the status of the answer.
func (f *Refusal) status(upgrade bool) int {
	switch {
	case f.Code == codeUnavailable:
		return http.StatusServiceUnavailable
	case f.Reason == reasonOrigin, f.Code == codeForbidden && !upgrade:
		return http.StatusForbidden
	}
	return http.StatusBadRequest
}

// maxRetryAfter is the longest time in seconds after which a client that finds no
// place may try again. The times differ, so that who is refused together does not
// come back together.
const maxRetryAfter = 5

// refuse answers a request that is refused, counts and logs it.
func (e *Engine) refuse(w http.ResponseWriter, r *http.Request, f *Refusal) {
	e.counters.countRefused(f.Reason)
	e.options.Logger.Info("engine: request refused: "+f.Reason, "remote", r.RemoteAddr, "error", logged(f.Err))
	if e.options.OnRefused != nil {
		_ = e.guard(func() error { // whatever becomes of it, the client gets its answer
			e.options.OnRefused(r, *f)
			return nil
		})
	}
	header, upgrade := w.Header(), isUpgrade(r)
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Content-Type", "application/json")
	body, _ := json.Marshal(struct {
		Code    int    `json:"code"`
		Message string `json:"message"`
	}{f.Code, f.Message}) // a number and a string always have a JSON form
	if upgrade || f.Code == codeUnavailable {
		header.Set("Content-Type", "text/plain; charset=UTF-8")
		body = []byte(f.Message)
	}
	if upgrade {
		header.Set("Connection", "close")
	}
	if f.Code == codeUnavailable {
		header.Set("Retry-After", strconv.Itoa(1+rand.IntN(maxRetryAfter)))
	}
	header.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(f.status(upgrade))
	_, _ = w.Write(body) // a client that does not get it is gone
}
