package redis

import (
	"context"
	"crypto/rand"
	"sync"
)

// bus is what an adapter's links share: a connection to publish, one to
// subscribe, and the goroutines that run them.
type bus struct {
	publisher  *publisher
	subscriber *subscriber

	cancel context.CancelFunc
	owner  sync.WaitGroup
	counts sync.WaitGroup // questions that are being asked; a link that is open begins them
	ended  chan struct{}  // closed when the goroutines have ended
}

// startBus starts the goroutines. Their context is the root of the bus's life: it
// must outlive the call of Join that happens to be the first one.
func startBus(a *Adapter) *bus {
	ctx, cancel := context.WithCancel(context.Background())
	a.health.connecting()
	p := newPublisher(a.client, a.opts, a.timing, a.health)
	s := newSubscriber(a.client, a.timing, a.health, p, a.opts.Prefix+"-roomcast#probe#"+rand.Text()+"#")
	b := &bus{publisher: p, subscriber: s, cancel: cancel, ended: make(chan struct{})}
	b.owner.Go(func() {
		defer close(b.ended)
		defer a.health.connecting()
		var both sync.WaitGroup
		both.Go(func() { p.run(ctx) })
		both.Go(func() { s.run(ctx) })
		both.Wait()
		b.counts.Wait()
	})
	return b
}

// stop ends the goroutines and waits for them, no longer than ctx.
func (b *bus) stop(ctx context.Context) error {
	b.cancel()
	select {
	case <-b.ended:
		b.owner.Wait()
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
