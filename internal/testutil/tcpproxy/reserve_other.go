//go:build !unix

package tcpproxy

// reserve leaves the choice to the first listener. While that is closed, somebody else
// may get its port.
func reserve() (addr string, release func(), err error) { return "127.0.0.1:0", func() {}, nil }
