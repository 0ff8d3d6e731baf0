//go:build !linux

package engine

import "errors"

// canPark says that no connection can be parked on this system: each keeps its
// goroutine.
const canPark = false

type pollEvent struct {
	descriptor int
	generation int32
}

type pollSet struct{}

func openPollSet() (*pollSet, error) { return nil, errors.ErrUnsupported }

func (*pollSet) watch(int, int32) error { return errors.ErrUnsupported }

func (*pollSet) forget(int) {}

func (*pollSet) wait() ([]pollEvent, error) { return nil, errors.ErrUnsupported }

func (*pollSet) close() {}
