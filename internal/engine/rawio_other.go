//go:build !unix

package engine

import (
	"errors"
	"net"
	"syscall"
)

// rawConnOf returns nil: without non-blocking calls on a descriptor every
// connection is read and written through net.Conn.
func rawConnOf(net.Conn) syscall.RawConn { return nil }

func readFD(uintptr, []byte) (int, bool, error) { return 0, true, errors.ErrUnsupported }

func writeFD(uintptr, []byte) (int, bool, error) { return 0, true, errors.ErrUnsupported }
