//go:build unix

package port

import (
	"fmt"
	"net"
	"os"
	"syscall"
)

// Reserve takes a free port of 127.0.0.1 without listening on it: connections are
// refused, and the system gives the port to nobody else, as the near end of a connection
// neither. Who listens with SO_REUSEADDR, as Go and Redis do, may use it all the same.
func Reserve() (addr string, release func(), err error) {
	descriptor, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		return "", nil, fmt.Errorf("port: %w", os.NewSyscallError("socket", err))
	}
	syscall.CloseOnExec(descriptor)
	release = func() { _ = syscall.Close(descriptor) } // nothing was written
	defer func() {
		if err != nil {
			release()
		}
	}()
	if err := syscall.SetsockoptInt(descriptor, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1); err != nil {
		return "", nil, fmt.Errorf("port: %w", os.NewSyscallError("setsockopt", err))
	}
	if err := syscall.Bind(descriptor, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return "", nil, fmt.Errorf("port: %w", os.NewSyscallError("bind", err))
	}
	name, err := syscall.Getsockname(descriptor)
	if err != nil {
		return "", nil, fmt.Errorf("port: %w", os.NewSyscallError("getsockname", err))
	}
	port := name.(*syscall.SockaddrInet4).Port
	return net.JoinHostPort("127.0.0.1", fmt.Sprint(port)), release, nil
}
