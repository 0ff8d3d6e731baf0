//go:build unix

package engine

import (
	"net"
	"syscall"
)

// rawConnOf returns access to the descriptor of a connection whose bytes go to
// it as they are, or nil.
func rawConnOf(conn net.Conn) syscall.RawConn {
	c, ok := conn.(syscall.Conn)
	if !ok {
		return nil
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return nil
	}
	return raw
}

// readFD reads without blocking. ready is false when there is nothing to read.
func readFD(fd uintptr, b []byte) (n int, ready bool, err error) {
	return once(syscall.Read, fd, b)
}

// writeFD writes without blocking. ready is false when there is no room.
func writeFD(fd uintptr, b []byte) (n int, ready bool, err error) {
	return once(syscall.Write, fd, b)
}

func once(call func(int, []byte) (int, error), fd uintptr, b []byte) (int, bool, error) {
	for {
		n, err := call(int(fd), b)
		switch err {
		case nil:
			return n, true, nil
		case syscall.EINTR:
			continue
		case syscall.EAGAIN:
			return 0, false, nil
		}
		return 0, true, err
	}
}
