package room

import (
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"testing"
)

// naive is the obvious implementation that Index must agree with.
type naive map[string]map[int]bool

func (n naive) members(room string) []int {
	var all []int
	for m := range n[room] {
		all = append(all, m)
	}
	slices.Sort(all)
	return all
}

func TestIndex_AgreesWithNaiveMapUnderRandomOperations(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	x, n := New[int](), naive{}
	for range 50_000 {
		room, m := "r"+strconv.Itoa(random.IntN(5)), random.IntN(60)
		if random.IntN(2) == 0 {
			added, first := x.Add(room, m)
			wantAdded := !n[room][m]
			wantFirst := wantAdded && len(n[room]) == 0
			if n[room] == nil {
				n[room] = map[int]bool{}
			}
			n[room][m] = true
			if added != wantAdded || first != wantFirst {
				t.Fatalf("Add(%s, %d) = %v, %v; want %v, %v", room, m, added, first, wantAdded, wantFirst)
			}
		} else {
			removed, last := x.Remove(room, m)
			wantRemoved := n[room][m]
			delete(n[room], m)
			wantLast := wantRemoved && len(n[room]) == 0
			if removed != wantRemoved || last != wantLast {
				t.Fatalf("Remove(%s, %d) = %v, %v; want %v, %v", room, m, removed, last, wantRemoved, wantLast)
			}
		}
		got := slices.Sorted(slices.Values(x.Members(room)))
		if want := n.members(room); !slices.Equal(got, want) {
			t.Fatalf("Members(%s) = %v, want %v", room, got, want)
		}
		if x.Has(room, m) != n[room][m] || x.Occupied(room) != (len(n[room]) > 0) {
			t.Fatalf("Has or Occupied of %s disagrees", room)
		}
	}
}

func TestIndex_EmptyRoomsAreForgotten(t *testing.T) {
	x := New[int]()
	for i := range 1000 {
		x.Add("room"+strconv.Itoa(i), i)
	}
	if x.Len() != 1000 {
		t.Fatalf("Len = %d, want 1000", x.Len())
	}
	for i := range 1000 {
		x.Remove("room"+strconv.Itoa(i), i)
	}
	if x.Len() != 0 {
		t.Fatalf("Len = %d, want 0", x.Len())
	}
}

func TestIndex_SnapshotNeverChanges(t *testing.T) {
	for _, size := range []int{3, linear, linear + 1, 200} {
		x := New[int]()
		for i := range size {
			x.Add("a", i)
		}
		before := x.Members("a")
		want := slices.Clone(before)
		x.Remove("a", 0)
		x.Add("a", size)
		x.Add("a", size+1)
		x.Remove("a", size-1)
		if !slices.Equal(before, want) {
			t.Fatalf("size %d: snapshot changed from %v to %v", size, want, before)
		}
	}
}

func TestIndex_SelectGivesEachMemberOnce(t *testing.T) {
	x := New[int]()
	for _, p := range []struct {
		room string
		m    int
	}{{"a", 1}, {"a", 2}, {"b", 2}, {"b", 3}, {"c", 1}} {
		x.Add(p.room, p.m)
	}
	got := slices.Sorted(slices.Values(x.Select([]string{"a", "b", "c", "none"})))
	if want := []int{1, 2, 3}; !slices.Equal(got, want) {
		t.Fatalf("Select = %v, want %v", got, want)
	}
}

func TestIndex_ConcurrentUse(t *testing.T) {
	x := New[int]()
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := range 2000 {
				m := g*10_000 + i
				x.Add("shared", m)
				for range x.Members("shared") {
					break
				}
				if i%2 == 0 {
					x.Remove("shared", m)
				}
			}
		})
	}
	wg.Wait()
	if got := len(x.Members("shared")); got != 4000 {
		t.Fatalf("members = %d, want 4000", got)
	}
}

func TestAllocations_NonePerLookup(t *testing.T) {
	x := New[int]()
	for i := range 1000 {
		x.Add("a", i)
	}
	if n := testing.AllocsPerRun(100, func() { x.Members("a") }); n != 0 {
		t.Fatalf("Members allocates %v times", n)
	}
}

func BenchmarkIndex_Members(b *testing.B) {
	x := New[int]()
	for room := range 10_000 {
		for m := range 10 {
			x.Add("room"+strconv.Itoa(room), m)
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		if len(x.Members("room5000")) != 10 {
			b.Fatal("wrong members")
		}
	}
}
