// Command growth measures how the cost of a server grows with connections, room sizes,
// rooms, nodes, payloads and namespaces, beside socket.io on Node.js, and draws it. It is
// a module of its own: who uses roomcast does not carry a plotting library.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// root is the project's folder; the program runs in its own.
var root = filepath.Join("..", "..")

// published is where the pictures are that the project shows.
var published = filepath.Join(root, "docs", "performance")

// passLimit bounds one pass of a curve over its sizes with one peer.
const passLimit = 3 * time.Minute

func main() {
	log.SetFlags(0)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var o options
	only := flag.String("only", "", "the curves to measure, separated by commas: "+strings.Join(names(), ", ")+"; empty: all")
	flag.StringVar(&o.folder, "out", "", "folder of growth.json, the pictures and README.md, whose tables are replaced; empty: docs/performance, and with --short a temporary one")
	flag.IntVar(&o.rounds, "rounds", 3, "passes of each peer, alternated; 0: draw what growth.json has")
	flag.BoolVar(&o.short, "short", false, "tiny sizes, which show that everything works, and nothing else")
	flag.BoolVar(&o.png, "png", false, "pictures for viewers that show no SVG, as well")
	flag.Parse()
	if *only != "" {
		o.only = strings.Split(*only, ",")
	}
	if err := o.place(); err != nil {
		log.Fatal(err)
	}
	if err := run(ctx, o); err != nil {
		log.Fatal(err)
	}
}

// options say what is measured and where it goes.
type options struct {
	only   []string
	folder string
	rounds int
	short  bool
	png    bool
}

// place chooses the folder where none is given.
func (o *options) place() (err error) {
	switch {
	case o.folder != "":
	case o.short:
		o.folder, err = os.MkdirTemp("", "roomcast-growth-")
		log.Print("pictures are in ", o.folder)
	default:
		o.folder = published
	}
	return err
}

func run(ctx context.Context, o options) error {
	for _, name := range o.only {
		if !slices.Contains(names(), name) {
			return fmt.Errorf("growth: --only %q is unknown; there are %s", name, strings.Join(names(), ", "))
		}
	}
	file := filepath.Join(o.folder, "growth.json")
	all, err := loadResults(file)
	if err != nil {
		return err
	}
	if o.rounds > 0 {
		if err := measureAll(ctx, o, all, file); err != nil {
			return err
		}
	}
	return errors.Join(all.draw(o.folder, o.png), all.write(filepath.Join(o.folder, "README.md")))
}

// measureAll measures the curves and saves each when it is done.
func measureAll(ctx context.Context, o options, all results, file string) error {
	programs, err := build(ctx)
	if err != nil {
		return err
	}
	defer programs.remove()
	machine, err := programs.machine(ctx)
	if err != nil {
		return err
	}
	most, err := raiseDescriptors()
	if err != nil {
		return err
	}
	for _, c := range curves {
		if len(o.only) > 0 && !slices.Contains(o.only, c.name) {
			continue
		}
		t := &table{Machine: machine, Figures: map[string]map[string]runs{}}
		if err := c.alternate(ctx, o, programs, most, t); err != nil {
			return fmt.Errorf("growth: %s: %w", c.name, err)
		}
		all[c.name] = t
		if err := all.save(file); err != nil {
			return err
		}
	}
	return nil
}

// alternate runs the rounds: each is a pass of every peer, forwards and then backwards, so
// that what changes on the machine concerns all.
func (c *curve) alternate(ctx context.Context, o options, programs *programs, most int, t *table) error {
	sizes, scale := c.sizes, fullScale
	if o.short {
		sizes, scale = c.short, shortScale
	}
	if c.isConnections {
		sizes = slices.DeleteFunc(slices.Clone(sizes), func(n int) bool { return n > most })
	}
	for round := range o.rounds {
		order := slices.Clone(c.peers)
		if round%2 == 1 {
			slices.Reverse(order)
		}
		for _, peer := range order {
			begun := time.Now()
			p := &pass{peer: peer, programs: programs, scale: scale, sizes: sizes, found: t.adder(peer.name)}
			if err := p.run(ctx, c); err != nil {
				return fmt.Errorf("%s: %w", peer.name, err)
			}
			log.Printf("%s, round %d, %s: %.0f s", c.name, round+1, peer.name, time.Since(begun).Seconds())
		}
	}
	return nil
}

// pass is one visit of a curve's sizes with one peer.
type pass struct {
	peer     peer
	programs *programs
	scale    scale
	sizes    []int
	// found takes a figure.
	found func(figure string, size int, value float64)
}

func (p *pass) run(ctx context.Context, c *curve) error {
	ctx, cancel := context.WithTimeout(ctx, passLimit)
	defer cancel()
	return c.measure(ctx, p)
}

// scale is how long and how much is measured at each size.
type scale struct {
	// warm and span are the times of a load before it counts and while it does.
	warm, span time.Duration
	// settle is how long connections are left alone before memory is read.
	settle time.Duration
	// deliveries is the deliveries per second of a load that has a rate.
	deliveries int
	// clients is how many take part where the size is something else.
	clients int
}

var (
	fullScale  = scale{warm: 500 * time.Millisecond, span: 2 * time.Second, settle: 3 * time.Second, deliveries: 8000, clients: 2000}
	shortScale = scale{warm: 20 * time.Millisecond, span: 50 * time.Millisecond, settle: 20 * time.Millisecond, deliveries: 1000, clients: 16}
)

// raiseDescriptors lets this program and what it starts open as many files as the system
// allows, and returns how many connections that is enough for.
func raiseDescriptors() (int, error) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 0, fmt.Errorf("growth: %w", err)
	}
	limit.Cur = limit.Max
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 0, fmt.Errorf("growth: %w", err)
	}
	const spare = 1000
	return int(min(limit.Max, 1<<20)) - spare, nil
}
