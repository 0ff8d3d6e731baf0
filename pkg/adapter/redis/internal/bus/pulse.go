package bus

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"strings"
	"sync"
	"time"
)

// pulse is what a lane knows of its probes, which are published and come back. Only
// those of the present connection count, each once and in order, so that nobody who
// repeats one makes a dead lane look alive. It is safe for concurrent use.
type pulse struct {
	key []byte // signs the probes; nil leaves them unsigned

	mu      sync.Mutex
	begun   time.Time // of the present connection
	serial  uint64    // of the present connection
	last    int64     // when the newest that came back was sent; see now
	proven  time.Time // the same, also of earlier connections; zero before the first
	echoed  time.Time // when it came back, or the connection began
	pending int       // those that Redis has taken since
}

// begin begins a connection.
func (p *pulse) begin() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.serial++
	p.begun = time.Now()
	p.echoed = p.begun
	p.last, p.pending = 0, 0
}

// now is the time as probes say it: one and the nanoseconds since the connection began.
func (p *pulse) now() int64 { return 1 + int64(time.Since(p.begun)) }

// append appends what a probe on channel says.
func (p *pulse) append(dst []byte, channel string) []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.signed(dst, channel, p.serial, p.now())
}

// appendMark appends what is genuine and proves nothing, as if it came from a connection
// before the first.
func (p *pulse) appendMark(dst []byte, channel string, number int64) []byte {
	return p.signed(dst, channel, 0, number)
}

func (p *pulse) signed(dst []byte, channel string, serial uint64, number int64) []byte {
	from := len(dst)
	dst = strconv.AppendUint(dst, serial, 10)
	dst = append(dst, '.')
	dst = strconv.AppendInt(dst, number, 10)
	if p.key != nil {
		text := string(dst[from:])
		dst = append(dst, '.')
		dst = append(dst, p.signature(channel, text)...)
	}
	return dst
}

func (p *pulse) signature(channel, text string) string {
	mac := hmac.New(sha256.New, p.key)
	mac.Write([]byte("probe " + strconv.Itoa(len(channel)) + " " + channel + text))
	return hex.EncodeToString(mac.Sum(nil))
}

// echo takes what has come back on channel. Genuine says that it is a probe of this
// lane's, proof that it is one that counts.
func (p *pulse) echo(channel, text string) (genuine, proof bool) {
	if p.key != nil {
		i := strings.LastIndexByte(text, '.')
		if i < 0 || !hmac.Equal([]byte(text[i+1:]), []byte(p.signature(channel, text[:i]))) {
			return false, false
		}
		text = text[:i]
	}
	first, second, _ := strings.Cut(text, ".")
	serial, err1 := strconv.ParseUint(first, 10, 64)
	sent, err2 := strconv.ParseInt(second, 10, 64)
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case err1 != nil || err2 != nil || sent <= 0 || serial > p.serial || serial == p.serial && sent > p.now():
		return false, false
	case serial < p.serial || sent <= p.last:
		return true, false
	}
	p.last = sent
	p.proven, p.echoed, p.pending = p.begun.Add(time.Duration(sent-1)), time.Now(), 0
	return true, true
}

// void makes the probes that are under way prove nothing.
func (p *pulse) void() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.last = p.now()
}

// taken notes that Redis has taken a probe.
func (p *pulse) taken() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pending++
}

// silence returns for how long nothing has come back, and how many probes Redis has
// taken meanwhile.
func (p *pulse) silence() (d time.Duration, taken int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return time.Since(p.echoed), p.pending
}

// roundTrip returns how long the newest probe that came back took.
func (p *pulse) roundTrip() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.echoed.Sub(p.proven)
}

// provenAt returns until when all that was published has arrived, zero if that was
// never known.
func (p *pulse) provenAt() time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.proven
}
