// Command transport measures what TLS and the compression of WebSockets cost a server: processor
// time per delivery and per echo, bytes on the wire, memory per connection. It runs the bench
// server once in each form, and needs Linux's /proc:
//
//	go build -o bin/benchserver ./test/bench/server
//	go run ./test/bench/transport --server bin/benchserver
package main

import (
	"flag"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/roomcast/roomcast/internal/testutil/certificate"
)

// form is a way in which the server is run.
type form struct {
	name         string
	tls, deflate bool
}

var forms = []form{{"plain", false, false}, {"TLS", true, false}, {"deflate", false, true}, {"TLS, deflate", true, true}}

// load is what the server is given to do.
type load struct {
	clients  int
	rate     int // broadcasts per second
	echoers  int // clients that echo, in closed loops
	duration time.Duration
	settle   time.Duration // until memory is looked at
	payload  string
}

func main() {
	binary := flag.String("server", "bin/benchserver", "the bench server's binary")
	var l load
	flag.IntVar(&l.clients, "clients", 1000, "connections, all in one room")
	flag.IntVar(&l.rate, "rate", 10, "broadcasts per second")
	flag.IntVar(&l.echoers, "echoers", 50, "connections that echo")
	flag.DurationVar(&l.duration, "duration", 5*time.Second, "how long each load lasts")
	flag.DurationVar(&l.settle, "settle", 8*time.Second, "how long the server rests before its memory is looked at")
	size := flag.Int("size", 2000, "about how many bytes a payload has")
	only := flag.String("only", "", "one form alone")
	flag.Parse()
	l.payload = payload(*size)
	dir, err := os.MkdirTemp("", "transport")
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	pair, err := certificate.New(dir)
	if err != nil {
		log.Fatal(err)
	}
	server, err := filepath.Abs(*binary)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%d clients, payloads of %d bytes, %v, %d processors\n", l.clients, len(l.payload), runtime.Version(), runtime.NumCPU())
	fmt.Printf("%-14s %14s %14s %16s %14s %14s\n", "", "µs/delivery", "µs/echo", "bytes/delivery", "KB idle", "KB after load")
	for _, f := range forms {
		if *only != "" && *only != f.name {
			continue
		}
		if err := measure(server, pair, f, l); err != nil {
			_ = os.RemoveAll(dir)
			log.Fatalf("%s: %v", f.name, err)
		}
	}
}

// payload is JSON that resembles what applications send, in that its keys repeat and its
// values do not.
func payload(size int) string {
	var b strings.Builder
	b.WriteString(`{"items":[`)
	for i := 0; b.Len() < size-60; i++ {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"id":%d,"user":"user-%d","score":%d.%d,"online":%v}`, 10007*i, i*i*31%977, i*7919%1000, i%10, i%3 == 0)
	}
	b.WriteString(`]}`)
	return b.String()
}

// measure runs the server in one form and prints a line.
func measure(binary string, pair *certificate.Pair, f form, l load) error {
	s, err := startServer(binary, pair, f)
	if err != nil {
		return err
	}
	defer s.stop()
	empty, err := s.resident()
	if err != nil {
		return err
	}
	c := crowd{pair: pair, form: f, url: s.url}
	defer c.leave()
	if err := c.enter(l.clients); err != nil {
		return err
	}
	<-time.After(l.settle)
	idle, err := s.resident()
	if err != nil {
		return err
	}
	perDelivery, bytes, err := fanout(s, &c, l)
	if err != nil {
		return err
	}
	perEcho, err := echo(s, &c, l)
	if err != nil {
		return err
	}
	<-time.After(l.settle)
	after, err := s.resident()
	if err != nil {
		return err
	}
	kb := func(bytes int64) float64 { return float64(bytes-empty) / 1e3 / float64(l.clients) }
	fmt.Printf("%-14s %14.1f %14.1f %16.0f %14.1f %14.1f\n", f.name, perDelivery, perEcho, bytes, kb(idle), kb(after))
	return nil
}

// fanout publishes to all, and returns the server's microseconds and the bytes on the wire
// per delivery.
func fanout(s *served, c *crowd, l load) (micros, bytes float64, err error) {
	ticks := time.NewTicker(time.Second / time.Duration(l.rate))
	defer ticks.Stop()
	before, err := s.cpu()
	if err != nil {
		return 0, 0, err
	}
	received := c.received.Load()
	sent := int64(0)
	for end := time.Now().Add(l.duration); time.Now().Before(end); <-ticks.C {
		if err := c.members[0].send(`42["publish","room",` + l.payload + `]`); err != nil {
			return 0, 0, err
		}
		sent += int64(l.clients)
	}
	if err := c.await(sent); err != nil {
		return 0, 0, err
	}
	after, err := s.cpu()
	return micro(after-before) / float64(sent), float64(c.received.Load()-received) / float64(sent), err
}

// echo lets some clients echo as fast as they are answered, and returns the server's
// microseconds per echo.
func echo(s *served, c *crowd, l load) (micros float64, err error) {
	before, err := s.cpu()
	if err != nil {
		return 0, err
	}
	acks, err := c.echo(l.echoers, l.payload, l.duration)
	if err != nil {
		return 0, err
	}
	after, err := s.cpu()
	return micro(after-before) / float64(acks), err
}

func micro(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e3 }
