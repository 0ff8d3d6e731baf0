package main

import (
	"io"
	"log/slog"
	"os"

	"github.com/alecthomas/kong"
)

// commands is the command line; its tags are what --help shows, and what is allowed.
type commands struct {
	Serve   serveCommand   `cmd:"" help:"Run one node. It serves the room chat that 'demo' shows: its page on /, its events (join, message) for any Socket.IO client."`
	Health  healthCommand  `cmd:"" help:"Ask the node of this machine whether it takes clients, at its admin listener; exit code 0 or 1. For health checks of containers."`
	Demo    demoCommand    `cmd:"" help:"Run several nodes in one process, each with a chat page, and a Redis of their own."`
	Version versionCommand `cmd:"" help:"Print the version."`
}

// helpWidth is how wide the help is at most; a narrower terminal has it narrower.
const helpWidth = 100

// newParser makes the parser of the command line into c. exit is called after the help
// was shown.
func newParser(c *commands, out, errOut io.Writer, exit func(int)) (*kong.Kong, error) {
	return kong.New(c,
		kong.Name("node"),
		kong.Description("A Socket.IO server that scales out. Each flag is also read from the environment: "+
			"--ping-interval from ROOMCAST_PING_INTERVAL, and so on. The command line wins."),
		kong.DefaultEnvars("ROOMCAST"),
		kong.ConfigureHelp(kong.HelpOptions{WrapUpperBound: helpWidth}),
		kong.ValueFormatter(helpText),
		kong.Writers(out, errOut),
		kong.Exit(exit),
	)
}

// helpText is what --help says of a flag: its default too, where the flag itself shows
// what can be given instead.
func helpText(v *kong.Value) string {
	if v.Flag == nil || v.Flag.PlaceHolder == "" || v.Default == "" {
		return v.Help
	}
	return v.Help + " Default: " + v.Default + "."
}

// logFlags say how to log.
type logFlags struct {
	Format string `default:"auto" placeholder:"auto|text|json" allowed:"auto,text,json" help:"Log as text or as JSON; auto is text on a terminal and JSON elsewhere."`
	Level  string `placeholder:"debug|info|warn|error" allowed:"debug,info,warn,error" help:"Least level that is logged. Default: info, and warn for demo."`
}

// logger returns a logger that writes to w, from level on unless the flags name another.
func (f logFlags) logger(w io.Writer, level slog.Level) *slog.Logger {
	if f.Level != "" {
		_ = level.UnmarshalText([]byte(f.Level)) // it is one of those that are allowed
	}
	options := &slog.HandlerOptions{Level: level}
	if f.Format == "text" || f.Format == "auto" && isTerminal(w) {
		return slog.New(slog.NewTextHandler(w, options))
	}
	return slog.New(slog.NewJSONHandler(w, options))
}

func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
