package stream

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	goredis "github.com/redis/go-redis/v9"
)

// maxRedirects bounds how often Redis may send a command elsewhere without a pause.
const maxRedirects = 5

// place knows which server has the stream. It is safe for concurrent use.
type place struct {
	client goredis.UniversalClient
	name   string

	mu     sync.Mutex
	addr   string // where Redis has sent us last, or empty
	asking bool   // the slot is on its way to addr
}

// errClient means that the client is of a kind that cannot be asked for one server.
var errClient = errors.New("stream: the client is neither a Client nor a ClusterClient")

// find returns the client of the server that has the stream, and whether commands
// must be led by ASKING.
func (p *place) find(ctx context.Context) (client *goredis.Client, asking bool, err error) {
	switch c := p.client.(type) {
	case *goredis.Client:
		return c, false, nil
	case *goredis.ClusterClient:
		p.mu.Lock()
		addr, asking := p.addr, p.asking
		p.mu.Unlock()
		if addr != "" {
			if client := nodeAt(ctx, c, addr); client != nil {
				return client, asking, nil
			}
		}
		client, err := c.MasterForKey(ctx, p.name)
		if err != nil {
			return nil, false, fmt.Errorf("stream: find the owner of %q: %w", p.name, err)
		}
		return client, false, nil
	}
	return nil, false, fmt.Errorf("%w: %T", errClient, p.client)
}

// nodeAt returns the client of the cluster's server at addr, or nil.
func nodeAt(ctx context.Context, cluster *goredis.ClusterClient, addr string) *goredis.Client {
	var mu sync.Mutex
	var found *goredis.Client
	_ = cluster.ForEachShard(ctx, func(_ context.Context, c *goredis.Client) error {
		if c.Options().Addr == addr {
			mu.Lock()
			found = c
			mu.Unlock()
		}
		return nil
	})
	return found
}

// follow says whether err is a MOVED or ASK, and notes where it points to.
func (p *place) follow(err error) bool {
	r, ok := errors.AsType[refusal](err)
	if !ok || !r.is("MOVED", "ASK") {
		return false
	}
	words := strings.Fields(string(r))
	if len(words) != 3 {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.addr, p.asking = words[2], words[0] == "ASK"
	return true
}

// forget gives up what Redis has said: the server that it named does not answer. The
// topology is asked for again.
func (p *place) forget(ctx context.Context) {
	cluster, ok := p.client.(*goredis.ClusterClient)
	if !ok {
		return
	}
	p.mu.Lock()
	p.addr, p.asking = "", false
	p.mu.Unlock()
	cluster.ReloadState(ctx)
}

// sent says whether Redis sends c elsewhere.
func (p *place) sent(c command) bool { return p.follow(c.refused()) }

// run implements commander through the client's pool, following where Redis points.
func (p *place) run(ctx context.Context, commands ...command) error {
	for redirects := 0; ; redirects++ {
		client, asking, err := p.find(ctx)
		if err != nil {
			return err
		}
		err = exec(ctx, client.Pipeline(), asking, commands)
		_, refused := errors.AsType[refusal](err)
		switch {
		case refused && redirects < maxRedirects && slices.ContainsFunc(commands, p.sent):
			continue
		case err != nil && !refused:
			p.forget(ctx)
		}
		return err
	}
}
