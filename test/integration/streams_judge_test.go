//go:build integration

package integration

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	goredis "github.com/redis/go-redis/v9"
)

// lore is what the stream says was said, in its order, what was written twice once.
type lore struct {
	said    []tale
	repeats int
}

var written = regexp.MustCompile(`"said","([^"]*)"`)

func readLore(t testing.TB, client *goredis.Client) lore {
	t.Helper()
	entries, err := client.XRange(t.Context(), "socket.io", "-", "+").Result()
	if err != nil {
		t.Fatal(err)
	}
	var l lore
	seen := make(map[string]bool)
	for _, e := range entries {
		data, _ := e.Values["data"].(string)
		parts := written.FindStringSubmatch(data)
		switch {
		case parts == nil:
		case seen[parts[1]]:
			l.repeats++
		default:
			seen[parts[1]] = true
			l.said = append(l.said, tale{offset: e.ID, text: parts[1]})
		}
	}
	return l
}

// saying is the text of an event.
type saying struct {
	speaker string
	number  int
	to      string // a room, or empty
}

func (s saying) String() string { return fmt.Sprintf("%s|%d|%s", s.speaker, s.number, s.to) }

func parseSaying(text string) (s saying, ok bool) {
	parts := strings.Split(text, "|")
	if len(parts) != 3 {
		return s, false
	}
	number, err := strconv.Atoi(parts[1])
	return saying{parts[0], number, parts[2]}, err == nil
}

// expectInOrder checks that the log has what each speaker said in its order, without a
// hole, and all of those who lived.
func (l *lore) expectInOrder(t testing.TB, speakers []*herald) {
	t.Helper()
	last := make(map[string]int)
	for _, tale := range l.said {
		s, ok := parseSaying(tale.text)
		if !ok || s.number != last[s.speaker]+1 {
			t.Errorf("the log has %q behind number %d of its speaker", tale.text, last[s.speaker])
		}
		last[s.speaker] = s.number
	}
	for _, h := range speakers {
		if !h.dead.Load() && last[h.name] != h.number {
			t.Errorf("the log has %d of %d events of %s, whose node lives", last[h.name], h.number, h.name)
		}
	}
}

// compare orders offsets.
func compareOffsets(a, b string) int {
	aTime, aNumber, _ := strings.Cut(a, "-")
	bTime, bNumber, _ := strings.Cut(b, "-")
	number := func(s string) int { n, _ := strconv.Atoi(s); return n }
	return cmp.Or(cmp.Compare(number(aTime), number(bTime)), cmp.Compare(number(aNumber), number(bNumber)))
}

// meant says whether what was said to somebody was for one who has that id and is in
// these rooms.
func meant(text, id string, rooms []string) bool {
	s, ok := parseSaying(text)
	return ok && (s.to == "" || s.to == id || slices.Contains(rooms, s.to))
}

// expectWhole checks that a life has heard all that was for it, once and in the log's
// order, from the moment at which it was in its rooms: up to the last that it has heard, or
// to the end of everything for those who live.
func (l *lore) expectWhole(t testing.TB, who string, rooms []string, life *life, alive bool) {
	t.Helper()
	for i := 1; i < len(life.heard); i++ {
		if compareOffsets(life.heard[i-1].offset, life.heard[i].offset) >= 0 {
			t.Errorf("%s heard %v behind %v", who, life.heard[i], life.heard[i-1])
		}
	}
	for _, h := range life.heard {
		if h.text != "entered" && !meant(h.text, life.id, rooms) {
			t.Errorf("%s heard %v, which is for others", who, h)
		}
	}
	if life.entered == "" || life.bare {
		return
	}
	after := func(h tale) bool { return compareOffsets(h.offset, life.entered) > 0 }
	var got, want []tale
	for _, h := range life.heard {
		if after(h) {
			got = append(got, h)
		}
	}
	for _, h := range l.said {
		past := len(life.heard) > 0 && compareOffsets(h.offset, life.heard[len(life.heard)-1].offset) > 0
		if after(h) && (alive || !past) && meant(h.text, life.id, rooms) {
			want = append(want, h)
		}
	}
	for i := range max(len(got), len(want)) {
		switch {
		case i >= len(want):
			t.Errorf("%s heard %v, and the log ends before", who, got[i])
		case i >= len(got):
			t.Errorf("%s did not hear %v and %d after it", who, want[i], len(want)-i-1)
		case got[i] != want[i]:
			t.Errorf("%s heard %v as number %d, want %v", who, got[i], i, want[i])
		default:
			continue
		}
		return
	}
}
