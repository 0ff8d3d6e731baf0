package stream

import (
	"strconv"
	"strings"
	"sync/atomic"
)

// Entry is what stands at one place of the log. It must not be changed after it was
// given to Append or received. The texts of a received one share memory with those of
// up to Config.ReadCount neighbours.
type Entry struct {
	// ID is its place, "<ms>-<seq>". Append does not look at it.
	ID string
	// UID, Topic, Type, Data and Own are the fields uid, nsp, type, data and roomcast.
	// An empty Own is not written.
	UID, Topic, Type, Data, Own string
	// Value is not written. An entry that comes back to the Log that appended it has
	// the Value that it had, as a rule: it does not when it had to wait for very long.
	Value any

	memo *memo // nil unless the entry is in the tail
}

// memo holds what Remember was given.
type memo = atomic.Pointer[any]

// Remember keeps what a reader has made of the entry for those who read it again from
// memory, until nobody has read there for a while. What is kept is shared, so nobody may
// change it.
func (e *Entry) Remember(v any) {
	if e.memo != nil {
		e.memo.Store(&v)
	}
}

// Remembered returns what Remember was given, or nil.
func (e *Entry) Remembered() any {
	if e.memo == nil {
		return nil
	}
	if v := e.memo.Load(); v != nil {
		return *v
	}
	return nil
}

// Names of fields.
const (
	fieldUID   = "uid"
	fieldTopic = "nsp"
	fieldType  = "type"
	fieldData  = "data"
	fieldOwn   = "roomcast"
	fieldSeq   = "seq"
	fieldMark  = "mac"
)

// entryOverhead is what an entry takes in memory beside its texts, so that a queue
// of tiny ones is bounded too.
const entryOverhead = 512

func (e *Entry) size() int64 {
	return int64(len(e.UID)+len(e.Topic)+len(e.Type)+len(e.Data)+len(e.Own)) + entryOverhead
}

// record is an entry as it was read.
type record struct {
	Entry
	at     id
	writer string // empty where the entry has no number
	number uint64
	seq    string
	mark   string
}

// maxWriterName bounds what a foreign entry makes us remember.
const maxWriterName = 32

// appendSeq writes who wrote an entry, and its number.
func appendSeq(b []byte, writer string, number uint64) []byte {
	b = append(b, writer...)
	b = append(b, '-')
	return strconv.AppendUint(b, number, 10)
}

// parseSeq reads what appendSeq writes. Anything else is no number.
func parseSeq(s string) (writer string, number uint64) {
	cut := strings.LastIndexByte(s, '-')
	if cut < 1 || cut > maxWriterName {
		return "", 0
	}
	n, ok := parseNumber(s[cut+1:])
	if !ok || n == 0 {
		return "", 0
	}
	return s[:cut], n
}

// record reads one entry: its id, and a list of names and values.
func (r *reply) record() record {
	var e record
	if r.array() != 2 {
		r.fail()
		return e
	}
	e.ID = r.text()
	at, ok := parseID(e.ID)
	if !ok {
		r.fail()
	}
	e.at = at
	fields := r.array()
	if fields%2 != 0 && fields != -1 {
		r.fail()
	}
	for range max(fields, 0) / 2 {
		name, value := r.text(), r.text()
		if r.err != nil {
			break
		}
		e.set(name, value)
	}
	return e
}

func (e *record) set(name, value string) {
	switch name {
	case fieldUID:
		e.UID = value
	case fieldTopic:
		e.Topic = value
	case fieldType:
		e.Type = value
	case fieldData:
		e.Data = value
	case fieldOwn:
		e.Own = value
	case fieldSeq:
		e.seq = value
		e.writer, e.number = parseSeq(value)
	case fieldMark:
		e.mark = value
	}
}

// records reads a list of entries. It believes the announced length only as far as
// the reply is long.
func (r *reply) records() []record {
	n := r.array()
	if n <= 0 || r.err != nil {
		return nil
	}
	const shortest = len("*2\r\n$3\r\n0-1\r\n*-1\r\n")
	list := make([]record, 0, min(n, len(r.rest)/shortest+1))
	for range n {
		e := r.record()
		if r.err != nil {
			return nil
		}
		list = append(list, e)
	}
	return list
}

// xread reads the answer to an XREAD of one stream: null, or a list of one stream
// and its entries.
func (r *reply) xread() []record {
	if n := r.array(); n == -1 {
		return nil
	} else if n != 1 {
		r.fail()
		return nil
	}
	if r.array() != 2 {
		r.fail()
		return nil
	}
	r.text()
	return r.records()
}
