package admin

import (
	"embed"
	"net/http"
)

// files are the cluster page's: what is there is what is served, without a build.
//
//go:embed page
var files embed.FS

// pagePolicy lets the page load its own files and nothing else.
const pagePolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// page adds the cluster page.
func (a *Admin) page(mux *http.ServeMux) {
	send := func(name string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Security-Policy", pagePolicy)
			http.ServeFileFS(w, r, files, "page/"+name)
		}
	}
	mux.HandleFunc("GET /{$}", send("index.html"))
	for _, name := range []string{"admin.js", "admin.css", "figures.js", "icon.svg"} {
		mux.HandleFunc("GET /"+name, send(name))
	}
}
