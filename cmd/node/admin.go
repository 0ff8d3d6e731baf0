package main

import (
	"fmt"
	"net"

	"github.com/roomcast/roomcast/internal/admin"
)

// adminFlags say where the admin listener is.
type adminFlags struct {
	Listen string `placeholder:"ADDRESS" form:"address" help:"Address for the cluster page, /livez, /readyz, /metrics, /debug/nodes and profiles, such as 127.0.0.1:9090. Never make it public. Default: off."`
	Token  string `placeholder:"TOKEN" form:"key" secret:"all" needs:"admin-listen" help:"Credential for actions, and for profiles unless the address is on loopback. 16 characters or more, the same on all nodes. Set it in the environment: a command line can be seen by other users. Default: no actions."`
}

// open starts the admin listener of a node, if there is to be one. end begins to stop the
// node and returns at once.
func (f *adminFlags) open(n *node, end func()) error {
	if f.Listen == "" {
		return nil
	}
	l, err := net.Listen("tcp", f.Listen)
	if err != nil {
		return fmt.Errorf("admin: %w", err)
	}
	n.admin, err = admin.Start(l, admin.Options{
		Server: n.server, Name: n.name, Token: f.Token, Metrics: n.metrics.Handler(), Events: n.events, Drain: end, Logger: n.log,
	})
	return err
}
