package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/alecthomas/kong"

	"github.com/roomcast/roomcast/pkg/server"
)

// pingTimeout is how long a check waits for Redis.
const pingTimeout = 3 * time.Second

// usageError is one of the command line, which only shows when it is carried out.
type usageError struct{ error }

// Unwrap returns the error itself.
func (e usageError) Unwrap() error { return e.error }

// validate fails for what the library would refuse of this configuration. Nothing listens,
// and the network is not used.
func (c *serveCommand) validate(ctx context.Context) error {
	b, err := c.Bus.open(slog.New(slog.DiscardHandler))
	if err != nil {
		return usageError{err}
	}
	if err := b.close(); err != nil {
		return err
	}
	s, err := server.New(c.Server.options(slog.New(slog.DiscardHandler)))
	if err != nil {
		return usageError{err}
	}
	return s.Shutdown(ctx)
}

// report prints the effective configuration without its secrets, and whether Redis
// answers. That it does not is no error: a node starts without it.
func (c *serveCommand) report(p *program) error {
	if err := c.validate(p.ctx); err != nil {
		return err
	}
	if err := p.settings.write(p.out); err != nil {
		return err
	}
	if !c.Bus.Redis.named() {
		_, err := fmt.Fprintln(p.out, "This configuration is valid.")
		return err
	}
	_, err := fmt.Fprintf(p.out, "This configuration is valid. %s\n", c.Bus.ping(p.ctx))
	return err
}

// ping says in a sentence whether Redis answers.
func (f *busFlags) ping(ctx context.Context) string {
	client, _, err := f.Redis.connect()
	if err != nil {
		return err.Error()
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, pingTimeout)
	defer cancel()
	if err := client.Ping(ctx).Err(); err != nil {
		return fmt.Sprintf("Redis does not answer: %v. The node starts all the same, and goes on trying.", err)
	}
	return "Redis answers."
}

// write prints the settings that have a value, group by group, and where it is from.
func (s settings) write(w io.Writer) error {
	columns := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, group := range groupsOf(s.flags) {
		if group == "" {
			continue // --check itself
		}
		fmt.Fprintf(columns, "%s\t\n", group)
		for _, flag := range s.flags {
			if groupOf(flag) == group && (flag.HasDefault || flag.IsBool() || !flag.Target.IsZero()) {
				fmt.Fprintf(columns, "  --%s=%s\t%s\n", flag.Name, shown(flag), s.origin(flag))
			}
		}
	}
	if err := columns.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintln(w)
	return err
}

// groupsOf lists the groups of flags, in the order of the help.
func groupsOf(flags []*kong.Flag) []string {
	var groups []string
	for _, flag := range flags {
		if group := groupOf(flag); !slices.Contains(groups, group) {
			groups = append(groups, group)
		}
	}
	return groups
}

func groupOf(flag *kong.Flag) string {
	if flag.Group == nil {
		return ""
	}
	return flag.Group.Title
}

// origin says where a flag has its value from.
func (s settings) origin(flag *kong.Flag) string {
	switch {
	case s.onLine[flag.Name]:
		return "command line"
	case s.fromEnvironment(flag):
		return "environment"
	}
	return "default"
}
