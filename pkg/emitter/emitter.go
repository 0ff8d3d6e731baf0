package emitter

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"

	"github.com/roomcast/roomcast/pkg/adapter"
	"github.com/roomcast/roomcast/pkg/packet"
)

// node is who all emitters are to the nodes of a cluster. It need not be unique,
// since nobody answers an emitter; Node.js calls its own so too.
const node adapter.NodeID = "emitter"

// maxNamespaceLength is what servers accept unless they are told otherwise.
const maxNamespaceLength = 512

// Options configures an Emitter. The zero value is a good choice.
type Options struct {
	// MaxAttachments is the largest number of binary parts of an event. Zero means
	// 10, which is what servers and official clients accept; a negative value is an
	// error.
	MaxAttachments int
	// Logger gets a line when a namespace is joined while the backend is away. Nil
	// means slog.Default().
	Logger *slog.Logger
}

// Emitter sends to the sockets of a cluster without being a node of it. It starts
// no goroutine. All methods are safe for concurrent use.
type Emitter struct {
	adapter adapter.Adapter
	options Options

	mu     sync.Mutex
	closed bool
	topics map[string]*topic // one for each namespace that was used; each stays until Close
}

// New returns an Emitter over a, which the nodes use too. It does not use the
// network. It fails for a nil adapter and for a negative option.
func New(a adapter.Adapter, options Options) (*Emitter, error) {
	if a == nil {
		return nil, errors.New("emitter: adapter is nil")
	}
	if options.MaxAttachments < 0 {
		return nil, errors.New("emitter: option MaxAttachments is negative")
	}
	options.MaxAttachments = cmp.Or(options.MaxAttachments, 10)
	if options.Logger == nil {
		options.Logger = slog.Default()
	}
	return &Emitter{adapter: a, options: options, topics: make(map[string]*topic)}, nil
}

// Of returns the namespace of that name; a slash is added in front if missing. It
// does not use the network. What is sent to a name that cannot be one (with a
// comma, or longer than 512 bytes) fails with ErrNamespace.
func (e *Emitter) Of(name string) Namespace {
	if !strings.HasPrefix(name, packet.DefaultNamespace) {
		name = packet.DefaultNamespace + name
	}
	return Namespace{emitter: e, name: name}
}

// To selects the sockets of the namespace "/" that are in any of rooms.
func (e *Emitter) To(rooms ...string) Broadcast { return e.Of(packet.DefaultNamespace).To(rooms...) }

// Emit sends event to all sockets of the namespace "/". See Broadcast.Emit.
func (e *Emitter) Emit(ctx context.Context, event string, args ...any) error {
	return e.Of(packet.DefaultNamespace).Emit(ctx, event, args...)
}

// Close leaves all namespaces and hands what is queued to the backend. It waits no
// longer than ctx and then returns an error that wraps ctx's. Closing twice is
// harmless; each call waits. The adapter remains the caller's.
func (e *Emitter) Close(ctx context.Context) error {
	var errs []error
	for _, t := range e.close() {
		if err := t.close(ctx); err != nil {
			errs = append(errs, fmt.Errorf("emitter: close %q: %w", t.namespace, err))
		}
	}
	return errors.Join(errs...)
}

// close refuses further use and returns the namespaces that are to be left.
func (e *Emitter) close() []*topic {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.closed = true
	topics := make([]*topic, 0, len(e.topics))
	for _, t := range e.topics {
		topics = append(topics, t)
	}
	return topics
}

// topic returns the topic of a namespace, which may not be joined yet.
func (e *Emitter) topic(namespace string) (*topic, error) {
	if len(namespace) > maxNamespaceLength || strings.Contains(namespace, ",") {
		return nil, fmt.Errorf("%w: %.64q", ErrNamespace, namespace)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return nil, ErrClosed
	}
	t := e.topics[namespace]
	if t == nil {
		t = newTopic(e, namespace)
		e.topics[namespace] = t
	}
	return t, nil
}

// publish sends m to the nodes of a namespace.
func (e *Emitter) publish(ctx context.Context, namespace string, m *adapter.Message) error {
	t, err := e.topic(namespace)
	if err != nil {
		return err
	}
	link, err := t.join(ctx)
	if err == nil {
		m.From = node
		err = link.Publish(ctx, m)
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, adapter.ErrClosed): // by Close, since the topic was found
		return ErrClosed
	}
	return fmt.Errorf("emitter: publish to %q: %w", namespace, err)
}

// encodeEvent encodes an event and its arguments as a packet of a namespace.
func (e *Emitter) encodeEvent(namespace, event string, args []any) (packet.Packet, error) {
	data, attachments, err := packet.MarshalEvent(event, args...)
	if err != nil {
		return packet.Packet{}, fmt.Errorf("emitter: encode event: %w", err)
	}
	if n, limit := len(attachments), e.options.MaxAttachments; n > limit {
		return packet.Packet{}, fmt.Errorf("%w: %d, at most %d", ErrTooManyAttachments, n, limit)
	}
	return packet.Packet{Type: packet.Event, Namespace: namespace, Data: data, Attachments: attachments}, nil
}
