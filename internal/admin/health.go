package admin

import (
	"encoding/json"
	"net/http"
	"time"
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

// nodeReport is the answer of /debug/nodes.
type nodeReport struct {
	ID       string            `json:"id"`
	Name     string            `json:"name"`
	Ready    bool              `json:"ready"`
	Bus      busReport         `json:"bus"`
	Sessions map[string]int64  `json:"sessions"`
	Slow     uint64            `json:"slowConsumers"`
	Panics   uint64            `json:"panics"`
	Refused  map[string]uint64 `json:"refused"`
	Closed   map[string]uint64 `json:"closed"`
	// Others are the ids of the other live nodes.
	Others []string `json:"others"`
}

// busReport is what a node knows of its adapter's backend.
type busReport struct {
	State         string            `json:"state"`
	Since         *time.Time        `json:"since,omitempty"`
	Interruptions uint64            `json:"interruptions"`
	Gaps          uint64            `json:"gaps"`
	Dropped       map[string]uint64 `json:"dropped"`
}

// nodes answers with this node's figures and the ids of the others.
func (a *Admin) nodes(w http.ResponseWriter, _ *http.Request) {
	h, s := a.options.Server.Health(), a.options.Server.Stats()
	report := nodeReport{
		ID: a.options.Server.NodeID(), Name: a.options.Name, Ready: h.Ready,
		Bus:      busReport{State: h.Bus, Interruptions: h.BusInterruptions, Gaps: h.BusGaps, Dropped: h.BusDropped},
		Sessions: s.Sessions, Slow: s.SlowConsumers, Panics: s.Panics, Refused: s.Refused,
		Closed: make(map[string]uint64, len(s.Closed)), Others: append([]string{}, h.Nodes...),
	}
	if !h.BusSince.IsZero() {
		report.Bus.Since = &h.BusSince
	}
	for reason, count := range s.Closed {
		report.Closed[string(reason)] = count
	}
	answer(w, http.StatusOK, report)
}

// answer writes v as JSON. For HEAD, net/http drops the body.
func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // whoever asked has gone, or what we wrote has no JSON form, which tests would show
}
