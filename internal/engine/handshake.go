package engine

import (
	"iter"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Handshake is what is known of the request that opened a session. It keeps
// neither the request nor its maps alive: they are made again when asked for.
type Handshake struct {
	// URL is the request's target as the client sent it.
	URL string
	// RemoteAddr is the address of the TCP connection's other end, with its port
	// unless another node has sent the handshake.
	RemoteAddr string
	// Secure says that the request came over TLS.
	Secure bool
	// XDomain says that the request had an Origin.
	XDomain bool
	// Time is when the session was opened.
	Time time.Time

	header string // "Name: value" lines, each ended by a line feed
}

func newHandshake(r *http.Request) *Handshake {
	var header strings.Builder
	writeHeaderLine(&header, "Host", r.Host)
	for name, values := range r.Header {
		for _, value := range values {
			writeHeaderLine(&header, name, value)
		}
	}
	return &Handshake{
		URL:        strings.Clone(r.URL.RequestURI()),
		RemoteAddr: r.RemoteAddr,
		Secure:     r.TLS != nil,
		XDomain:    r.Header.Get("Origin") != "",
		Time:       time.Now(),
		header:     strings.Clone(header.String()), // without what the builder has grown to beyond it
	}
}

// Header returns a copy of the request's headers, Host included.
func (h *Handshake) Header() http.Header {
	header := http.Header{}
	for name, value := range h.headers() {
		header[name] = append(header[name], value)
	}
	return header
}

// headers yields the request's headers, one line after the other.
func (h *Handshake) headers() iter.Seq2[string, string] {
	return func(yield func(name, value string) bool) {
		for line := range strings.Lines(h.header) {
			name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
			if !yield(name, value) {
				return
			}
		}
	}
}

// writeHeaderLine adds a line. Neither net/http nor ParseHandshake lets a line
// break into a header.
func writeHeaderLine(lines *strings.Builder, name, value string) {
	lines.WriteString(name)
	lines.WriteString(": ")
	lines.WriteString(value)
	lines.WriteByte('\n')
}

// Query returns the parameters of the request's URL.
func (h *Handshake) Query() url.Values {
	_, query, _ := strings.Cut(h.URL, "?")
	values, _ := url.ParseQuery(query) // what is malformed is left out, as the request's own reading did
	return values
}
