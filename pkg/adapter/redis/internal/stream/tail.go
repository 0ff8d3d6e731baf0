package stream

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// maxTailBytes bounds what a tail takes in memory.
const maxTailBytes = 16 << 20

// memoAge is how long what readers have made of entries is remembered after the last of
// them: they come in crowds, and it takes more memory than the entries.
const memoAge = 5 * time.Second

// tail keeps the newest entries that the reader has read, so that a thousand clients who
// come back in one moment do not each have Redis read the log.
type tail struct {
	maxLen int64

	kept atomic.Bool  // somebody wants it
	read atomic.Int64 // when somebody last read, in Unix ns; 0: nothing is remembered

	mu      sync.RWMutex
	begun   bool
	after   id // all entries behind this place are here
	end     id // up to this one
	entries []tailEntry
	bytes   int64
}

type tailEntry struct {
	*Entry
	at id
}

// compact returns a copy of e, without its Value, that holds no memory but its own texts':
// a received entry's are part of a reply, with room to spare.
func (e *Entry) compact() *Entry {
	text := e.ID + e.UID + e.Topic + e.Type + e.Data + e.Own
	cut := func(n int) (part string) {
		part, text = text[:n], text[n:]
		return part
	}
	return &Entry{
		ID: cut(len(e.ID)), UID: cut(len(e.UID)), Topic: cut(len(e.Topic)), Type: cut(len(e.Type)), Data: cut(len(e.Data)), Own: cut(len(e.Own)),
		memo: new(memo),
	}
}

// keep begins to keep what is read from then on.
func (t *tail) keep() { t.kept.Store(true) }

func (t *tail) wanted() bool { return t.kept.Load() }

// extend adds the entries behind from and up to last, of which repeats were left out.
// What does not continue the tail begins a new one.
func (t *tail) extend(from, last id, entries []tailEntry) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.begun || t.end != from {
		t.begun, t.after, t.entries, t.bytes = true, from, nil, 0
	}
	t.end = last
	for _, e := range entries {
		t.entries = append(t.entries, e)
		t.bytes += e.size()
	}
	gone := 0
	for gone < len(t.entries) && (t.bytes > maxTailBytes || int64(len(t.entries)-gone) > t.maxLen) {
		t.bytes -= t.entries[gone].size()
		t.after = t.entries[gone].at
		t.entries[gone] = tailEntry{}
		gone++
	}
	t.entries = t.entries[gone:]
	t.forget()
}

// forget gives up what is remembered if nobody has read for a while. The caller holds mu.
func (t *tail) forget() {
	read := t.read.Load()
	if read == 0 || time.Since(time.Unix(0, read)) < memoAge || !t.read.CompareAndSwap(read, 0) {
		return
	}
	for _, e := range t.entries {
		e.memo.Store(nil)
	}
}

// cut forgets everything: the log is not what it was.
func (t *tail) cut() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.begun, t.entries, t.bytes = false, nil, 0
}

// has says that at is a place of the tail.
func (t *tail) has(at id) bool {
	t.mu.RLock()
	defer t.mu.RUnlock()
	_, ok := t.behind(at)
	return ok
}

// behind returns the index of the first entry behind at, and false if at is no place of
// the tail. The caller holds mu.
func (t *tail) behind(at id) (int, bool) {
	if !t.begun || len(t.entries) == 0 {
		return 0, false
	}
	if at == t.after {
		return 0, true
	}
	i, found := slices.BinarySearchFunc(t.entries, at, func(e tailEntry, at id) int { return e.at.compare(at) })
	return i + 1, found
}

// since returns the entries of topic behind at and the place that they go up to, and
// false if at is no place of the tail.
func (t *tail) since(at id, topic string) (entries []*Entry, end id, ok bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	i, ok := t.behind(at)
	if !ok {
		return nil, id{}, false
	}
	t.read.Store(time.Now().UnixNano())
	entries = make([]*Entry, 0, len(t.entries)-i)
	for _, e := range t.entries[i:] {
		if e.Topic == topic {
			entries = append(entries, e.Entry)
		}
	}
	return entries, t.end, true
}
