package admin

import (
	"net/http"
	"net/http/pprof"
)

// profiles adds Go's profiles. They show memory, and taking one costs time: off
// loopback they need the credential. `go tool pprof` and browsers can send it as the
// password of basic authentication, which nothing else here accepts. The command line
// is not among them: somebody may have put a secret there.
func (a *Admin) profiles(mux *http.ServeMux) {
	for path, page := range map[string]http.HandlerFunc{
		"GET /debug/pprof/":        pprof.Index,
		"GET /debug/pprof/profile": pprof.Profile,
		"GET /debug/pprof/symbol":  pprof.Symbol,
		"GET /debug/pprof/trace":   pprof.Trace,
	} {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			if _, password, ok := r.BasicAuth(); !a.loopback && !a.holdsToken(r) && !(ok && a.isToken(password)) {
				a.refuse(w, r, `Basic realm="profiles"`)
				return
			}
			w.Header().Del("Content-Security-Policy") // the index has a style of its own
			page(w, r)
		})
	}
}
