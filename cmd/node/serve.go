package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strconv"
	"time"

	"github.com/roomcast/roomcast/pkg/server"
)

// serveCommand runs one node.
type serveCommand struct {
	Check  bool         `help:"Only check the settings: print them without secrets, with where each is from, and whether Redis answers. Exit code 0, or 2 if something is not allowed."`
	Listen listenFlags  `embed:"" group:"Listening"`
	Admin  adminFlags   `embed:"" prefix:"admin-" group:"Admin"`
	UI     adminUIFlags `embed:"" prefix:"admin-ui-" group:"Admin"`
	Bus    busFlags     `embed:""`
	Server serverFlags  `embed:""`
	Log    logFlags     `embed:"" prefix:"log-" group:"Logging"`

	Drain time.Duration `default:"10s" min:"0s" group:"Listening" help:"How long a node that is told to stop takes to let its clients go, one after the other, so that they come back to other nodes; it ends within 5 s more. 0 is at once."`
}

// listenFlags say where the node is reached.
type listenFlags struct {
	Listen  string `default:":3000" placeholder:"ADDRESS" form:"address" help:"Address to listen on."`
	TLSCert string `name:"tls-cert" placeholder:"FILE" form:"file" needs:"tls-key" help:"Certificate chain (PEM) with which the node serves TLS itself. It is read when the node starts."`
	TLSKey  string `name:"tls-key" placeholder:"FILE" form:"file" needs:"tls-cert" help:"The certificate's key (PEM)."`
}

// listen begins to listen, over TLS if there is a certificate.
func (f *listenFlags) listen(ctx context.Context) (net.Listener, error) {
	var certificates []tls.Certificate
	if f.TLSCert != "" {
		certificate, err := tls.LoadX509KeyPair(f.TLSCert, f.TLSKey)
		if err != nil {
			return nil, err
		}
		certificates = append(certificates, certificate)
	}
	listener, err := server.Listen(ctx, "tcp", f.Listen)
	if err != nil || len(certificates) == 0 {
		return listener, err
	}
	return tls.NewListener(listener, &tls.Config{Certificates: certificates}), nil
}

// scheme is what the node's URLs begin with.
func (f *listenFlags) scheme() string {
	if f.TLSCert != "" {
		return "https"
	}
	return "http"
}

// check refuses a certificate that is none.
func (f *listenFlags) check(s settings) error {
	if f.TLSCert == "" {
		return nil
	}
	if _, err := tls.LoadX509KeyPair(f.TLSCert, f.TLSKey); err != nil {
		return fmt.Errorf("%s and %s must be a certificate and its key: %w", s.written(s.find("tls-cert")), s.written(s.find("tls-key")), err)
	}
	return nil
}

// check refuses what cannot be carried out, before anything starts.
func (c *serveCommand) check(s settings) error {
	return cmp.Or(c.Listen.check(s), c.Bus.check(s), c.Server.check(s))
}

// Run serves until the program is told to stop.
func (c *serveCommand) Run(p *program) error {
	if c.Check {
		return c.report(p)
	}
	p.log = c.Log.logger(p.errOut, slog.LevelInfo)
	ctx, fail := context.WithCancelCause(p.ctx)
	defer fail(nil)
	n, err := c.start(p, fail)
	if err != nil {
		return err
	}
	window := c.Drain
	if err = waitFor(ctx, p.ctx); err != nil {
		window = 0 // nobody can come back to a listener that has failed, nor be told
	}
	p.log.Info("stopping", "drain", window.String())
	if err = errors.Join(err, n.stop(window)); err == nil {
		p.log.Info("stopped")
	}
	return err
}

// errDrained ends a node that was told to at its admin listener.
var errDrained = errors.New("drained by its admin listener")

// waitFor waits for the end of ctx. Its cause is an error unless the program was
// told to stop.
func waitFor(ctx, program context.Context) error {
	<-ctx.Done()
	if cause := context.Cause(ctx); program.Err() == nil && !errors.Is(cause, errDrained) {
		return cause
	}
	return nil
}

func (c *serveCommand) start(p *program, fail context.CancelCauseFunc) (*node, error) {
	listener, err := c.Listen.listen(p.ctx)
	if err != nil {
		return nil, err
	}
	members := &c.Server.Members
	members.Advertise, err = advertised(members.Advertise, c.Listen.scheme(), listener.Addr(), net.InterfaceAddrs)
	if err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	b, err := c.Bus.open(p.log)
	if err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	ui, err := c.UI.open(p.log)
	if err != nil {
		return nil, errors.Join(err, listener.Close(), b.close())
	}
	n, err := newNode(hostAndPort(listener), listener, &c.Server, b, ui, p.log)
	if err != nil {
		return nil, err
	}
	if err = c.Admin.open(n, func() { fail(errDrained) }); err == nil {
		err = n.start([]pageNode{{Name: n.name}}, fail)
	}
	if err != nil {
		return nil, errors.Join(err, n.stop(0))
	}
	c.banner(p, n)
	return n, nil
}

// banner says what runs, and within which limits.
func (c *serveCommand) banner(p *program, n *node) {
	where := []any{
		"node", n.server.NodeID(), "address", n.listener.Addr().String(), "path", c.Server.Endpoint.Path,
		"page", fmt.Sprintf("%s://localhost:%d/", c.Listen.scheme(), n.port()), "prefix", c.Bus.Cluster.Prefix,
	}
	if n.admin != nil {
		where = append(where, "admin", n.admin.Addr().String())
	}
	if address := c.Server.Members.Advertise; address != "" {
		where = append(where, "advertise", address)
	}
	p.log.Info("serving", append(where, n.bus.attributes()...)...)
	times, limits := c.Server.Times, c.Server.Limits
	p.log.Info("limits",
		"ping_interval", times.PingInterval.String(), "ping_timeout", times.PingTimeout.String(), "connect_timeout", times.ConnectTimeout.String(),
		"max_payload", limits.MaxPayload, "max_send_queue_bytes", limits.MaxSendQueueBytes,
		"max_connections", limits.MaxConnections, "max_handshakes_per_second", limits.MaxHandshakesPerSecond,
		"recovery", c.Server.Recovery.Recovery.String(), "drain", c.Drain.String(),
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
