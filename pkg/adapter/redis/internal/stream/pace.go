package stream

import "sync/atomic"

// maxReplyBytes is about how large a reply with entries may become. It bounds memory,
// and what has to cross a slow network within one time limit.
const maxReplyBytes = 4 << 20

// pace says how many entries to ask for at once, by the size of those that came. It is
// safe for concurrent use.
type pace struct {
	average atomic.Int64 // bytes of an entry, about
}

// count returns how many entries to ask for, between one and most.
func (p *pace) count(most int64) int {
	return int(max(1, min(most, maxReplyBytes/max(p.average.Load(), 1))))
}

// had notes that so many entries came with so many bytes.
func (p *pace) had(entries, bytes int) {
	if entries > 0 {
		p.average.Store((p.average.Load() + int64(bytes/entries)) / 2)
	}
}

// failed makes the next replies smaller: this one may have been too large for its time.
func (p *pace) failed() {
	p.average.Store(min(max(4*p.average.Load(), maxReplyBytes/256), maxReplyBytes))
}
