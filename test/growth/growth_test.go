package main

import (
	"encoding/xml"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Everything but the sizes and the times is that of a long run. A delivery that is missing
// or too many would fail it.
func TestGrowth_ShortRunHasAllFiguresAndPictures(t *testing.T) {
	folder := t.TempDir()
	page, err := os.ReadFile(filepath.Join(published, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, "README.md"), page, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := run(t.Context(), options{folder: folder, rounds: 1, short: true}); err != nil {
		t.Fatal(err)
	}
	all, err := loadResults(filepath.Join(folder, "growth.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range curves {
		t.Run(c.name, func(t *testing.T) {
			checkFigures(t, c, all[c.name])
			checkPicture(t, c, filepath.Join(folder, c.name+".svg"))
		})
	}
}

func checkFigures(t *testing.T, c *curve, got *table) {
	t.Helper()
	if got == nil {
		t.Fatal("nothing was measured")
	}
	if sizes := c.measured(got); !slices.Equal(sizes, c.short) {
		t.Errorf("the sizes are %v, want %v", sizes, c.short)
	}
	for _, f := range c.figures {
		for _, peer := range c.peers {
			for _, size := range c.short {
				v, ok := got.Figures[f.key][peer.name].median(size)
				// A server that collects its garbage meanwhile holds less than the empty one did.
				if !ok || math.IsInf(v, 0) || v <= 0 && f.key != memoryFigure.key {
					t.Errorf("%s of %s at %d is %v, %v", f.key, peer.name, size, v, ok)
				}
			}
		}
	}
}

// checkPicture checks that a picture is XML and names all lines.
func checkPicture(t *testing.T, c *curve, file string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	decoder := xml.NewDecoder(strings.NewReader(string(text)))
	for err == nil {
		_, err = decoder.Token()
	}
	if !errors.Is(err, io.EOF) {
		t.Error(err)
	}
	for _, peer := range c.peers {
		if !strings.Contains(string(text), ">"+peer.name+"<") {
			t.Errorf("%s is not named", peer.name)
		}
	}
}

func TestPage_ShowsWhatWasMeasured(t *testing.T) {
	all, err := loadResults(filepath.Join(published, "growth.json"))
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(filepath.Join(published, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range curves {
		if all[c.name] == nil {
			t.Errorf("growth.json has nothing of %s", c.name)
			continue
		}
		want, err := replace(string(page), c.name, c.markdown(all[c.name]))
		if err != nil {
			t.Fatal(err)
		}
		if want != string(page) {
			t.Errorf("the table of %s is another one than that of growth.json: make growth ARGS=\"--rounds 0\" draws it", c.name)
		}
		if _, err := os.Stat(filepath.Join(published, c.name+".svg")); err != nil {
			t.Error(err)
		}
	}
}

func TestRun_RefusesCurvesThatItDoesNotKnow(t *testing.T) {
	err := run(t.Context(), options{only: []string{"rooms", "moons"}, folder: t.TempDir()})
	if err == nil || !strings.Contains(err.Error(), "moons") || !strings.Contains(err.Error(), "room-size") {
		t.Errorf("got %v", err)
	}
}

func TestReplace_KeepsWhatIsAround(t *testing.T) {
	page := "a\n<!-- x -->\nold\n<!-- end of x -->\nb\n"
	if got, err := replace(page, "x", "new\n"); err != nil || got != strings.Replace(page, "old", "new", 1) {
		t.Errorf("got %q, %v", got, err)
	}
	if _, err := replace(page, "y", "new\n"); err == nil {
		t.Error("a page without a place was changed")
	}
}

func TestRuns_AreShownWithTheirRange(t *testing.T) {
	r := runs{1: {3, 1, 2}, 2: {1234, 1236}, 3: {0.125}}
	for size, want := range map[int]string{1: "2.00 (1.00–3.00)", 2: "1,235 (1,234–1,236)", 3: "0.12", 4: "–"} {
		if got := r.text(size); got != want {
			t.Errorf("size %d: got %q, want %q", size, got, want)
		}
	}
}

func TestProcessorTime_IsThatOfTheProcess(t *testing.T) {
	var before, after syscall.Rusage
	used := func(r *syscall.Rusage) time.Duration {
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, r); err != nil {
			t.Fatal(err)
		}
		return time.Duration(r.Utime.Nano() + r.Stime.Nano())
	}
	least := used(&before)
	got, err := processorTime(os.Getpid())
	most := used(&after)
	// The system rounds what it tells of the user's and the system's time.
	if err != nil || got < least-time.Millisecond || got > most+time.Millisecond {
		t.Errorf("got %v, %v, want %v to %v", got, err, least, most)
	}
	if _, err := processorTime(1 << 23); err == nil {
		t.Error("a process that is none has a processor time")
	}
}

func TestResidentMemory_IsTold(t *testing.T) {
	got, err := residentMemory(os.Getpid())
	if err != nil || got < 1<<20 {
		t.Errorf("got %d bytes, %v", got, err)
	}
}
