//go:build race

package packet

// raceEnabled says that pools drop at random, so that allocations cannot be counted.
const raceEnabled = true
