package admin

import (
	"encoding/json"
	"net/http"
)

// live answers that the process answers.
func (a *Admin) live(w http.ResponseWriter, _ *http.Request) {
	answer(w, http.StatusOK, map[string]bool{"live": true})
}

// readiness is the answer of /readyz.
type readiness struct {
	Ready bool   `json:"ready"`
	Bus   string `json:"bus"`
}

// ready answers 200 while the node takes new clients, and 503 otherwise. A bus that
// is away is no reason to send clients elsewhere: it is away for all nodes alike.
func (a *Admin) ready(w http.ResponseWriter, _ *http.Request) {
	h := a.options.Server.Health()
	status := http.StatusOK
	if !h.Ready {
		status = http.StatusServiceUnavailable
	}
	answer(w, status, readiness{Ready: h.Ready, Bus: h.Bus})
}

// answer writes v as JSON. For HEAD, net/http drops the body.
func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // whoever asked has gone, or what we wrote has no JSON form, which tests would show
}
