package stream

// finding is what a comparison of the stream with the reader's position says.
type finding int

const (
	// whole: all that the reader has not read is there.
	whole finding = iota
	// trimmed: the oldest entries that the reader has not read are gone.
	trimmed
	// strange: the entry at the position is gone, and older ones are there. So it was
	// not trimmed: the stream lacks its end, or it is another one.
	strange
	// lost: the stream is empty, or another one.
	lost
)

// position is how far a reader has come.
type position struct {
	at id
	// count is how many entries were added to the stream up to at, or -1 if that is
	// not known.
	count int64
}

// judge compares the state of the stream with p. there says whether the entry at the
// position exists. The second result is the position with its count as it then is,
// and the third how many entries are missing.
func judge(p position, s state, there bool) (finding, position, uint64) {
	switch {
	case there && s.last == p.at:
		return judgeRead(p, s)
	case there && s.added >= 0 && s.added < p.count:
		return lost, p, 0 // another stream was begun meanwhile, and more is to be read of it
	case there:
		return whole, p, 0
	case p.at == id{}:
		return judgeTrimmed(p, s)
	case !s.exists || s.last.before(p.at) && s.length == 0:
		return lost, p, 0
	case s.last == p.at:
		return whole, p, 0
	case s.length == 0 || p.at.before(s.first):
		return judgeTrimmed(p, s)
	}
	return strange, p, 0
}

// judgeRead compares the counts when there is nothing left to read.
func judgeRead(p position, s state) (finding, position, uint64) {
	missed := s.added - p.count
	known := p.count >= 0 && s.added >= 0
	p.count = s.added
	switch {
	case known && missed > 0:
		return trimmed, p, uint64(missed) // behind an earlier position, unseen
	case known && missed < 0:
		return lost, p, 0 // another stream was begun meanwhile
	}
	return whole, p, 0
}

// judgeTrimmed says whether what was trimmed has been read.
func judgeTrimmed(p position, s state) (finding, position, uint64) {
	gone := s.trimmed()
	switch {
	case !s.exists:
		return whole, position{count: 0}, 0
	case gone < 0 && p.at == id{}, p.count < 0 && p.at == id{}:
		return whole, p, 0
	case gone < 0 || p.count < 0:
		p.count = gone
		return trimmed, p, 0
	case gone < p.count:
		return lost, p, 0 // fewer were ever added than were read
	case gone == p.count:
		return whole, p, 0
	}
	missed := uint64(gone - p.count)
	p.count = gone
	return trimmed, p, missed
}
