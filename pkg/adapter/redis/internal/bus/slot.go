package bus

import (
	"strconv"
	"strings"
	"sync"
)

// slots is how many hash slots a Redis Cluster has.
const slots = 16384

// slotOf returns the hash slot of a channel: that of what stands between its first
// brace and the next closing one, unless that is nothing, else of all of it. See
// "Key distribution model" in the specification of Redis Cluster.
func slotOf(name string) int {
	if _, rest, ok := strings.Cut(name, "{"); ok {
		if tag, _, ok := strings.Cut(rest, "}"); ok && tag != "" {
			name = tag
		}
	}
	crc := uint16(0)
	for i := range len(name) {
		crc = crc<<8 ^ crcTable[byte(crc>>8)^name[i]]
	}
	return int(crc % slots)
}

// crcTable is for CRC-16/XMODEM.
var crcTable = func() (table [256]uint16) {
	const polynomial = 0x1021
	for i := range table {
		crc := uint16(i) << 8
		for range 8 {
			carry := crc&0x8000 != 0
			if crc <<= 1; carry {
				crc ^= polynomial
			}
		}
		table[i] = crc
	}
	return table
}()

// nameOfSlot returns a short name for each slot: the client says who owns a name, not
// who owns a slot.
var nameOfSlot = sync.OnceValue(func() *[slots]string {
	names := new([slots]string)
	for i, missing := 0, slots; missing > 0; i++ {
		name := strconv.Itoa(i)
		if s := slotOf(name); names[s] == "" {
			names[s] = name
			missing--
		}
	}
	return names
})
