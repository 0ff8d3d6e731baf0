package engine

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// CORS says which pages of other origins may use the server. Pages of the
// server's own host always may, as may clients that send no Origin.
type CORS struct {
	// Origins are the allowed origins, such as "https://example.com", or "*" for
	// all of them. A request from another one is answered 403, polling or WebSocket.
	Origins []string
	// Credentials lets pages send cookies. It cannot be combined with "*".
	Credentials bool
	// MaxAge is how long a browser may remember a preflight's answer. Default:
	// the browser's own choice.
	MaxAge time.Duration
}

func (c *CORS) validate() error {
	if c != nil && c.Credentials && slices.Contains(c.Origins, "*") {
		return errors.New(`engine: option CORS allows credentials from "*", which would let any page act as its visitor; list the origins`)
	}
	return nil
}

// allows says whether a request may pass.
func (c *CORS) allows(r *http.Request) bool {
	origin := r.Header.Get("Origin")
	if c == nil || origin == "" || slices.Contains(c.Origins, "*") || slices.Contains(c.Origins, origin) {
		return true
	}
	u, err := url.Parse(origin)
	return err == nil && strings.EqualFold(u.Host, r.Host)
}

// setHeaders adds what a browser needs in order to show the answer to its page.
// The request is an allowed one.
func (c *CORS) setHeaders(header http.Header, r *http.Request) {
	if c == nil {
		return
	}
	if slices.Contains(c.Origins, "*") {
		header.Set("Access-Control-Allow-Origin", "*")
		return
	}
	header.Add("Vary", "Origin")
	if origin := r.Header.Get("Origin"); origin != "" {
		header.Set("Access-Control-Allow-Origin", origin)
	}
	if c.Credentials {
		header.Set("Access-Control-Allow-Credentials", "true")
	}
}

// preflight answers an OPTIONS request. The request is an allowed one.
func (c *CORS) preflight(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header.Set("Access-Control-Allow-Methods", "GET,HEAD,PUT,PATCH,POST,DELETE")
	if asked := r.Header.Get("Access-Control-Request-Headers"); asked != "" {
		header.Set("Access-Control-Allow-Headers", asked)
		header.Add("Vary", "Access-Control-Request-Headers")
	}
	if c.MaxAge > 0 {
		header.Set("Access-Control-Max-Age", strconv.Itoa(int(c.MaxAge/time.Second)))
	}
	header.Set("Content-Length", "0")
	w.WriteHeader(http.StatusNoContent)
}
