package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
)

// serveCommand runs one node.
type serveCommand struct {
	Listen string      `default:":3000" placeholder:"ADDRESS" help:"Address to listen on."`
	Admin  adminFlags  `embed:"" prefix:"admin-"`
	Bus    busFlags    `embed:""`
	Server serverFlags `embed:""`
}

// Validate refuses what cannot be carried out, before anything starts.
func (c *serveCommand) Validate() error {
	if err := errors.Join(c.Bus.Validate(), c.Server.Validate(), c.Admin.Validate()); err != nil {
		return err
	}
	if c.Server.Recovery > 0 && !c.Bus.recovers() {
		return fmt.Errorf("--recovery needs the adapter memory or streams: with %s nothing is kept of what clients miss", c.Bus.kind())
	}
	return nil
}

// Run serves until the program is told to stop.
func (c *serveCommand) Run(p *program) error {
	ctx, fail := context.WithCancelCause(p.ctx)
	defer fail(nil)
	n, err := c.start(p, fail)
	if err != nil {
		return err
	}
	err = waitFor(ctx, p.ctx)
	p.log.Info("stopping")
	if err = errors.Join(err, n.stop()); err == nil {
		p.log.Info("stopped")
	}
	return err
}

// waitFor waits for the end of ctx. Its cause is an error unless the program was
// told to stop.
func waitFor(ctx, program context.Context) error {
	<-ctx.Done()
	if program.Err() != nil {
		return nil
	}
	return context.Cause(ctx)
}

func (c *serveCommand) start(p *program, fail context.CancelCauseFunc) (*node, error) {
	listener, err := net.Listen("tcp", c.Listen)
	if err != nil {
		return nil, err
	}
	b, err := c.Bus.open(p.log)
	if err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	n, err := newNode(hostAndPort(listener), listener, &c.Server, b, p.log)
	if err != nil {
		return nil, err
	}
	if err = c.Admin.open(n); err == nil {
		err = n.start([]pageNode{{Name: n.name}}, fail)
	}
	if err != nil {
		return nil, errors.Join(err, n.stop())
	}
	c.banner(p, n)
	return n, nil
}

// banner says what runs, and within which limits.
func (c *serveCommand) banner(p *program, n *node) {
	where := []any{
		"node", n.server.NodeID(), "address", n.listener.Addr().String(), "path", c.Server.Path,
		"page", fmt.Sprintf("http://localhost:%d/", n.port()), "prefix", c.Bus.Prefix,
	}
	if n.admin != nil {
		where = append(where, "admin", n.admin.Addr().String())
	}
	p.log.Info("serving", append(where, n.bus.attributes()...)...)
	f := c.Server
	p.log.Info("limits",
		"ping_interval", f.PingInterval.String(), "ping_timeout", f.PingTimeout.String(), "connect_timeout", f.ConnectTimeout.String(),
		"max_payload", f.MaxPayload, "max_send_queue", f.MaxSendQueue,
		"max_connections", f.MaxConnections, "max_handshakes_per_second", f.MaxHandshakesPerSecond, "recovery", f.Recovery.String(),
	)
}

// hostAndPort is a name that tells nodes apart, also those of one machine.
func hostAndPort(l net.Listener) string {
	host, err := os.Hostname()
	if err != nil {
		host = "node"
	}
	return net.JoinHostPort(host, strconv.Itoa(l.Addr().(*net.TCPAddr).Port))
}
