package bus

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/roomcast/roomcast/pkg/adapter"
)

// idleBus returns a bus on a cluster that nobody asks for, and clients of its servers,
// which own the slots that owner says. Nothing is sent but by hand.
func idleBus(t *testing.T, servers int, owner func(slot int) int) (*Bus, []*goredis.Client) {
	t.Helper()
	cluster := goredis.NewClusterClient(&goredis.ClusterOptions{Addrs: []string{"127.0.0.1:1"}})
	t.Cleanup(func() { _ = cluster.Close() })
	b := New(Config{Client: cluster, Sharded: true, Prefix: "test", PublishQueueBytes: 1 << 20})
	var clients []*goredis.Client
	for i := range servers {
		clients = append(clients, goredis.NewClient(&goredis.Options{
			Addr: fmt.Sprint("server", i),
			// It looks the name up, and net's resolver belongs to the bubble that uses it first.
			MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
		}))
		t.Cleanup(func() { _ = clients[i].Close() })
	}
	assign(b, clients, owner)
	return b, clients
}

func assign(b *Bus, clients []*goredis.Client, owner func(slot int) int) {
	var owners [slots]*goredis.Client
	for slot := range owners {
		if i := owner(slot); i >= 0 {
			owners[slot] = clients[i]
		}
	}
	present := b.outbox.present()
	next := b.redraw(present, &owners)
	for _, l := range next.lanes[1:] {
		if l.table.probeName() == "" {
			l.setProbe(b.probeIn(next, l))
		}
	}
	b.hand(present, next, time.Now())
}

func (b *Bus) laneNamed(t *testing.T, name string) *lane {
	t.Helper()
	for _, l := range b.outbox.present().lanes {
		if l.part.name == name {
			return l
		}
	}
	t.Fatalf("there is no lane %s", name)
	return nil
}

func enqueue(t *testing.T, b *Bus, channel, text string) {
	t.Helper()
	o := b.Message()
	o.Channel, o.Body = channel, append(o.Body, text...)
	if err := b.Enqueue(o); err != nil {
		t.Fatal(err)
	}
}

func bodies(list []*Outgoing) string {
	var words []string
	for _, o := range list {
		words = append(words, string(o.Body))
	}
	return strings.Join(words, " ")
}

func everythingAt(i int) func(int) int { return func(int) int { return i } }

func TestOutbox_RefusedMessagesComeBeforeLaterOnes(t *testing.T) {
	b, clients := idleBus(t, 2, everythingAt(0))
	x := b.laneNamed(t, "server0").publisher
	enqueue(t, b, "c", "1")
	enqueue(t, b, "c", "2")
	flying := x.take()
	enqueue(t, b, "c", "3")
	assign(b, clients, everythingAt(1))
	y := b.laneNamed(t, "server1").publisher
	enqueue(t, b, "c", "4")
	if early := y.take(); early != nil {
		t.Fatalf("%s overtake what is on its way", bodies(early))
	}
	flying[0].SetErr(nil) // taken before the slot had moved
	moved := redisError("MOVED 1 server1:0")
	flying[1].SetErr(moved)
	if refused, failed := x.answered(flying, moved); refused || failed != nil {
		t.Errorf("the new owner is known: got %v, %v", refused, failed)
	}
	if !y.wait(t.Context()) {
		t.Fatal("the context has ended")
	}
	if got := bodies(y.take()); got != "2 3 4" {
		t.Errorf("got %q, want 2 3 4", got)
	}
	if len(x.queue) > 0 || b.Waiting() != 3 {
		t.Errorf("%d messages wait", b.Waiting())
	}
}

// redisError is an error of a server's.
type redisError string

func (e redisError) Error() string { return string(e) }
func (redisError) RedisError()     {}

func TestOutbox_MessagesThatMoveTwiceStillComeAfterWhatIsOnItsWay(t *testing.T) {
	b, clients := idleBus(t, 3, everythingAt(0))
	enqueue(t, b, "c", "1")
	x := b.laneNamed(t, "server0").publisher
	flying := x.take()
	assign(b, clients, everythingAt(1))
	enqueue(t, b, "c", "2")
	assign(b, clients, everythingAt(2))
	z := b.laneNamed(t, "server2").publisher
	if early := z.take(); early != nil {
		t.Fatalf("%s overtake what is on its way", bodies(early))
	}
	flying[0].SetErr(redisError("MOVED 1 server2:0"))
	x.answered(flying, flying[0].Err())
	if !z.wait(t.Context()) || bodies(z.take()) != "1 2" {
		t.Errorf("took %q, want 1 2", bodies(z.batch))
	}
}

