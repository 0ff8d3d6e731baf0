// Command scaling counts and measures what a room's message costs Redis and the nodes as a
// cluster grows. docs/scaling.md shows what it prints.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"syscall"

	"github.com/roomcast/roomcast/internal/testutil/redisproc"
)

func main() {
	log.SetFlags(0)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if len(os.Args) == 3 && os.Args[1] == "child" {
		var p place
		err := json.Unmarshal([]byte(os.Args[2]), &p)
		if err == nil {
			err = runChild(ctx, p, os.Stdin, os.Stdout)
		}
		if err != nil {
			log.Fatal(err)
		}
		return
	}
	many := flag.Int("many", 100, "nodes of the large cluster, all in one process")
	most := flag.Int("most", 8, "nodes of the largest cluster with a process for each")
	var l load
	flag.IntVar(&l.messages, "messages", 3000, "messages for each cost")
	flag.IntVar(&l.rate, "rate", 1000, "messages per second")
	flag.Parse()
	if *many < 2*holders || *most < 1 || l.messages < 1 || l.rate < 1 {
		log.Fatalf("scaling: at least %d nodes in one process, one process, one message, one per second", 2*holders)
	}
	if err := run(ctx, *many, *most, l); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, many, most int, l load) error {
	fmt.Printf("| form | nodes | received | for each that has the room | subscriptions of a node |\n| --- | ---: | ---: | ---: | ---: |\n")
	for _, f := range forms {
		c, err := countMany(ctx, f, many)
		if err != nil {
			return err
		}
		fmt.Println(c)
	}
	fmt.Printf("\n| form | nodes | Redis | sender's node | node without the room |\n| --- | ---: | ---: | ---: | ---: |\n")
	for _, f := range forms {
		for n := 2; n <= most; n *= 2 {
			c, err := measure(ctx, f, n, n, l)
			if err != nil {
				return err
			}
			fmt.Println(c)
		}
		c, err := measure(ctx, f, many, 1, l)
		if err != nil {
			return err
		}
		fmt.Printf("| %s | %d | %s | | |\n", c.form, c.nodes, micros(c.redis))
	}
	return nil
}

func countMany(ctx context.Context, f form, n int) (census, error) {
	server, err := redisproc.Launch(redisproc.Options{})
	if err != nil {
		return census{}, err
	}
	defer server.Close()
	return inOneProcess(ctx, f, server.Addr(), n)
}
