// Command faults is the fault bench: it breaks Redis, networks, nodes and clients
// under load, counts what that costs, and compares the figures with what is
// promised. Everything that it needs it starts itself, on 127.0.0.1.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/roomcast/roomcast/test/faults/node"
)

// adapters are the columns of the table.
var adapters = []string{"memory", "pubsub", "sharded", "streams"}

// order is what the bench is told to do.
type order struct {
	short    bool
	interest bool
	rows     []string
	adapters []string
	write    string
}

func main() {
	log.SetFlags(0)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if len(os.Args) == 3 && os.Args[1] == "node" {
		if err := node.Run(ctx, os.Args[2], os.Stdin, os.Stdout); err != nil {
			log.Fatal(err)
		}
		return
	}
	o, err := readOrder()
	if err != nil {
		log.Fatal(err)
	}
	passed, err := run(ctx, o)
	if err != nil {
		log.Fatal(err)
	}
	if !passed {
		os.Exit(1)
	}
}

func readOrder() (order, error) {
	var o order
	flag.BoolVar(&o.short, "short", false, "fewer rows, clients and seconds: what CI can afford")
	flag.BoolVar(&o.interest, "interest-routing", false, "give pubsub and sharded the option InterestRouting")
	named := flag.String("row", "", "rows to run, such as F1,F3; empty: all, or with --short those that fit")
	kinds := flag.String("adapter", "", "adapters to run, such as pubsub,streams; empty: all")
	flag.StringVar(&o.write, "write", "", "file to write the figures of a whole run to, as Markdown")
	flag.Parse()
	o.rows, o.adapters = list(*named), list(*kinds)
	for _, name := range o.rows {
		if !slices.ContainsFunc(rows, func(r row) bool { return r.name == name }) {
			return o, fmt.Errorf("faults: there is no row %q", name)
		}
	}
	for _, kind := range o.adapters {
		if !slices.Contains(adapters, kind) {
			return o, fmt.Errorf("faults: there is no adapter %q", kind)
		}
	}
	return o, nil
}

func list(text string) []string {
	if text == "" {
		return nil
	}
	return strings.Split(text, ",")
}

// run runs the rows and prints a line for each. It says whether all passed.
func run(ctx context.Context, o order) (passed bool, err error) {
	sc := fullScale
	if o.short {
		sc = shortScale
	}
	sc.interest = o.interest
	var results []*result
	for _, r := range rows {
		if !o.wants(r) {
			continue
		}
		results = append(results, r.tryAll(ctx, r.columns(o.columns()), sc)...)
		if ctx.Err() != nil {
			return false, fmt.Errorf("faults: stopped in row %s", r.name)
		}
	}
	if o.write != "" && !o.partial() {
		if err := os.WriteFile(o.write, document(ctx, results, sc), 0o644); err != nil {
			return false, fmt.Errorf("faults: %w", err)
		}
	}
	return !slices.ContainsFunc(results, (*result).failed), nil
}

// partial says that not everything is run.
func (o order) partial() bool { return o.short || o.rows != nil || o.adapters != nil }

// wants says whether r is to be run.
func (o order) wants(r row) bool {
	if o.rows == nil {
		return r.short || !o.short
	}
	return slices.Contains(o.rows, r.name)
}

// columns are the adapters to run.
func (o order) columns() []string {
	if o.adapters == nil {
		return adapters
	}
	return o.adapters
}

// tryAll runs a row for some adapters and prints what it finds.
func (r row) tryAll(ctx context.Context, kinds []string, sc scale) []*result {
	results := make([]*result, len(kinds))
	var trying sync.WaitGroup
	for i, kind := range kinds {
		trying.Go(func() { results[i] = r.try(ctx, kind, sc) })
		if !sc.together {
			trying.Wait()
			show(ctx, results[i])
		}
	}
	trying.Wait()
	if sc.together {
		show(ctx, results...)
	}
	return results
}

// show prints results, unless they are those of a run that was stopped.
func show(ctx context.Context, results ...*result) {
	for _, one := range results {
		if ctx.Err() == nil {
			fmt.Println(one)
		}
	}
}

// try runs a row for one adapter, within the row's limit.
func (r row) try(ctx context.Context, kind string, sc scale) *result {
	res := &result{row: r.name, title: r.title, part: r.part, adapter: kind}
	if reason := r.reasonAgainst(kind); reason != "" {
		res.inapplicable = reason
		return res
	}
	ctx, cancel := context.WithTimeoutCause(ctx, rowLimit, fmt.Errorf("the row took longer than %v", rowLimit))
	defer cancel()
	start := time.Now()
	s := newStage(kind, sc, res)
	defer s.close()
	if err := r.run(ctx, s); err != nil {
		res.fail(err)
	}
	res.took = time.Since(start)
	return res
}
