package router

import "sync/atomic"

// frameHead is what a frame of a client's has before its payload, if that is short: two
// bytes and the mask.
const frameHead = 2 + 4

// probe follows what a client sends until it is more than the probe, its first frame. One
// goroutine at a time may call sent.
type probe struct {
	seen int // bytes
	size int // of the first frame, 0 until it is known
	over atomic.Bool
}

// sent takes note of what the client has sent.
func (p *probe) sent(data []byte) {
	if p.over.Load() {
		return
	}
	if p.seen < 2 && p.seen+len(data) >= 2 {
		// A probe is shorter than 126 bytes. The size of a longer frame stands elsewhere,
		// and does not matter.
		p.size = frameHead + int(data[1-p.seen]&0x7f)
	}
	p.seen += len(data)
	if p.size > 0 && p.seen > p.size {
		p.over.Store(true)
	}
}