func TestOutbox_RefusedMessagesStayWhereNobodyKnowsBetter(t *testing.T) {
	b, _ := idleBus(t, 2, everythingAt(0))
	x := b.laneNamed(t, "server0").publisher
	enqueue(t, b, "c", "1")
	flying := x.take()
	enqueue(t, b, "c", "2")
	moved := redisError("MOVED 1 server1:0")
	flying[0].SetErr(moved)
	if refused, failed := x.answered(flying, moved); !refused || failed != nil {
		t.Errorf("got %v, %v, want it refused", refused, failed)
	}
	if got := bodies(x.take()); got != "1 2" {
		t.Errorf("got %q, want 1 2", got)
	}
}

func TestOutbox_ProbesAreForTheirOwnLane(t *testing.T) {
	b, clients := idleBus(t, 2, everythingAt(0))
	l := b.laneNamed(t, "server0")
	l.pulse.begin()
	l.sendProbe()
	enqueue(t, b, "c", "1")
	assign(b, clients, func(slot int) int { return slot % 2 })
	if l.publisher.queue[0].probe == false || len(b.laneNamed(t, "server1").publisher.queue) > 1 {
		t.Error("the probe has gone to another lane")
	}
	flying := l.publisher.take()
	moved := redisError("MOVED 1 server1:0")
	for _, o := range flying {
		o.SetErr(moved)
	}
	l.publisher.answered(flying, moved)
	for _, lane := range b.outbox.present().lanes {
		for _, o := range lane.publisher.queue {
			if o.probe {
				t.Error("a refused probe was forwarded")
			}
		}
	}
	if len(b.config.Health.Status().Dropped) > 0 {
		t.Error("a probe was counted as dropped")
	}
}

func TestOutbox_MessagesWithoutAnOwnerWaitForOne(t *testing.T) {
	b, clients := idleBus(t, 1, everythingAt(-1))
	enqueue(t, b, "c", "1")
	b.Subscribe(Channel{Name: "c"}, Route{To: &deaf{}})
	assign(b, clients, everythingAt(0))
	enqueue(t, b, "c", "2")
	l := b.laneNamed(t, "server0")
	if got := bodies(l.publisher.take()); got != "1 2" {
		t.Errorf("got %q, want 1 2", got)
	}
	if len(l.table.lookup(Channel{Name: "c"})) != 1 {
		t.Error("the subscription has not come along")
	}
}

func TestOutbox_OnlyWhatWasNotSentIsSentAgain(t *testing.T) {
	b, _ := idleBus(t, 1, everythingAt(0))
	x := b.laneNamed(t, "server0").publisher
	for _, text := range []string{"1", "2", "3"} {
		enqueue(t, b, "c", text)
	}
	flying := x.take()
	broken := errors.New("connection reset")
	flying[1].SetErr(broken)
	flying[2].SetErr(broken)
	if refused, failed := x.answered(flying, broken); refused || failed != broken {
		t.Errorf("got %v, %v", refused, failed)
	}
	if got := b.config.Health.Status().Dropped["expired"]; got != 2 || b.Waiting() != 0 {
		t.Errorf("dropped %d, %d wait, want 2 and 0", got, b.Waiting())
	}
}

func TestOutbox_BoundsTheBytesOfAllLanes(t *testing.T) {
	b, _ := idleBus(t, 2, func(slot int) int { return slot % 2 })
	text, n := strings.Repeat("x", 1000), 0
	var err error
	for ; err == nil && n < 2000; n++ {
		o := b.Message()
		o.Channel, o.Body = fmt.Sprint("channel", n), append(o.Body, text...)
		if err = b.Enqueue(o); err != nil {
			b.Discard(o)
		}
	}
	if most := (1 << 20) / 1256; !errors.Is(err, adapter.ErrQueueFull) || n > most+1 || n < most*9/10 {
		t.Errorf("got %v after %d messages of 1000 bytes", err, n)
	}
	if b.config.Health.Status().Dropped["queue_full"] != 1 {
		t.Error("the refused message was not counted")
	}
	for _, l := range b.outbox.present().lanes {
		l.publisher.close()
	}
	if b.outbox.bytes != 0 || b.Waiting() != 0 {
		t.Errorf("%d bytes of %d messages are left", b.outbox.bytes, b.Waiting())
	}
}

