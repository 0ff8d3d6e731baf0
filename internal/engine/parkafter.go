//go:build !park_at_once && !park_never

package engine

import "time"

// defaultParkAfter is Options.ParkAfter's default. All tests pass also with the build
// tags park_at_once and park_never, which replace it.
const defaultParkAfter = 250 * time.Millisecond
