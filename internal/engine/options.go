package engine

import (
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"time"
)

// SlowConsumerPolicy says what happens to a session whose send queue is full.
type SlowConsumerPolicy int

const (
	// DisconnectSlow closes the session with ReasonTransportError. A volatile
	// message is dropped whenever the transport is not writable at once.
	DisconnectSlow SlowConsumerPolicy = iota
	// DropVolatile lets volatile messages wait in the queue too and drops them
	// when it is full. Any other message that finds it full closes the session.
	DropVolatile
)

// Options configures an Engine. Zero values are the defaults. Where a limit can
// be switched off, a negative value does so.
type Options struct {
	// PingInterval is the time between a pong, or the opening, and the next ping. Default 25 s.
	PingInterval time.Duration
	// PingTimeout is how long a pong may take. Default 20 s.
	PingTimeout time.Duration
	// UpgradeTimeout bounds the time from opening a WebSocket for a polling
	// session to its upgrade packet. Default 10 s.
	UpgradeTimeout time.Duration
	// ReadBodyTimeout bounds the reading of a whole POST body. Default 20 s.
	ReadBodyTimeout time.Duration
	// WriteTimeout is how long a write may go without progress. Default 10 s.
	WriteTimeout time.Duration
	// CloseTimeout bounds what a closed WebSocket still does: writing its queue
	// and the close handshake. Default 5 s; no more than 3 s after Drain or Close.
	CloseTimeout time.Duration
	// FragmentTimeout bounds the time from the first byte of a WebSocket message
	// to its last. Default 30 s; negative: off.
	FragmentTimeout time.Duration

	// ParkAfter is how long a WebSocket session gets nothing but heartbeats before
	// it is parked: it then has no goroutine, no read buffer and no timer until its
	// client sends something. Only Linux can do that, and not for TLS. A client that has
	// said one thing at most is parked after 20 ms, if that is sooner. Default 250 ms;
	// negative: off.
	ParkAfter time.Duration
	// ReleaseMemoryAfter is the time after which the process collects its garbage
	// and gives unused memory back to the system when many sessions have come or
	// gone: 1000 at least, and an eighth of those that are open. Default 30 s;
	// negative: off.
	ReleaseMemoryAfter time.Duration

	// MaxPayload is the largest WebSocket message, after inflating, and the
	// largest POST body that is accepted, in bytes. Default 1,000,000.
	MaxPayload int64
	// MaxFragments is the largest number of frames in a WebSocket message.
	// Default 10,000; negative: off.
	MaxFragments int
	// MaxSendQueueBytes bounds what waits to be sent in one session. A single
	// message is taken whatever its size when nothing else waits. Reading from a
	// session stops while half of it is used. Default 4 MiB.
	MaxSendQueueBytes int64
	// SlowConsumer is the policy for a full send queue. Default DisconnectSlow.
	SlowConsumer SlowConsumerPolicy
	// MaxConnections bounds the number of sessions; beyond it handshakes are
	// answered 503 with Retry-After. Default and negative: off.
	MaxConnections int
	// MaxHandshakesPerSecond bounds the rate of handshakes, with bursts of one
	// second's worth; beyond it they are answered 503 with Retry-After.
	// Default and negative: off.
	MaxHandshakesPerSecond int

	// Transports lists what clients may use: "polling", "websocket". Default both.
	Transports []string
	// DisableUpgrades keeps sessions on the transport they were opened with.
	DisableUpgrades bool
	// PerMessageDeflate switches compression on WebSockets on. Default nil: off.
	PerMessageDeflate *PerMessageDeflate
	// HTTPCompressionThreshold is the size in bytes from which on the answer to a
	// poll is compressed, with gzip or deflate if the client accepts them. One that
	// holds an uncompressed Message or a packet of the protocol's own is not.
	// Default 1024; negative: off.
	HTTPCompressionThreshold int
	// CORS says which origins may connect. Default nil: no CORS header is sent
	// and WebSockets are accepted from any origin.
	CORS *CORS
	// Cookie switches a cookie with the session's id on. Name defaults to "io",
	// Path to "/", SameSite to Lax; it is always HttpOnly, and Secure over TLS.
	// Default nil: off.
	Cookie *http.Cookie

	// AllowRequest is asked before a session is opened. The text of its error is
	// sent to the client. It is called concurrently. Default nil: all are allowed.
	AllowRequest func(*http.Request) error
	// InitialHeaders may add to the headers of a session's first response. It is
	// called concurrently, as Headers is. Default nil.
	InitialHeaders func(http.Header, *http.Request)
	// Headers may add to the headers of every response. Default nil.
	Headers func(http.Header, *http.Request)
	// OnRefused is told of each request that was refused: handshakes, upgrades,
	// and whatever names no session that could take it. What ends a session later
	// is no refusal. It is called concurrently, before the answer is sent, and must
	// not keep the request. Default nil.
	OnRefused func(*http.Request, Refusal)

	// NewID makes the id of the session that a request opens: 1 to 128 ASCII
	// letters, digits, "-", ".", "_" and "~", which no session has, and which
	// nobody can guess. A request whose id is not of that kind, or for which NewID
	// fails, is refused with code 3; clients do not see the error. It is called
	// concurrently. Default nil: 96 random bits and the tag, as 20 characters of
	// URL-safe base64.
	NewID func(*http.Request) (string, error)
	// Elsewhere is asked about a request that names a session which is not here, before
	// anything else is done with it. It returns nil when it has answered, or taken the
	// connection over. With an error the request is refused: with status 503 if that is
	// ErrFull or ErrClosing, else with code 1. It is called concurrently, may block, and may panic with
	// http.ErrAbortHandler. Default nil: such requests are refused.
	Elsewhere func(w http.ResponseWriter, r *http.Request, id string) error
	// Tag returns the 24-bit number that ends the ids of the default NewID.
	// Default nil: 24 more random bits.
	Tag func() uint32
	// Logger gets panics, refusals and the causes of closed sessions. Clients can
	// make it write one line per request; each kind of line has its own fixed
	// message, by which a handler can limit them. Default slog.Default().
	Logger *slog.Logger
}

