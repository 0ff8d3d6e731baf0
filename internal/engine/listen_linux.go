package engine

import "syscall"

// deferAcceptSeconds is when a client that says nothing is let in anyhow.
const deferAcceptSeconds = 1

// deferAccept has the kernel keep connections until they can be read. Where it cannot, they
// come at once.
func deferAccept(_, _ string, listener syscall.RawConn) error {
	return listener.Control(func(fd uintptr) {
		_ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_DEFER_ACCEPT, deferAcceptSeconds)
	})
}
