package router

import (
	"crypto/hmac"
	"encoding/base64"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/roomcast/roomcast/pkg/adapter"
)

// headerName is the header with the pass of a forwarded request.
const headerName = "Roomcast-Forwarded"

// pass is what makes a request one that another node has sent.
type pass struct {
	from, to adapter.NodeID
	number   uint64 // no two passes of from have the same
	signed   time.Time
	client   string // the client's address as the first node saw it
	secure   bool   // the client came over TLS
}

func (s *Signer) signPass(p *pass, method, target string) []byte {
	return s.sign(purposeForward, method, target, string(p.from), string(p.to), strconv.FormatUint(p.number, 10),
		strconv.FormatInt(p.signed.UnixMilli(), 10), p.client, strconv.FormatBool(p.secure))
}

// write returns the header of a request with this method and target.
func (s *Signer) write(p *pass, method, target string) string {
	return url.Values{
		"from": {string(p.from)}, "to": {string(p.to)}, "number": {strconv.FormatUint(p.number, 10)},
		"time":   {strconv.FormatInt(p.signed.UnixMilli(), 10)},
		"client": {p.client}, "secure": {strconv.FormatBool(p.secure)},
		"signature": {base64.RawURLEncoding.EncodeToString(s.signPass(p, method, target))},
	}.Encode()
}

// read returns the pass of r if it is genuine and for self, and is there for the first
// time; else the reason why it is not.
func (s *Signer) read(r *http.Request, self adapter.NodeID) (*pass, *refusal) {
	p, signature := parsePass(r.Header.Values(headerName))
	switch {
	case p == nil:
		return nil, refuseMalformed
	case !hmac.Equal(signature, s.signPass(p, r.Method, r.RequestURI)):
		return nil, refuseSignature
	case p.to != self:
		return nil, refuseAddressee
	case !fresh(p.signed):
		return nil, refuseTime
	case !s.first(p):
		return nil, refuseRepeated
	}
	return p, nil
}

// parsePass returns nil unless there is one header, in the form that write gives it.
func parsePass(values []string) (*pass, []byte) {
	if len(values) != 1 {
		return nil, nil
	}
	fields, err := url.ParseQuery(values[0])
	if err != nil {
		return nil, nil
	}
	number, err1 := strconv.ParseUint(fields.Get("number"), 10, 64)
	signed, err2 := strconv.ParseInt(fields.Get("time"), 10, 64)
	secure, err3 := strconv.ParseBool(fields.Get("secure"))
	signature, err4 := base64.RawURLEncoding.DecodeString(fields.Get("signature"))
	if err1 != nil || err2 != nil || err3 != nil || err4 != nil {
		return nil, nil
	}
	return &pass{
		from: adapter.NodeID(fields.Get("from")), to: adapter.NodeID(fields.Get("to")),
		number: number, signed: time.UnixMilli(signed), client: fields.Get("client"), secure: secure,
	}, signature
}

// first says whether a genuine pass is there for the first time.
func (s *Signer) first(p *pass) bool {
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	w := s.windows[p.from]
	if w == nil {
		for from, other := range s.windows {
			if now.Sub(other.used) > 2*maxSkew { // all of its passes are too old by now
				delete(s.windows, from)
			}
		}
		w = &window{}
		s.windows[p.from] = w
	}
	return w.take(p.number, now)
}
