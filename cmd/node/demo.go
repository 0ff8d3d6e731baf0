package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strconv"
	"sync"

	"github.com/alicebob/miniredis/v2"
)

// demoCommand runs a cluster in this process.
type demoCommand struct {
	Nodes   int      `default:"3" min:"1" max:"16" help:"Number of nodes."`
	Listen  string   `default:"127.0.0.1:3000" placeholder:"ADDRESS" form:"address" help:"Address of the load balancer; the nodes take the next ports. With port 0 each takes a free one."`
	Redis   string   `placeholder:"URL" form:"redis-url" secret:"url" help:"Redis that connects the nodes. Default: one inside this process."`
	Adapter string   `default:"pubsub" placeholder:"pubsub|sharded|streams" allowed:"pubsub,sharded,streams" help:"How the nodes are connected. The Redis inside this process has no sharded publish/subscribe."`
	Log     logFlags `embed:"" prefix:"log-" group:"Logging"`
}

// check refuses what cannot be carried out, before anything starts.
func (c *demoCommand) check(s settings) error {
	if _, _, err := c.address(); err != nil {
		return fmt.Errorf("%s %w", s.written(s.find("listen")), err)
	}
	if c.Redis == "" && c.Adapter == adapterSharded {
		return fmt.Errorf("%s needs --redis: the Redis inside this process has no sharded publish/subscribe", s.written(s.find("adapter")))
	}
	return nil
}

// bus says how the nodes are connected over the Redis at url.
func (c *demoCommand) bus(url string) *busFlags {
	return &busFlags{Redis: redisFlags{Redis: url}, Cluster: busOptions{Adapter: c.Adapter, Prefix: "roomcast-demo"}}
}

// address splits --listen.
func (c *demoCommand) address() (host string, port int, err error) {
	host, text, err := net.SplitHostPort(c.Listen)
	if err == nil {
		port, err = strconv.Atoi(text)
	}
	if err != nil || port < 0 || port+c.Nodes > 65535 {
		return "", 0, errors.New("must be HOST:PORT with a number, and one port after it for each node")
	}
	return host, port, nil
}

// Run serves until the program is told to stop.
func (c *demoCommand) Run(p *program) error {
	p.log = c.Log.logger(p.errOut, slog.LevelWarn) // its reader is a person, who wants the addresses
	ctx, fail := context.WithCancelCause(p.ctx)
	defer fail(nil)
	d, err := c.start(p, fail)
	if err == nil {
		d.banner(p.out)
		err = waitFor(ctx, p.ctx)
	}
	return errors.Join(err, d.stop())
}

// demo is a cluster in one process.
type demo struct {
	redis    *miniredis.Miniredis // nil when it is somebody else's
	nodes    []*node
	balancer *balancer // nil until all nodes serve
}

// start returns what it has started, also together with an error.
func (c *demoCommand) start(p *program, fail context.CancelCauseFunc) (*demo, error) {
	d := &demo{}
	url := c.Redis
	if url == "" {
		embedded, err := miniredis.Run()
		if err != nil {
			return d, fmt.Errorf("embedded Redis: %w", err)
		}
		d.redis = embedded
		url = "redis://" + embedded.Addr()
	}
	front, err := c.listen(0)
	if err != nil {
		return d, err
	}
	if err := c.startNodes(p, d, url, fail); err != nil {
		return d, errors.Join(err, front.Close())
	}
	d.balancer = newBalancer(front, d.nodes[0].path, d.nodes, p.log)
	d.balancer.start(fail)
	return d, nil
}

// startNodes adds the nodes to d.
func (c *demoCommand) startNodes(p *program, d *demo, url string, fail context.CancelCauseFunc) error {
	flags, secret := c.bus(url), rand.Text()
	for i := range c.Nodes {
		n, err := c.newNode(p, i+1, flags, secret)
		if err != nil {
			return err
		}
		d.nodes = append(d.nodes, n)
	}
	var links []pageNode
	for _, n := range d.nodes {
		links = append(links, pageNode{Name: n.name, Port: n.port()})
	}
	for _, n := range d.nodes {
		if err := n.start(links, fail); err != nil {
			return err
		}
	}
	return nil
}

// listen takes the balancer's address, for i = 0, or that of node number i.
func (c *demoCommand) listen(i int) (net.Listener, error) {
	host, port, err := c.address()
	if err != nil {
		return nil, err
	}
	if port != 0 {
		port += i
	}
	listener, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(port)))
	if err != nil {
		return nil, fmt.Errorf("%w; choose other ports with --listen", err)
	}
	return listener, nil
}

// newNode makes node number i of those that share secret, with connections of its own, as
// if it were alone in its process.
func (c *demoCommand) newNode(p *program, i int, flags *busFlags, secret string) (*node, error) {
	server, err := defaultServerFlags()
	if err != nil {
		return nil, err
	}
	listener, err := c.listen(i)
	if err != nil {
		return nil, err
	}
	server.Members.Advertise = "http://" + reachable(listener.Addr().(*net.TCPAddr))
	server.Members.ClusterSecret = secret
	name := fmt.Sprintf("node-%d", i)
	log := p.log.With("node", name)
	b, err := flags.open(log)
	if err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	return newNode(name, listener, server, b, nil, log)
}

// banner says where to look.
func (d *demo) banner(out io.Writer) {
	fmt.Fprintf(out, "%d nodes, one room. Open this in two tabs, they are on different nodes and hear each other:\n\n", len(d.nodes))
	fmt.Fprintf(out, "  http://%s/\n\nThe nodes behind it, one by one:\n\n", reachable(d.balancer.listener.Addr().(*net.TCPAddr)))
	for _, n := range d.nodes {
		fmt.Fprintf(out, "  %s  http://%s/\n", n.name, reachable(n.listener.Addr().(*net.TCPAddr)))
	}
	fmt.Fprintf(out, "\nCtrl-C ends it.\n")
}

// reachable is an address that a browser on this machine can open.
func reachable(a *net.TCPAddr) string {
	if a.IP.IsUnspecified() {
		return net.JoinHostPort("localhost", strconv.Itoa(a.Port))
	}
	return a.String()
}

// stop ends all nodes at the same time, since each may have to wait for its clients, and
// then the balancer.
func (d *demo) stop() error {
	var wg sync.WaitGroup
	errs := make([]error, len(d.nodes))
	for i, n := range d.nodes {
		wg.Go(func() { errs[i] = n.stop(0) })
	}
	wg.Wait()
	if d.balancer != nil {
		errs = append(errs, d.balancer.stop())
	}
	if d.redis != nil {
		d.redis.Close()
	}
	return errors.Join(errs...)
}
