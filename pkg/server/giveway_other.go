//go:build !linux

package server

import "runtime"

// giveWay lets other goroutines go first.
func giveWay() {
	runtime.Gosched()
}
