package stream

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	goredis "github.com/redis/go-redis/v9"
)

// bulk writes texts as Redis does, numbers as lengths of lists.
func bulk(parts ...any) string {
	var b strings.Builder
	for _, p := range parts {
		switch p := p.(type) {
		case int:
			fmt.Fprintf(&b, "*%d\r\n", p)
		case string:
			fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(p), p)
		}
	}
	return b.String()
}

func TestReply_ReadsEntries(t *testing.T) {
	r := &reply{rest: bulk(1, 2, "log", 2,
		2, "5-1", 14, "uid", "u", "nsp", "/", "type", "3", "data", "d\r\n", "roomcast", "o", "seq", "w-x-7", "mac", "m",
		2, "5-2", 2, "other", "")}
	got := r.xread()
	if r.err != nil || len(got) != 2 || r.rest != "" {
		t.Fatalf("got %v, %v, left %q", got, r.err, r.rest)
	}
	want := record{
		Entry: Entry{ID: "5-1", UID: "u", Topic: "/", Type: "3", Data: "d\r\n", Own: "o"},
		at:    id{5, 1}, writer: "w-x", number: 7, seq: "w-x-7", mark: "m",
	}
	if got[0] != want {
		t.Errorf("got %+v, want %+v", got[0], want)
	}
}

func TestReply_RefusesWhatIsNoEntry(t *testing.T) {
	for _, text := range []string{
		"", "\r\n", "*", "*1", "*1\r\n", "*x\r\n", "*-2\r\n", "*4000000000\r\n", "$5\r\nab\r\n", bulk(1, 1, "log"),
		bulk(1, 2, "log", 1, 2, "x", 0), bulk(1, 2, "log", 1, 2, "1-1", 1, "odd"), bulk(1, 2, "log", 1, 3, "1-1", 0, 0),
		"*1\r\n*2\r\n$3\r\nlog\r\n*1000000000\r\n", ":1\r\n", "+OK\r\n", "$-1\r\n",
	} {
		r := &reply{rest: text}
		if got := r.xread(); r.err == nil {
			t.Errorf("%q is read as %v", text, got)
		}
	}
	r := &reply{rest: "-OOM command not allowed\r\n"}
	if r.xread(); !goredis.HasErrorPrefix(r.err, "OOM") {
		t.Errorf("a refusal is %v", r.err)
	}
	for _, none := range []string{"*-1\r\n", "_\r\n"} {
		if r := (&reply{rest: none}); r.xread() != nil || r.err != nil {
			t.Errorf("%q: %v", none, r.err)
		}
	}
}

func TestState_IsReadFromBothProtocols(t *testing.T) {
	entry := bulk(2, "3-0", 2, "k", "v")
	body := bulk("length") + ":2\r\n" + bulk("last-generated-id", "4-0", "groups") + ":0\r\n" +
		bulk("entries-added") + ":9\r\n" + bulk("first-entry") + entry + bulk("last-entry") + "*-1\r\n"
	want := state{exists: true, length: 2, last: id{4, 0}, first: id{3, 0}, added: 9}
	for _, head := range []string{"*12\r\n", "%6\r\n"} {
		if got, err := parseState(&reply{rest: head + body}); err != nil || got != want {
			t.Errorf("got %+v, %v, want %+v", got, err, want)
		}
	}
	if got, err := parseState(&reply{rest: "-ERR no such key\r\n"}); err != nil || got != (state{}) {
		t.Errorf("no stream: %+v, %v", got, err)
	}
	for _, bad := range []string{"-NOPERM no\r\n", "*2\r\n", "+OK\r\n", "*2\r\n" + bulk("length", "x"), "*2\r\n" + bulk("first-entry") + "*1\r\n"} {
		if got, err := parseState(&reply{rest: bad}); err == nil {
			t.Errorf("%q is read as %+v", bad, got)
		}
	}
}

func TestSeq_ReadsWhatItWrites(t *testing.T) {
	for _, writer := range []string{"a", "ABCDEFGHIJKLMNOP", "x-y"} {
		for _, number := range []uint64{1, 9, 1<<64 - 1} {
			text := string(appendSeq(nil, writer, number))
			if w, n := parseSeq(text); w != writer || n != number {
				t.Errorf("%q is read as %q, %d", text, w, n)
			}
		}
	}
	for _, bad := range []string{"", "-", "a", "a-", "-1", "a-0", "a-x", "a-01", "a-18446744073709551616", strings.Repeat("w", 33) + "-1"} {
		if w, n := parseSeq(bad); w != "" || n != 0 {
			t.Errorf("%q is read as %q, %d", bad, w, n)
		}
	}
}

func FuzzReply(f *testing.F) {
	f.Add(bulk(1, 2, "log", 1, 2, "1-1", 4, "uid", "u", "seq", "w-1"))
	f.Add("%1\r\n$6\r\nlength\r\n:1\r\n")
	f.Add("*1\r\n*2\r\n$3\r\nlog\r\n*1000000000\r\n")
	f.Add("-MOVED 1 127.0.0.1:1\r\n")
	f.Add(strings.Repeat("*1\r\n", 200_000))
	f.Add("*2\r\n$11\r\nfirst-entry\r\n" + strings.Repeat("*1\r\n", 200_000))
	f.Fuzz(func(t *testing.T, text string) {
		r := &reply{rest: text}
		entries := r.xread()
		if r.err != nil && len(entries) > 0 {
			t.Error("entries beside an error")
		}
		if cap(entries) > len(text) {
			t.Errorf("room for %d entries in %d bytes", cap(entries), len(text))
		}
		for _, e := range entries {
			if e.at.String() != e.ID {
				t.Errorf("%q is at %v", e.ID, e.at)
			}
		}
		if _, err := parseState(&reply{rest: text}); err != nil && errors.Is(err, goredis.Nil) {
			t.Error(err)
		}
	})
}
