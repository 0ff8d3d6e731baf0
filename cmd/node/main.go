// Command node runs a roomcast server: one node of a cluster, or a whole cluster
// with a chat page to try it out.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"syscall"
)

func main() {
	ctx, stop := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() { // ends with the process
		<-signals
		stop()
		<-signals // who says it twice does not want to wait
		os.Exit(exitError)
	}()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// program is what every command gets: how long to run, and where to write.
type program struct {
	ctx      context.Context
	out      io.Writer
	errOut   io.Writer
	settings settings
	log      *slog.Logger // set by the commands that log
}

// The exit codes.
const (
	exitOK    = 0
	exitError = 1
	exitUsage = 2
)

// run carries out the command line args until it is done or ctx ends, and returns
// the exit code.
func run(ctx context.Context, args []string, out, errOut io.Writer) int {
	var c commands
	helped := false
	parser, err := newParser(&c, out, errOut, func(int) { helped = true })
	if err != nil {
		fmt.Fprintln(errOut, "node:", err)
		return exitError
	}
	command, err := parser.Parse(args)
	if helped {
		return exitOK
	}
	if err == nil {
		err = check(command)
	}
	if err != nil {
		fmt.Fprintln(errOut, "node:", err)
		fmt.Fprintln(errOut, "node: --help lists what there is")
		return exitUsage
	}
	p := &program{ctx: ctx, out: out, errOut: errOut, settings: settingsOf(command)}
	if err := command.Run(p); err != nil {
		fmt.Fprintln(errOut, "node:", err)
		if _, usage := errors.AsType[usageError](err); usage {
			return exitUsage
		}
		return exitError
	}
	return exitOK
}

// versionCommand prints what this program was built from.
type versionCommand struct{}

// Run prints one line.
func (versionCommand) Run(p *program) error {
	version, revision := "unknown", ""
	if info, ok := debug.ReadBuildInfo(); ok {
		version = info.Main.Version
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				revision = ", revision " + s.Value[:min(12, len(s.Value))]
			}
		}
	}
	_, err := fmt.Fprintf(p.out, "roomcast %s%s, %s %s/%s\n", version, revision, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return err
}
