//go:build !linux

package process

import "os/exec"

// dieWithParent does nothing: this system has no such order. Children end by Kill.
func dieWithParent(*exec.Cmd) {}
