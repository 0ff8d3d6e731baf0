package engine

import (
	"context"
	"net"
	"runtime"
)

// Listen is net.Listen for clients that speak first, as those of HTTP and TLS do: on Linux
// a connection is there only when its client has sent something, or after a second. So of a
// crowd that comes at once nobody has a goroutine and buffers while it waits for its turn to
// send, and the memory that all sessions of the crowd will keep is not scattered among those.
func Listen(ctx context.Context, network, address string) (net.Listener, error) {
	config := net.ListenConfig{Control: deferAccept}
	l, err := config.Listen(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return listener{l}, nil
}

// listener lets those who were accepted before go on first. The program accepts a crowd
// faster than it can serve it: the rest waits in the kernel, which needs less for it, and
// whoever else has something to do gets a processor sooner.
type listener struct{ net.Listener }

func (l listener) Accept() (net.Conn, error) {
	runtime.Gosched()
	return l.Listener.Accept()
}