// PerMessageDeflate configures compression on WebSockets, which is negotiated
// without context takeover in both directions.
type PerMessageDeflate struct {
	// Threshold is the size in bytes from which on a text or an attachment is
	// compressed. Default 1024; negative: all are.
	Threshold int
}

// The names of the transports.
const (
	transportPolling   = "polling"
	transportWebSocket = "websocket"
)

// withDefaults returns o with its zero fields set. Its error names the field
// that has no meaning.
func (o Options) withDefaults() (Options, error) {
	durations := []struct {
		name  string
		field *time.Duration
		value time.Duration
	}{
		{"PingInterval", &o.PingInterval, 25 * time.Second},
		{"PingTimeout", &o.PingTimeout, 20 * time.Second},
		{"UpgradeTimeout", &o.UpgradeTimeout, 10 * time.Second},
		{"ReadBodyTimeout", &o.ReadBodyTimeout, 20 * time.Second},
		{"WriteTimeout", &o.WriteTimeout, 10 * time.Second},
		{"CloseTimeout", &o.CloseTimeout, 5 * time.Second},
	}
	for _, d := range durations {
		if *d.field < 0 {
			return o, fmt.Errorf("engine: option %s is negative", d.name)
		}
		setDefault(d.field, d.value)
	}
	setDefault(&o.FragmentTimeout, 30*time.Second)
	setDefault(&o.ParkAfter, defaultParkAfter)
	setDefault(&o.ReleaseMemoryAfter, 30*time.Second)
	setDefault(&o.MaxPayload, 1_000_000)
	setDefault(&o.MaxFragments, 10_000)
	setDefault(&o.MaxSendQueueBytes, 4<<20)
	setDefault(&o.HTTPCompressionThreshold, 1024)
	setDefault(&o.Logger, slog.Default())
	if len(o.Transports) == 0 {
		o.Transports = []string{transportPolling, transportWebSocket}
	}
	if o.PerMessageDeflate != nil {
		threshold := o.PerMessageDeflate.Threshold
		setDefault(&threshold, 1024)
		o.PerMessageDeflate = &PerMessageDeflate{Threshold: max(threshold, 0)}
	}
	return o, o.validate()
}

func (o *Options) validate() error {
	switch {
	case o.MaxPayload < 0:
		return fmt.Errorf("engine: option MaxPayload is negative")
	case o.MaxSendQueueBytes < 0:
		return fmt.Errorf("engine: option MaxSendQueueBytes is negative")
	case o.SlowConsumer != DisconnectSlow && o.SlowConsumer != DropVolatile:
		return fmt.Errorf("engine: option SlowConsumer has the unknown value %d", o.SlowConsumer)
	}
	for _, t := range o.Transports {
		if t != transportPolling && t != transportWebSocket {
			return fmt.Errorf("engine: option Transports names the unknown transport %q", t)
		}
	}
	return o.CORS.validate()
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// has says whether clients may use the transport.
func (o *Options) has(transport string) bool { return slices.Contains(o.Transports, transport) }

// upgrades says whether a polling session may become a WebSocket.
func (o *Options) upgrades() bool { return !o.DisableUpgrades && o.has(transportWebSocket) }

// ConfigureServer sets the limits that only an http.Server can hold, where they
// are zero: ReadHeaderTimeout to 10 s, IdleTimeout to 60 s, MaxHeaderBytes to
// 16 KiB, to which net/http adds 4 KiB of its own.
func ConfigureServer(server *http.Server) {
	setDefault(&server.ReadHeaderTimeout, 10*time.Second)
	setDefault(&server.IdleTimeout, 60*time.Second)
	setDefault(&server.MaxHeaderBytes, 16<<10)
}
