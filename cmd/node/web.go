package main

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
)

// web holds the page. The browser client is among its assets when the build found
// it; see the Makefile.
//
//go:embed web
var web embed.FS

const (
	embeddedClient = "web/assets/socket.io.min.js"
	// publicClient is where the page finds the client otherwise, and its hash.
	publicClient          = "https://cdn.socket.io/4.8.1/socket.io.min.js"
	publicClientIntegrity = "sha384-mkQ3/7FUtcGyoppY6bz/PORYoGqOl7/aSUMn2ymDOJcapfS6PHqxhRTMh1RR0Q6+"

	// contentPolicy lets the page load nothing but its own files and that client.
	contentPolicy = "default-src 'self'; script-src 'self' https://cdn.socket.io; connect-src 'self' ws: wss:; " +
		"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

// page is what the page is told about its cluster.
type page struct {
	Node   string     `json:"node"`
	Nodes  []pageNode `json:"nodes"`
	Path   string     `json:"path"`
	Client clientFile `json:"client"`
}

// pageNode is a node with a page of its own, on the same host.
type pageNode struct {
	Name string `json:"name"`
	Port int    `json:"port,omitempty"` // 0: the page does not know where it is
}

// clientFile is where the browser loads the Socket.IO client from.
type clientFile struct {
	URL       string `json:"url"`
	Integrity string `json:"-"`
}

// handler serves the page and its assets.
func (p page) handler() (http.Handler, error) {
	p.Client = clientFile{URL: publicClient, Integrity: publicClientIntegrity}
	if _, err := fs.Stat(web, embeddedClient); err == nil {
		p.Client = clientFile{URL: "assets/socket.io.min.js"}
	}
	index, err := template.ParseFS(web, "web/index.html")
	if err != nil {
		return nil, fmt.Errorf("page: %w", err)
	}
	var html bytes.Buffer
	if err := index.Execute(&html, p); err != nil {
		return nil, fmt.Errorf("page: %w", err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write(html.Bytes()) // a browser that went away is no error
	})
	mux.HandleFunc("GET /assets/{name}", func(w http.ResponseWriter, r *http.Request) {
		http.ServeFileFS(w, r, web, "web/assets/"+r.PathValue("name"))
	})
	return guard(mux), nil
}

// guard adds the headers that keep a browser from doing more than the page needs.
func guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", contentPolicy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cache-Control", "no-cache")
		next.ServeHTTP(w, r)
	})
}
