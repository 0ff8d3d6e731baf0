package engine

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// ErrHandshake means that bytes are not the JSON form of a Handshake.
var ErrHandshake = errors.New("engine: malformed handshake")

// jsTime is how Node.js writes a date as text, on a machine that keeps UTC.
const jsTime = "Mon Jan 02 2006 15:04:05 GMT-0700 (Coordinated Universal Time)"

// maxIssued is the latest time that JavaScript knows, in milliseconds.
const maxIssued = 8.64e15

// handshakeJSON is the handshake object of Socket.IO without its auth, which is
// written and read as it is. A header and a parameter are a string or an array.
type handshakeJSON struct {
	Headers map[string]any  `json:"headers"`
	Time    string          `json:"time"`
	Address string          `json:"address"`
	XDomain bool            `json:"xdomain"`
	Secure  bool            `json:"secure"`
	Issued  float64         `json:"issued"` // milliseconds since 1970
	URL     string          `json:"url"`
	Query   map[string]any  `json:"query"`
	Auth    json.RawMessage `json:"auth,omitempty"`
}

// AppendJSON appends the handshake object of Socket.IO as other nodes, also
// those of Node.js, read it. auth is a JSON object, or nil for an empty one. The
// address has no port.
func (h *Handshake) AppendJSON(dst, auth []byte) []byte {
	form := handshakeJSON{
		Headers: h.joinedHeader(),
		Time:    h.Time.UTC().Format(jsTime),
		Address: h.address(),
		XDomain: h.XDomain,
		Secure:  h.Secure,
		Issued:  float64(h.Time.UnixMilli()),
		URL:     fromLatin1(h.URL),
		Query:   map[string]any{},
	}
	for name, value := range lastValues(h.Query()) {
		form.Query[name] = value
	}
	if auth == nil {
		auth = []byte("{}")
	}
	out := bytes.NewBuffer(dst)
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(form) // texts, booleans and a whole number always have a JSON form
	dst = bytes.TrimSuffix(out.Bytes(), []byte("}\n"))
	dst = append(dst, `,"auth":`...)
	return append(append(dst, auth...), '}')
}

// ParseHandshake reads what AppendJSON of a roomcast node or a Node.js server
// has written. RemoteAddr has no port, and auth is nil if it is no object. Where
// the query object says something else than the URL, as an application may make
// it, the URL gets that query. It fails with ErrHandshake.
func ParseHandshake(data []byte) (h *Handshake, auth []byte, err error) {
	var form *handshakeJSON
	if err := json.Unmarshal(data, &form); err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrHandshake, err)
	}
	if form == nil || math.Abs(form.Issued) > maxIssued {
		return nil, nil, ErrHandshake
	}
	h = &Handshake{
		URL:        toLatin1(form.URL),
		RemoteAddr: form.Address,
		Secure:     form.Secure,
		XDomain:    form.XDomain,
		Time:       time.UnixMilli(int64(form.Issued)),
	}
	if h.header, err = headerLines(form.Headers); err != nil {
		return nil, nil, err
	}
	h.applyQuery(form.Query)
	if !validHeader(h.URL) || !validHeader(h.RemoteAddr) {
		return nil, nil, fmt.Errorf("%w: control character", ErrHandshake)
	}
	if bytes.HasPrefix(form.Auth, []byte("{")) {
		auth = form.Auth
	}
	return h, auth, nil
}

// address returns the remote address without its port.
func (h *Handshake) address() string {
	if host, _, err := net.SplitHostPort(h.RemoteAddr); err == nil {
		return host
	}
	return h.RemoteAddr
}

// onlyOnce lists the headers of which Node.js takes the first and leaves out others.
var onlyOnce = map[string]bool{
	"age": true, "authorization": true, "content-length": true, "content-type": true, "etag": true, "expires": true,
	"from": true, "host": true, "if-modified-since": true, "if-unmodified-since": true, "last-modified": true,
	"location": true, "max-forwards": true, "proxy-authorization": true, "referer": true, "retry-after": true,
	"server": true, "user-agent": true,
}

// joinedHeader returns the headers as Node.js has them: the names in lower case,
// each with one value, but for Set-Cookie.
func (h *Handshake) joinedHeader() map[string]any {
	lists := map[string][]string{}
	for name, value := range h.headers() {
		name = strings.ToLower(name)
		lists[name] = append(lists[name], fromLatin1(value))
	}
	joined := make(map[string]any, len(lists))
	for name, values := range lists {
		switch {
		case name == "set-cookie":
			joined[name] = values
		case name == "cookie":
			joined[name] = strings.Join(values, "; ")
		case onlyOnce[name]:
			joined[name] = values[0]
		default:
			joined[name] = strings.Join(values, ", ")
		}
	}
	return joined
}

// headerLines returns what Handshake keeps of headers.
func headerLines(headers map[string]any) (string, error) {
	var lines strings.Builder
	for _, name := range slices.Sorted(maps.Keys(headers)) {
		if name == "" || strings.ContainsFunc(name, func(c rune) bool { return c <= ' ' || c > '~' }) {
			return "", fmt.Errorf("%w: header name", ErrHandshake)
		}
		for _, value := range texts(headers[name]) {
			if value = toLatin1(value); !validHeader(value) {
				return "", fmt.Errorf("%w: header value", ErrHandshake)
			}
			writeHeaderLine(&lines, http.CanonicalHeaderKey(name), value)
		}
	}
	return lines.String(), nil
}

// applyQuery makes query the one of the URL, unless it is absent or says of the
// URL's query what Node.js would.
func (h *Handshake) applyQuery(query map[string]any) {
	values := url.Values{}
	for name, value := range query {
		if t := texts(value); len(t) > 0 {
			values[name] = t
		}
	}
	if query != nil && !maps.Equal(lastValues(values), lastValues(h.Query())) {
		path, _, _ := strings.Cut(h.URL, "?")
		h.URL = path + "?" + values.Encode()
	}
}

// lastValues returns the parameters as Node.js has them: of several with one
// name it keeps the last.
func lastValues(query url.Values) map[string]string {
	last := make(map[string]string, len(query))
	for name, values := range query {
		last[name] = values[len(values)-1]
	}
	return last
}

// texts returns the strings of a JSON value that is one or holds some. What an
// application has put there besides has no place in a request.
func texts(value any) []string {
	switch v := value.(type) {
	case string:
		return []string{v}
	case []any:
		var all []string
		for _, element := range v {
			if text, ok := element.(string); ok {
				all = append(all, text)
			}
		}
		return all
	}
	return nil
}

// fromLatin1 returns bytes of a request as Node.js reads them: each is a character.
func fromLatin1(s string) string {
	if isASCII(s) {
		return s
	}
	characters := make([]rune, len(s))
	for i := range len(s) {
		characters[i] = rune(s[i])
	}
	return string(characters)
}

// toLatin1 is the reverse of fromLatin1. A text that no request can have brought
// stays as it is.
func toLatin1(s string) string {
	if isASCII(s) {
		return s
	}
	b := make([]byte, 0, len(s))
	for _, c := range s {
		if c > 0xff {
			return s
		}
		b = append(b, byte(c))
	}
	return string(b)
}

func isASCII(s string) bool {
	return !strings.ContainsFunc(s, func(c rune) bool { return c >= utf8.RuneSelf })
}
