//go:build park_at_once

package engine

import "time"

// defaultParkAfter parks every connection as soon as it may be, for tests.
const defaultParkAfter = time.Nanosecond
