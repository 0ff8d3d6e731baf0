package engine

import (
	"context"
	"net"
)

// Listen is net.Listen for clients that speak first, as those of HTTP and TLS do: on Linux
// a connection is there only when its client has sent something, or after a second. So of a
// crowd that comes at once nobody has a goroutine and buffers while it waits for its turn to
// send, and the memory that all sessions of the crowd will keep is not scattered among those.
func Listen(ctx context.Context, network, address string) (net.Listener, error) {
	config := net.ListenConfig{Control: deferAccept}
	return config.Listen(ctx, network, address)
}
