package cluster

import (
	"fmt"

	"github.com/roomcast/roomcast/pkg/adapter"
)

// maxStrangers bounds how many other applications are warned of.
const maxStrangers = 100

// strangers are the other applications that were heard where this one's nodes are
// expected. Only receive uses them, one call at a time.
type strangers struct{ known map[string]struct{} }

// heard warns once of each other application: two that share a prefix get each other's
// broadcasts, and this shows as events out of nowhere.
func (s *strangers) heard(n *Node, member adapter.NodeID, application string) {
	own := n.options.Application
	if own == "" || application == "" || application == own || len(s.known) == maxStrangers {
		return
	}
	if _, again := s.known[application]; again {
		return
	}
	if s.known == nil {
		s.known = make(map[string]struct{})
	}
	s.known[application] = struct{}{}
	n.options.Logger.Warn("cluster: another application uses the same prefix: give each a Prefix of its own, or both the same Application",
		"application", own, "other", fmt.Sprintf("%.256q", application), "member", fmt.Sprintf("%.256q", string(member)))
}
