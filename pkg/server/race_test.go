//go:build race

package server_test

// raceEnabled says that pools drop at random, so that allocations cannot be counted.
const raceEnabled = true
