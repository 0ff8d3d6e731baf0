//go:build park_never && !park_at_once

package engine

import "time"

// defaultParkAfter parks no connection, for tests.
const defaultParkAfter = -time.Nanosecond
