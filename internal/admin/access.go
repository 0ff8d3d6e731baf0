package admin

import (
	"crypto/sha256"
	"crypto/subtle"
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// isLoopback says whether only this machine reaches a listener.
func isLoopback(a net.Addr) bool {
	tcp, ok := a.(*net.TCPAddr)
	return ok && tcp.IP.IsLoopback()
}

// guard adds the headers that keep a browser from doing more than the pages need.
// On loopback it answers only to loopback's own names: a site whose name was made to
// point here is of the same origin for a browser, and is told apart by its name alone.
func (a *Admin) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if a.loopback && !namesLoopback(r.Host) {
			http.Error(w, "this listener is called by the name localhost", http.StatusMisdirectedRequest)
			return
		}
		if isForeign(r) {
			http.Error(w, "nothing here is for another site", http.StatusForbidden)
			return
		}
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}

// isForeign says whether a browser sends a request for a page of another site, which a
// person who follows a link does not do.
func isForeign(r *http.Request) bool {
	switch r.Header.Get("Sec-Fetch-Site") {
	case "", "none", "same-origin":
		return false
	}
	return r.Header.Get("Sec-Fetch-Mode") != "navigate"
}

// namesLoopback says whether a Host header names this machine to itself. Every browser
// sends one; the checks of load balancers, which are HTTP/1.0, have none.
func namesLoopback(host string) bool {
	if host == "" {
		return true
	}
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil && ip.IsLoopback()
}

// holdsToken says whether a request carries the credential, as a bearer token: no
// browser sends that by itself, so no other site can make one send it.
func (a *Admin) holdsToken(r *http.Request) bool {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	return ok && a.isToken(token)
}

// isToken compares in a time that does not depend on where the texts differ.
func (a *Admin) isToken(token string) bool {
	if a.options.Token == "" {
		return false
	}
	given, want := sha256.Sum256([]byte(token)), sha256.Sum256([]byte(a.options.Token))
	return subtle.ConstantTimeCompare(given[:], want[:]) == 1
}

// refuse answers a request without the credential, and logs a wrong one.
func (a *Admin) refuse(w http.ResponseWriter, r *http.Request, challenge string) {
	if a.options.Token == "" {
		http.Error(w, "no credential was set for this node, so this is off", http.StatusForbidden)
		return
	}
	if r.Header.Get("Authorization") != "" {
		a.log.Warn("wrong admin credential", "path", r.URL.Path, "client", r.RemoteAddr)
	}
	w.Header().Set("WWW-Authenticate", challenge)
	http.Error(w, "this needs the credential", http.StatusUnauthorized)
}
