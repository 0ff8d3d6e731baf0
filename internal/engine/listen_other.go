//go:build !linux

package engine

import "syscall"

// deferAccept is nil where connections come as soon as they are there.
var deferAccept func(network, address string, listener syscall.RawConn) error
