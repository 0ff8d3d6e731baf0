package router

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Forward has the owner of a request's session answer it, and returns nil when it has.
// It blocks for as long as the owner does, but a WebSocket is relayed behind the
// caller's back. With an error nothing was answered. With ErrClosed, ErrDraining, ErrFull,
// ErrSecondHop, ErrMethod or ErrAddress the owner has not got the request either; with
// ErrUnreachable it may have. When an answer breaks off in the middle, or the router ends
// while the owner has the request, Forward panics with http.ErrAbortHandler, which tells
// the HTTP server to break off too.
func (r *Router) Forward(w http.ResponseWriter, req *http.Request, owner Owner) error {
	if _, forwarded := req.Header[headerName]; forwarded {
		return ErrSecondHop
	}
	if req.Method != http.MethodGet && req.Method != http.MethodPost {
		return ErrMethod
	}
	ctx, cancel := context.WithCancel(r.life)
	defer cancel()
	relay, err := r.enter(isUpgrade(req), cancel)
	if err != nil {
		return err
	}
	defer r.leave(relay)
	defer context.AfterFunc(req.Context(), cancel)() // a client that leaves is not waited for
	out, err := r.outgoing(ctx, req, owner)
	if err != nil {
		return err
	}
	if relay != nil {
		out.Header.Set("Connection", "Upgrade")
		out.Header.Set("Upgrade", "websocket")
	} else if req.ContentLength != 0 {
		out.Body, out.ContentLength = &upload{req.Body, http.NewResponseController(w)}, req.ContentLength
	}
	answer, err := r.transport.RoundTrip(out)
	switch {
	case err == nil && answer.StatusCode == http.StatusSwitchingProtocols:
		err = r.startRelay(w, answer, relay)
	case err == nil:
		r.counters.forwarded.Add(1)
		r.pass(w, answer)
	}
	switch {
	case err == nil, req.Context().Err() != nil: // nobody is left to be answered
		return nil
	case ctx.Err() != nil: // what the owner has done is not known
		panic(http.ErrAbortHandler)
	}
	r.counters.unreachable.Add(1)
	return fmt.Errorf("%w: node %s: %w", ErrUnreachable, owner.ID, err)
}

// pass gives the client the owner's answer.
func (r *Router) pass(w http.ResponseWriter, answer *http.Response) {
	defer answer.Body.Close()
	removeHopByHop(answer.Header)
	for name, values := range answer.Header {
		w.Header()[name] = values
	}
	w.WriteHeader(answer.StatusCode)
	if _, err := io.Copy(&download{w, http.NewResponseController(w), r.options.WriteTimeout}, answer.Body); err != nil {
		panic(http.ErrAbortHandler)
	}
}

// download is an answer's body on its way to a client, which may read slowly but not stop.
type download struct {
	client  io.Writer
	control *http.ResponseController
	timeout time.Duration
}

// Write implements io.Writer.
func (d *download) Write(data []byte) (int, error) {
	_ = d.control.SetWriteDeadline(time.Now().Add(d.timeout)) // where it is not supported, the server has its own
	return d.client.Write(data)
}

// upload is a request's body. Once it is read, the time that reading may take is over.
type upload struct {
	io.ReadCloser
	control *http.ResponseController
}

// Read implements io.Reader.
func (u *upload) Read(data []byte) (int, error) {
	n, err := u.ReadCloser.Read(data)
	if errors.Is(err, io.EOF) {
		_ = u.control.SetReadDeadline(time.Time{}) // where it is not supported, there is none
	}
	return n, err
}

// outgoing returns the request that goes to owner: the target, the Host and the headers
// are the client's. It has no body.
func (r *Router) outgoing(ctx context.Context, req *http.Request, owner Owner) (*http.Request, error) {
	to, err := ParseAddress(owner.Address)
	if err != nil {
		return nil, err
	}
	// What the client sent, not what a mux may have cut from it; of a target with a host
	// that is not used.
	target, err := url.ParseRequestURI(req.RequestURI)
	if err != nil {
		return nil, fmt.Errorf("%w: target of the request: %w", ErrAddress, err)
	}
	to.Path, to.RawPath, to.RawQuery = target.Path, target.RawPath, target.RawQuery
	out := (&http.Request{
		Method: req.Method, URL: to, Host: req.Host, Header: req.Header.Clone(),
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
	}).WithContext(ctx)
	removeHopByHop(out.Header)
	if _, named := out.Header["User-Agent"]; !named {
		out.Header.Set("User-Agent", "") // else the HTTP client adds its own
	}
	p := &pass{
		from: r.options.Self, to: owner.ID, number: r.number.Add(1), signed: time.Now(),
		client: req.RemoteAddr, secure: req.TLS != nil,
	}
	out.Header.Set(headerName, r.signer.write(p, out.Method, to.RequestURI()))
	return out, nil
}

// hopByHop are the headers that are about one connection, and Expect, which this node
// has answered itself.
var hopByHop = []string{
	"Connection", "Proxy-Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization",
	"Te", "Trailer", "Transfer-Encoding", "Upgrade", "Expect",
}

// removeHopByHop removes them, and those that Connection names.
func removeHopByHop(header http.Header) {
	for _, line := range header["Connection"] {
		for name := range strings.SplitSeq(line, ",") {
			header.Del(strings.TrimSpace(name))
		}
	}
	for _, name := range hopByHop {
		header.Del(name)
	}
}

// isUpgrade says whether a request wants to become a WebSocket.
func isUpgrade(req *http.Request) bool {
	return hasToken(req.Header["Connection"], "upgrade") && hasToken(req.Header["Upgrade"], "websocket")
}

func hasToken(lines []string, token string) bool {
	for _, line := range lines {
		for word := range strings.SplitSeq(line, ",") {
			if strings.EqualFold(strings.TrimSpace(word), token) {
				return true
			}
		}
	}
	return false
}