func TestOutbox_FlushWaitsForWhatWasQueuedBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New(Config{PublishQueueBytes: 1 << 20})
		p := b.outbox.routes.lanes[0].publisher
		enqueue(t, b, "c", "1")
		flying := p.take()
		enqueue(t, b, "c", "2")
		var flushed bool
		go func() { flushed = b.Flush(t.Context()) == nil }()
		synctest.Wait()
		p.answered(flying, nil)
		enqueue(t, b, "c", "3")
		synctest.Wait()
		if flushed {
			t.Error("one of two was sent, and Flush returned")
		}
		rest := p.take()
		if bodies(rest) != "2 3" {
			t.Fatalf("took %q", bodies(rest))
		}
		b.outbox.routes.lanes[0].part.Lost(errTest)
		synctest.Wait()
		if !flushed {
			t.Error("Flush waits for a Redis that is away")
		}
	})
}

// A batch is off the account before it has landed.
func TestOutbox_FlushReturnsWhenTheLastBatchHasLanded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New(Config{PublishQueueBytes: 1 << 20})
		p := b.outbox.routes.lanes[0].publisher
		enqueue(t, b, "c", "1")
		flying := p.take()
		var flushed bool
		go func() { flushed = b.Flush(t.Context()) == nil }()
		synctest.Wait()
		p.taken(flying)
		synctest.Wait()
		p.land()
		synctest.Wait()
		if !flushed {
			t.Error("Flush waits although nothing is on its way")
		}
	})
}

// TestOutbox_OrderOfAChannelOutlivesMoves moves slots at random while batches are
// taken, refused or lost, and looks at the order in which each channel is served.
func TestOutbox_OrderOfAChannelOutlivesMoves(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	const servers = 3
	truth := make([]int, slots) // who owns a slot as the servers see it
	view := make([]int, slots)  // as the bus sees it
	b, clients := idleBus(t, servers, everythingAt(0))
	b.outbox.maximum = 1 << 30
	channels := []string{"a", "b", "c", "d", "e", "f"}
	served := map[string][]int{}
	flying := make([][]*Outgoing, servers)
	lanes := func(i int) *publisher {
		for _, l := range b.outbox.present().lanes[1:] {
			if l.client == clients[i] {
				return l.publisher
			}
		}
		return nil
	}
	owners := make([]*publisher, servers) // of what is flying
	said := 0
	for range 2000 {
		i := random.IntN(servers)
		switch random.IntN(6) {
		case 0, 1:
			said++
			enqueue(t, b, channels[random.IntN(len(channels))], fmt.Sprint(said))
		case 2:
			truth[slotOf(channels[random.IntN(len(channels))])] = i
		case 3:
			copy(view, truth)
			assign(b, clients, func(slot int) int { return view[slot] })
		case 4:
			if p := lanes(i); p != nil && flying[i] == nil && free(p) {
				flying[i], owners[i] = p.take(), p
			}
		case 5:
			if flying[i] == nil {
				continue
			}
			var first error
			for _, o := range flying[i] {
				o.SetErr(nil)
				if truth[o.slot] != i {
					o.SetErr(redisError("MOVED 1 x:1"))
					first = o.Err()
					continue
				}
				var number int
				_, _ = fmt.Sscan(string(o.Body), &number)
				served[o.Channel] = append(served[o.Channel], number)
			}
			owners[i].answered(flying[i], first)
			flying[i] = nil
		}
	}
	total := 0
	for channel, numbers := range served {
		total += len(numbers)
		if !slices.IsSorted(numbers) || len(slices.Compact(slices.Clone(numbers))) != len(numbers) {
			t.Errorf("channel %s was served in the order %v", channel, numbers)
		}
	}
	if total+b.Waiting() != said || total < said/2 {
		t.Errorf("%d were said, %d served, %d wait", said, total, b.Waiting())
	}
}

// free says whether nothing keeps p from sending.
func free(p *publisher) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.after) > 0 {
		select {
		case <-p.after[0]:
			p.after = p.after[1:]
		default:
			return false
		}
	}
	return true
}
