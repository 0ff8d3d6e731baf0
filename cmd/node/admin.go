package main

import (
	"fmt"
	"net"

	"github.com/roomcast/roomcast/internal/admin"
)

// adminFlags say where the admin listener is.
type adminFlags struct {
	Listen string `placeholder:"ADDRESS" help:"Address for /livez, /readyz, /metrics, /debug/nodes and profiles, such as 127.0.0.1:9090. Never make it public. Default: off."`
	Token  string `placeholder:"TOKEN" help:"Credential for actions, and for profiles unless the address is on loopback. 16 characters or more, the same on all nodes. Set it in the environment: a command line can be seen by other users. Default: no actions."`
}

// Validate refuses what cannot be carried out, before anything starts.
func (f *adminFlags) Validate() error {
	switch {
	case f.Token == "":
	case f.Listen == "":
		return fmt.Errorf("--admin-token needs --admin-listen")
	case len(f.Token) < admin.MinTokenLength:
		return fmt.Errorf("--admin-token has fewer than %d characters", admin.MinTokenLength)
	}
	if f.Listen != "" {
		if _, _, err := net.SplitHostPort(f.Listen); err != nil {
			return fmt.Errorf("--admin-listen %q must be HOST:PORT or :PORT", f.Listen)
		}
	}
	return nil
}

// open starts the admin listener of a node, if there is to be one.
func (f *adminFlags) open(n *node) error {
	if f.Listen == "" {
		return nil
	}
	l, err := net.Listen("tcp", f.Listen)
	if err != nil {
		return fmt.Errorf("admin: %w", err)
	}
	n.admin, err = admin.Start(l, admin.Options{Server: n.server, Name: n.name, Token: f.Token, Logger: n.log})
	return err
}
