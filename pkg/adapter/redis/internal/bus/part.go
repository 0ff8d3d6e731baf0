package bus

import (
	"errors"
	"log/slog"
	"slices"

	"github.com/roomcast/roomcast/pkg/adapter"
)

// Part is what is known of one of the things that must all work: a lane, or the
// reader of a stream. It is safe for concurrent use, and none of its methods waits.
type Part struct {
	health *Health
	name   string
	topics func() []string
	// prove asks for Recovered to be called once more, if messages still make the whole
	// way. It does not wait. Nil says that nobody can be asked.
	prove func()

	// guarded by the Health's mutex
	phase   phase
	cause   error
	doubted bool // it was up, and has been asked whether it still is
	removed bool
}

// Connecting forgets what was known.
func (p *Part) Connecting() { p.enter(connecting, nil) }

// Recovered says that messages have made the whole way.
func (p *Part) Recovered() {
	changed, gap := p.enter(up, nil)
	if changed {
		p.health.logger.Info("redis: connected", slog.String("part", p.name))
	}
	p.health.logGap(gap)
}

// Lost says that messages do not travel, and why.
func (p *Part) Lost(cause error) {
	if changed, _ := p.enter(down, cause); changed {
		p.health.logger.Warn("redis: connection lost", slog.String("part", p.name), slog.String("error", cause.Error()))
	}
}

// Remove takes the part away: what it was for is done by others, or by nobody.
func (p *Part) Remove() {
	p.health.mu.Lock()
	var gap *adapter.Gap
	if !p.removed {
		p.removed = true
		p.health.parts = slices.DeleteFunc(p.health.parts, func(other *Part) bool { return other == p })
		gap = p.health.changedLocked(false)
	}
	p.health.mu.Unlock()
	p.health.logGap(gap)
}

// enter changes the phase. It says whether it was another one, and returns the gap that
// ended with it.
func (p *Part) enter(next phase, cause error) (changed bool, gap *adapter.Gap) {
	p.health.mu.Lock()
	defer p.health.mu.Unlock()
	if p.removed {
		return false, nil
	}
	was, doubted := p.phase, p.doubted
	p.phase, p.cause, p.doubted = next, cause, false
	if was != up && next == up && p.health.phase == down {
		p.health.doubtLocked(p)
	}
	p.health.cause = p.health.causeLocked()
	if was == next && !doubted {
		return false, nil
	}
	return was != next, p.health.changedLocked(was == up && next == down)
}

// check is Health.Check for this part alone.
func (p *Part) check() (changed <-chan struct{}, err error) {
	p.health.mu.Lock()
	defer p.health.mu.Unlock()
	return p.health.changed, p.phase.err(p.cause)
}

func (p *Part) isDown() bool {
	_, err := p.check()
	return errors.Is(err, adapter.ErrDegraded)
}

// Gap reports a time in which messages of other nodes may have been missed. During an
// outage gaps are made one, which is told of when that is over: so an outage is one gap,
// whatever number of servers it concerned, and whenever each was noticed.
func (p *Part) Gap(g adapter.Gap) {
	p.setTopics(&g)
	h := p.health
	h.mu.Lock()
	if h.gap != nil {
		g = merge(*h.gap, g)
	}
	h.gap = &g
	var ended *adapter.Gap
	if h.phase == up {
		ended = h.changedLocked(false)
	}
	h.mu.Unlock()
	h.logGap(ended)
}

// merge returns a gap that covers two.
func merge(a, b adapter.Gap) adapter.Gap {
	if b.From.Before(a.From) {
		a.From = b.From
	}
	if b.To.After(a.To) {
		a.To = b.To
	}
	a.Topics = slices.Concat(a.Topics, b.Topics)
	slices.Sort(a.Topics)
	a.Topics = slices.Compact(a.Topics)
	a.Missed += b.Missed
	return a
}

// LogGap reports that a log had lost entries before they were read.
func (p *Part) LogGap(g adapter.Gap) {
	p.report(g, &p.health.status.LogGaps, "redis: entries of the log were trimmed before they were read")
}

// LogReset reports that a log was empty, or another one than before.
func (p *Part) LogReset(g adapter.Gap) {
	p.report(g, &p.health.status.LogResets, "redis: the log is not the one that it was")
}

func (p *Part) report(g adapter.Gap, count *uint64, text string) {
	p.setTopics(&g)
	p.health.mu.Lock()
	*count++
	p.health.tellLocked(adapter.Event{Gap: &g})
	p.health.mu.Unlock()
	p.health.log(text, &g)
}

// setTopics fills in which topics g concerns, and sorts them.
func (p *Part) setTopics(g *adapter.Gap) {
	if g.Topics == nil && p.topics != nil {
		g.Topics = p.topics()
	}
	slices.Sort(g.Topics)
	g.Topics = slices.Compact(g.Topics)
}

func (h *Health) logGap(g *adapter.Gap) {
	if g != nil {
		h.log("redis: messages of other nodes may have been missed", g)
	}
}

// loggedTopics bounds a line of the log.
const loggedTopics = 16

func (h *Health) log(text string, g *adapter.Gap) {
	h.logger.Warn(text, slog.Time("from", g.From), slog.Time("to", g.To), slog.Uint64("missed", g.Missed),
		slog.Int("topics", len(g.Topics)), slog.Any("first", g.Topics[:min(len(g.Topics), loggedTopics)]))
}

// Repeated counts entries of a log that were there more than once.
func (p *Part) Repeated(n int) { p.health.repeated.Add(uint64(n)) }

// Drop is Health.Drop by the words of adapter.Status. A word that is none of them
// counts as "malformed".
func (p *Part) Drop(reason string, n int) {
	why := Malformed
	if i := slices.Index(reasonNames[:], reason); i >= 0 {
		why = Reason(i)
	}
	p.health.Drop(why, n, slog.String("part", p.name))
}
