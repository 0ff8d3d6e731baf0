package engine

import (
	"fmt"
	"os"
	"syscall"
)

// canPark says that connections can be parked on this system.
const canPark = true

// pollEvent says that a descriptor has something to read.
type pollEvent struct {
	descriptor int
	generation int32
}

// pollSet is a set of descriptors of which each is reported once when it has
// something to read. The set waits in the runtime's own poller, as a connection
// would, so that waiting for it takes no thread.
type pollSet struct {
	file  *os.File
	epoll int
	raw   syscall.RawConn

	found  [128]syscall.EpollEvent // used by wait, as are the following
	events []pollEvent
	err    error
}

func openPollSet() (*pollSet, error) {
	epoll, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("engine: epoll: %w", err)
	}
	if err = syscall.SetNonblock(epoll, true); err != nil { // the runtime polls nothing else
		_ = syscall.Close(epoll) // the other error matters
		return nil, fmt.Errorf("engine: epoll: %w", err)
	}
	s := &pollSet{file: os.NewFile(uintptr(epoll), "epoll"), epoll: epoll}
	s.raw, err = s.file.SyscallConn()
	return s, err
}

// watch has a descriptor reported, once, with a generation.
func (s *pollSet) watch(descriptor int, generation int32) error {
	event := syscall.EpollEvent{Events: syscall.EPOLLIN | syscall.EPOLLONESHOT, Fd: int32(descriptor), Pad: generation}
	err := syscall.EpollCtl(s.epoll, syscall.EPOLL_CTL_MOD, descriptor, &event)
	if err == syscall.ENOENT {
		err = syscall.EpollCtl(s.epoll, syscall.EPOLL_CTL_ADD, descriptor, &event)
	}
	return err
}

// forget takes a descriptor out of the set.
func (s *pollSet) forget(descriptor int) {
	_ = syscall.EpollCtl(s.epoll, syscall.EPOLL_CTL_DEL, descriptor, &syscall.EpollEvent{}) // fails only if it is not there
}

// wait blocks until a descriptor is reported, or the set is closed. What it
// returns is valid until the next call.
func (s *pollSet) wait() ([]pollEvent, error) {
	if err := s.raw.Read(s.collect); err != nil {
		return nil, err
	}
	return s.events, s.err
}

// collect is called by the runtime's poller when there may be something.
func (s *pollSet) collect(uintptr) bool {
	n, err := syscall.EpollWait(s.epoll, s.found[:], 0)
	for err == syscall.EINTR {
		n, err = syscall.EpollWait(s.epoll, s.found[:], 0)
	}
	if n == 0 && err == nil {
		return false
	}
	s.err, s.events = err, s.events[:0]
	for _, event := range s.found[:max(n, 0)] {
		s.events = append(s.events, pollEvent{int(event.Fd), event.Pad})
	}
	return true
}

// close makes wait fail.
func (s *pollSet) close() { _ = s.file.Close() } // nothing could be done about it
