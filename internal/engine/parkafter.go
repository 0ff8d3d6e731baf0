//go:build !park_at_once && !park_never

package engine

import "time"

// defaultParkAfter is Options.ParkAfter's default. The tests of this package and of
// pkg/server pass also with the build tags park_at_once and park_never, which replace it.
const defaultParkAfter = 250 * time.Millisecond
