package cluster

import (
	"context"
	"errors"
	"sync"

	"github.com/roomcast/roomcast/pkg/adapter"
)

// answers sends responses in the order of its calls, and from the first moment on: a
// request may arrive before Join knows the link, and deliver must not wait for that.
type answers struct {
	traffic *traffic

	mu    sync.Mutex
	link  adapter.Link       // nil until early is on its way
	early []*adapter.Message // were sent before
}

func (a *answers) send(ctx context.Context, m *adapter.Message) error {
	a.mu.Lock()
	link := a.link
	if link == nil {
		a.early = append(a.early, m)
	}
	a.mu.Unlock()
	if link == nil {
		return nil
	}
	return a.traffic.publish(ctx, link, m)
}

// open sends what is early, and has the rest sent directly.
func (a *answers) open(ctx context.Context, link adapter.Link) error {
	var errs []error
	for {
		a.mu.Lock()
		early := a.early
		a.early = nil
		if len(early) == 0 {
			a.link = link
			a.mu.Unlock()
			return errors.Join(errs...)
		}
		a.mu.Unlock()
		for _, m := range early {
			errs = append(errs, a.traffic.publish(ctx, link, m))
		}
	}
}

// answer returns the function that answers r, which asker has sent. Neither keeps r,
// which is the handler's.
func (t *Topic) answer(asker adapter.NodeID, r *adapter.Request) func(*adapter.Response) {
	id, action := r.ID, r.Action
	return func(response *adapter.Response) {
		if id == "" {
			return
		}
		response.ID, response.Action = id, action
		if asker == t.node.id {
			t.node.calls.answered(asker, response)
			return
		}
		m := &adapter.Message{From: t.node.id, To: asker, Kind: adapter.KindResponse, Response: response}
		t.warnUnanswered(t.answers.send(t.ctx, m))
	}
}

// warnUnanswered logs why an answer was not sent: the asker will wait in vain.
func (t *Topic) warnUnanswered(err error) {
	if err != nil && !errors.Is(err, adapter.ErrClosed) {
		t.node.options.Logger.Warn("cluster: request was not answered", "namespace", t.namespace, "error", err)
	}
}
