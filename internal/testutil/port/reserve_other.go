//go:build !unix

package port

import (
	"fmt"
	"net"
)

// Reserve returns an address of 127.0.0.1 on which nobody listens at the moment. Somebody
// else may get its port.
func Reserve() (addr string, release func(), err error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, fmt.Errorf("port: %w", err)
	}
	defer listener.Close()
	return listener.Addr().String(), func() {}, nil
}
