package engine

import (
	"net/http"
	"slices"
	"sync"
	"time"
)

// verify returns why a request is refused, or nil. The order of the checks is
// the protocol's.
func (e *Engine) verify(r *http.Request, transport, id string, s *Session) *Refusal {
	upgrade := isUpgrade(r)
	switch {
	case !e.options.has(transport):
		return refuseTransport
	case !validHeader(r.Header.Get("Origin")):
		return refuseOriginBytes
	case id == "":
		return verifyHandshake(r, transport, upgrade)
	case s == nil, s.ended.Load() && (upgrade || r.Method != http.MethodGet):
		return refuseSession // one that has ended is known for the poll that gets its close packet only
	case upgrade && transport != transportWebSocket:
		return refuseNoWebSocket
	case upgrade && r.URL.Query().Get("EIO") != "4":
		return refuseVersion
	case upgrade && !e.options.upgrades():
		return refuseUpgrades
	case !upgrade && transport != s.Transport():
		return refuseOtherTransport
	case !upgrade && transport == transportWebSocket:
		return refuseNoUpgrade // a WebSocket session takes no plain requests
	}
	return nil
}

func verifyHandshake(r *http.Request, transport string, upgrade bool) *Refusal {
	switch {
	case r.Method != http.MethodGet:
		return refuseMethod
	case upgrade && transport != transportWebSocket:
		return refuseNoWebSocket
	case !upgrade && transport == transportWebSocket:
		return refuseNoUpgrade
	}
	return nil
}

// validHeader says whether a header's value has only characters that HTTP allows.
func validHeader(value string) bool {
	return !slices.ContainsFunc([]byte(value), func(c byte) bool { return c < ' ' && c != '\t' || c == 0x7f })
}

// admit returns why no session may be opened for a request, or nil. What costs
// nothing is asked before the application is.
func (e *Engine) admit(r *http.Request) *Refusal {
	e.mu.RLock()
	draining, full := e.draining, e.isFull()
	e.mu.RUnlock()
	switch {
	case draining:
		return refuseClosing
	case full:
		return refuseConnections
	}
	if e.rate != nil && !e.rate.take() {
		return refuseRate
	}
	if e.options.AllowRequest != nil {
		if err := e.options.AllowRequest(r); err != nil {
			return &Refusal{Code: codeForbidden, Message: err.Error(), Reason: reasonForbidden, Err: err}
		}
	}
	if r.URL.Query().Get("EIO") != "4" {
		return refuseVersion
	}
	return nil
}

// IsFull says whether handshakes are refused because MaxConnections is reached.
func (e *Engine) IsFull() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.isFull()
}

// isFull says whether MaxConnections is reached. The caller holds mu.
func (e *Engine) isFull() bool {
	return e.options.MaxConnections > 0 && len(e.sessions) >= e.options.MaxConnections
}

// bucket is a token bucket for one second's worth of tokens.
type bucket struct {
	mu     sync.Mutex
	rate   float64
	tokens float64
	last   time.Time
}

func newBucket(perSecond int) *bucket {
	return &bucket{rate: float64(perSecond), tokens: float64(perSecond), last: time.Now()}
}

// take reports whether there was a token.
func (b *bucket) take() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	b.tokens = min(b.rate, b.tokens+now.Sub(b.last).Seconds()*b.rate)
	b.last = now
	if b.tokens < 1 {
		return false
	}
	b.tokens--
	return true
}
