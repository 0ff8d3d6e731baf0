package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/roomcast/roomcast/pkg/server"
)

// commands is the command line; its tags are what --help shows.
type commands struct {
	Serve   serveCommand   `cmd:"" help:"Run one node. It serves the room chat that 'demo' shows: its page on /, its events (join, message) for any Socket.IO client."`
	Health  healthCommand  `cmd:"" help:"Ask the node of this machine whether it takes clients, at its admin listener; exit code 0 or 1. For health checks of containers."`
	Demo    demoCommand    `cmd:"" help:"Run several nodes in one process, each with a chat page, and a Redis of their own."`
	Version versionCommand `cmd:"" help:"Print the version."`

	Log logFlags `embed:"" prefix:"log-"`
}

// logFlags say how to log.
type logFlags struct {
	Format string      `enum:"auto,text,json" default:"auto" help:"Log as text or as JSON; auto is text on a terminal and JSON elsewhere."`
	Level  *slog.Level `placeholder:"LEVEL" help:"Least level that is logged: debug, info, warn or error. Default: info, and warn for demo."`
}

// logger returns a logger that writes to w, from level on unless the flags name another.
func (f logFlags) logger(w io.Writer, level slog.Level) *slog.Logger {
	if f.Level != nil {
		level = *f.Level
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

// serverFlags are the settings of the server itself.
type serverFlags struct {
	Path            string   `default:"/socket.io/" help:"Path of the Socket.IO endpoint."`
	Transports      []string `enum:"polling,websocket" default:"polling,websocket" help:"Transports that clients may use."`
	CORSOrigin      []string `name:"cors-origin" placeholder:"ORIGIN" help:"Foreign origins that may connect; '*' is any. Without it none is refused, and browsers of other origins cannot use polling."`
	CORSCredentials bool     `name:"cors-credentials" help:"Let browsers of those origins send cookies."`

	PingInterval   time.Duration `default:"25s" help:"Time between two heartbeats to a client."`
	PingTimeout    time.Duration `default:"20s" help:"How long a client may take to answer one."`
	UpgradeTimeout time.Duration `default:"10s" help:"How long the change from polling to WebSocket may take."`
	ConnectTimeout time.Duration `default:"45s" help:"How long a client may stay without having joined a namespace."`
	WriteTimeout   time.Duration `default:"10s" help:"How long a write to a client may make no progress."`

	Recovery time.Duration `default:"0" help:"How long a client may be away and come back to its rooms and to what it missed; 0 is off. Needs the adapter memory, or streams, with which clients come back to any node."`

	Application string `placeholder:"NAME" help:"Name of the application. Nodes that hear another one's warn of it: a prefix is then used twice. Default: the path of the program's main package."`

	MaxPayload             int64 `default:"1000000" help:"Largest message from a client, in bytes."`
	MaxSendQueue           int64 `default:"4194304" help:"Most bytes that may wait for a client that does not read; beyond it the client is closed."`
	MaxConnections         int   `default:"0" help:"Most clients at a time; 0 is no limit."`
	MaxHandshakesPerSecond int   `default:"0" help:"Most new clients per second; 0 is no limit."`
}

// Validate refuses values that mean something else to the library: there zero
// stands for the default.
func (f *serverFlags) Validate() error {
	for _, d := range []struct {
		flag  string
		value time.Duration
	}{
		{"ping-interval", f.PingInterval},
		{"ping-timeout", f.PingTimeout},
		{"upgrade-timeout", f.UpgradeTimeout},
		{"connect-timeout", f.ConnectTimeout},
		{"write-timeout", f.WriteTimeout},
		{"max-payload", time.Duration(f.MaxPayload)},
		{"max-send-queue", time.Duration(f.MaxSendQueue)},
	} {
		if d.value <= 0 {
			return fmt.Errorf("--%s must be more than 0", d.flag)
		}
	}
	if f.Recovery < 0 {
		return errors.New("--recovery is not negative; 0 is off")
	}
	if f.MaxConnections < 0 || f.MaxHandshakesPerSecond < 0 {
		return errors.New("a limit is not negative; 0 is no limit")
	}
	if len(f.Path) < 2 || f.Path[0] != '/' || f.Path[len(f.Path)-1] != '/' {
		return fmt.Errorf("--path %q must begin and end with a slash", f.Path)
	}
	return nil
}

// options are the library's, without an adapter.
func (f *serverFlags) options(log *slog.Logger) server.Options {
	o := server.Options{
		Logger:                 log,
		Transports:             f.Transports,
		PingInterval:           f.PingInterval,
		PingTimeout:            f.PingTimeout,
		UpgradeTimeout:         f.UpgradeTimeout,
		ConnectTimeout:         f.ConnectTimeout,
		WriteTimeout:           f.WriteTimeout,
		MaxPayload:             f.MaxPayload,
		MaxSendQueueBytes:      f.MaxSendQueue,
		MaxConnections:         f.MaxConnections,
		MaxHandshakesPerSecond: f.MaxHandshakesPerSecond,
		Application:            f.Application,
	}
	if f.Recovery > 0 {
		o.Recovery = &server.Recovery{MaxDisconnectionDuration: f.Recovery}
	}
	if len(f.CORSOrigin) > 0 || f.CORSCredentials {
		o.CORS = &server.CORS{Origins: f.CORSOrigin, Credentials: f.CORSCredentials}
	}
	return o
}
