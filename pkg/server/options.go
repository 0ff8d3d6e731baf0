package server

import (
	"cmp"
	"context"
	"crypto/x509"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"github.com/roomcast/roomcast/internal/loglimit"
	"github.com/roomcast/roomcast/pkg/adapter"
	"github.com/roomcast/roomcast/pkg/adapter/memory"
	"github.com/roomcast/roomcast/pkg/packet"
)

// logLinesPerSecond bounds equal log lines, so that hostile clients cannot fill
// the disk.
const logLinesPerSecond = 10

// minConnectionAge keeps clients from spending their time on coming back.
const minConnectionAge = time.Second

// CORS says which foreign origins may connect. See Options.CORS.
type CORS struct {
	// Origins are those that may connect, such as "https://example.com", or "*"
	// alone for all.
	Origins []string
	// Credentials allows requests with cookies. It cannot be combined with "*": any
	// site could then act with the cookies of its visitors.
	Credentials bool
}

// Deflate configures WebSocket compression. See Options.PerMessageDeflate.
type Deflate struct {
	// Threshold is the size in bytes from which a message is compressed. Default
	// 1024; negative: all are.
	Threshold int
}

// SlowConsumerPolicy says what happens to volatile events for a client whose
// send queue is in use. See Options.SlowConsumer.
type SlowConsumerPolicy int

const (
	// DisconnectSlow drops a volatile event whenever the client is not writable at
	// once.
	DisconnectSlow SlowConsumerPolicy = iota
	// DropVolatile lets volatile events wait in the queue too, and drops them when it
	// is full.
	DropVolatile
)

// Options configures a Server. The zero value is a good server of one node. Zero
// fields mean their default; where "negative: off" is said, a negative value
// turns the limit off.
type Options struct {
	// Adapter connects the nodes of a cluster. Nil means a cluster of this one node.
	Adapter adapter.Adapter
	// Logger gets the server's logs, at most ten equal lines per second. Nil means
	// slog.Default(). Text that comes from clients is quoted and cut. Its handler must
	// not emit through the server that logs.
	Logger *slog.Logger

	// PingInterval is the time between two heartbeats sent to a client. Default 25 s.
	PingInterval time.Duration
	// PingTimeout is how long a client may take to answer a heartbeat. Default 20 s.
	PingTimeout time.Duration
	// UpgradeTimeout bounds a transport upgrade; after it the session goes on
	// polling. Default 10 s.
	UpgradeTimeout time.Duration
	// ConnectTimeout is how long a client may stay without having joined a
	// namespace before it is closed. Default 45 s.
	ConnectTimeout time.Duration
	// ReadBodyTimeout bounds the reading of one POST body. Default 20 s.
	ReadBodyTimeout time.Duration
	// WriteTimeout is how long a write to a client may go without progress before
	// the client is closed. Default 10 s.
	WriteTimeout time.Duration
	// CloseTimeout bounds the WebSocket close handshake. Default 5 s.
	CloseTimeout time.Duration
	// AttachmentTimeout is the longest time from a packet's header to its last
	// attachment; after it the client is closed. Default 30 s.
	AttachmentTimeout time.Duration

	// MaxPayload is the size in bytes of the largest WebSocket message or POST body
	// that is accepted, after inflating. It is announced to clients. Default 1,000,000.
	MaxPayload int64
	// MaxFragments is the largest number of frames of one WebSocket message. Default 10,000.
	MaxFragments int
	// FragmentTimeout is the longest time that a WebSocket message may stay
	// unfinished. Default 30 s.
	FragmentTimeout time.Duration
	// ParkAfter is how long a WebSocket connection carries nothing but heartbeats
	// from its client before it is parked: from then on it has no goroutine, no read
	// buffer and no timer, until the client sends something. That is possible on
	// Linux only, and not for connections whose TLS this process terminates; others
	// keep their goroutine. A client that has said one thing at most is parked after
	// 20 ms, if that is sooner. Default 250 ms; negative: off.
	ParkAfter time.Duration
	// ReleaseMemoryAfter is the time after which unused memory goes back to the
	// operating system when many clients have come or gone: at least 1,000, and an
	// eighth of those that are connected. It concerns the whole process, whose garbage
	// is collected for it. Default 30 s; negative: off.
	ReleaseMemoryAfter time.Duration
	// MaxSendQueueBytes bounds what waits for a client that does not read. Beyond it
	// the client is closed: TransportError, with ErrSlowConsumer as the cause. One message
	// may wait whatever its size; events that were sent together, of up to 64 KiB, are one.
	// Default 4 MiB.
	MaxSendQueueBytes int64
	// SlowConsumer is what happens to volatile events when a client does not read
	// fast enough. Any other event that finds the queue full closes the client.
	// Default DisconnectSlow.
	SlowConsumer SlowConsumerPolicy
	// MaxConnections bounds the sessions of this node; beyond it a handshake is
	// answered with 503 and Retry-After, before AllowRequest is asked. Default: off.
	MaxConnections int
	// MaxHandshakesPerSecond bounds the rate of new sessions; beyond it a handshake
	// is answered with 503 and Retry-After, before AllowRequest is asked. Default: off.
	MaxHandshakesPerSecond int
	// MaxConnectionAge bounds how long a client stays connected to this node, so that
	// clients spread over nodes that came later: they come back by themselves. Each is
	// let go at an age between four fifths of it and all of it, as by Drain but with
	// ForcedClose; one that is busy may stay a tenth longer. Not less than 1 s.
	// Default: off.
	MaxConnectionAge time.Duration

	// MaxAttachments is the largest number of binary parts of a packet, in both
	// directions. Default 10, which is also what official clients accept.
	MaxAttachments int
	// MaxAttachmentBytes bounds the binary parts of one packet from a client.
	// Default MaxAttachments × MaxPayload.
	MaxAttachmentBytes int64
	// MaxJSONDepth bounds the nesting of what clients send. Default 1,000, which is
	// also what travels between nodes over Redis.
	MaxJSONDepth int
	// MaxNamespacesPerConnection bounds the namespaces that one client has joined at
	// a time. Default 100; negative: off.
	MaxNamespacesPerConnection int
	// MaxConnectAttempts bounds the CONNECT packets of one connection; beyond it the
	// client is closed. Default 1,000; negative: off.
	MaxConnectAttempts int
	// MaxNamespaceLength bounds a namespace's name in bytes. Default 512.
	MaxNamespaceLength int
	// MaxDynamicNamespaces bounds the namespaces of this node that exist because a
	// function of OfFunc accepted them. Default 10,000; negative: off.
	MaxDynamicNamespaces int
	// MaxRoomsPerSocket bounds the rooms of one socket; beyond it Join fails with
	// ErrTooManyRooms. Default 10,000; negative: off.
	MaxRoomsPerSocket int
	// MaxPendingAcks bounds the acknowledgements awaited from one socket; beyond it
	// Call fails with ErrTooManyAcks. Default 10,000; negative: off.
	MaxPendingAcks int
	// MaxEventsInFlight bounds the events of one connection that wait for handlers.
	// At the limit nothing more is read from the client, and its ping deadline is
	// suspended; while a handler waits in Call reading goes on up to twice the limit,
	// then the client is closed. Default 1,000.
	MaxEventsInFlight int
	// MaxEventBytesInFlight is the same limit in bytes. Default 4 MiB.
	MaxEventBytesInFlight int64

	// Transports are those that clients may use: "polling", "websocket". Default: both.
	Transports []string
	// DisableUpgrades keeps polling sessions from moving to WebSocket.
	DisableUpgrades bool
	// PerMessageDeflate turns on WebSocket compression when not nil. It costs memory
	// for each connection.
	PerMessageDeflate *Deflate
	// CORS names the foreign origins that may connect, over polling and WebSocket
	// alike; any other is refused with 403. The server's own host may always
	// connect. Nil: no CORS header is sent and no origin is refused, as in the
	// reference.
	CORS *CORS
	// Cookie sets a cookie with the session's id in the handshake when not nil, for
	// load balancers. Name defaults to "io", Path to "/", SameSite to Lax; it is
	// always HttpOnly, and Secure over TLS.
	Cookie *http.Cookie
	// AllowRequest is asked before a session is made; its error's text is sent to the
	// client with status 403.
	AllowRequest func(*http.Request) error
	// InitialHeaders may add to the headers of the first response of a session.
	InitialHeaders func(http.Header, *http.Request)
	// Headers may add to the headers of each response.
	Headers func(http.Header, *http.Request)

	// HTTPCompressionThreshold is the size in bytes from which answers to polling
	// requests are compressed, for clients that accept it. Default 1024; negative: off.
	HTTPCompressionThreshold int
	// Parser is how packets are written on the wire; clients must have the same.
	// Nil: the parser of the Socket.IO protocol. Package parser/msgpack has another.
	Parser packet.Parser
	// Recovery gives clients that come back within a while their id, rooms, data and
	// the events that they missed. Nil: off. It needs an Adapter that is an
	// adapter.RecoveryStore: that of package adapter/memory, or the one of package
	// adapter/redis that uses streams, with which clients recover on other nodes too, also
	// when theirs was killed. Without an Adapter everything is kept in this process.
	Recovery *Recovery
	// GenerateID makes the ids of sessions, which must be unique and not to be
	// guessed: 1 to 128 letters, digits, "-", "_", "." or "~". An error refuses the client. Nil:
	// 96 random bits and the node's tag. Ids of sockets are not concerned.
	GenerateID func(*http.Request) (string, error)
	// OnConnectionError is told of each request that was refused, before the answer
	// is sent. It is called concurrently and must not keep the request.
	OnConnectionError func(ConnectionError)
	// Client holds the files of the browser client: socket.io.js, socket.io.min.js,
	// socket.io.esm.min.js, socket.io.msgpack.min.js and their source maps. They are
	// served under the server's path, where pages look for them. Nil: off.
	Client fs.FS

	// Advertise is the URL at which the other nodes of the cluster reach this one, such as
	// "http://10.0.0.7:3000": scheme, host and port. What clients have below it is what they
	// have here. Requests for this node's sessions that come to another node are then
	// forwarded to it. It needs ClusterSecret. Empty: they are not, and are refused there.
	Advertise string
	// ClusterSecret is the same on all nodes of a cluster, at least 16 bytes, and known to
	// nobody else. With it this node forwards requests that name a session of another node
	// to that node, so that the load balancer need not be sticky; the nodes sign what they
	// announce and forward. Their clocks may differ by 30 s. Nil: nothing is forwarded.
	ClusterSecret []byte
	// ClusterAuthorities vouch for the certificates of other nodes whose Advertise begins with
	// https. Nil: those of the system.
	ClusterAuthorities *x509.CertPool
	// dial replaces the way to other nodes, for tests.
	dial func(ctx context.Context, network, address string) (net.Conn, error)

	// Application names the program that this server is part of. Servers that hear each
	// other and have different ones say so in the log: they share a backend by mistake,
	// if it was not by intent. Default: the path of the program's main package, as far as
	// the build tells.
	Application string
	// Drained is called once by Drain when all clients have been let go, before the server
	// shuts down: the moment to stop listening. Requests for other nodes' sessions are
	// forwarded until it returns, and none that comes later is cut off. It is to return when
	// those under way have ended, as http.Server.Shutdown does, and when its context ends,
	// which is that of Drain. Nil: Drain shuts down at once.
	Drained func(context.Context)
	// Observer is told of what happens to the node. Nil: nobody is.
	Observer *Observer

	// RequestTimeout is how long calls to other nodes wait for answers when their
	// context has no deadline. Default 5 s.
	RequestTimeout time.Duration
	// HeartbeatInterval is the time between two heartbeats among nodes. Default 5 s.
	HeartbeatInterval time.Duration
	// HeartbeatTimeout is the silence after which a node counts as dead. Default 10 s.
	HeartbeatTimeout time.Duration
}

// withDefaults returns o with every zero field set.
func (o Options) withDefaults() Options {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	o.Logger = slog.New(loglimit.New(o.Logger.Handler(), logLinesPerSecond))
	o.ConnectTimeout = cmp.Or(o.ConnectTimeout, 45*time.Second)
	o.AttachmentTimeout = cmp.Or(o.AttachmentTimeout, 30*time.Second)
	o.MaxPayload = cmp.Or(o.MaxPayload, 1_000_000)
	o.MaxAttachments = cmp.Or(o.MaxAttachments, 10)
	o.MaxAttachmentBytes = cmp.Or(o.MaxAttachmentBytes, int64(o.MaxAttachments)*o.MaxPayload)
	o.MaxJSONDepth = cmp.Or(o.MaxJSONDepth, 1000)
	o.MaxNamespacesPerConnection = cmp.Or(o.MaxNamespacesPerConnection, 100)
	o.MaxConnectAttempts = cmp.Or(o.MaxConnectAttempts, 1000)
	o.MaxNamespaceLength = cmp.Or(o.MaxNamespaceLength, 512)
	o.MaxDynamicNamespaces = cmp.Or(o.MaxDynamicNamespaces, 10_000)
	o.MaxRoomsPerSocket = cmp.Or(o.MaxRoomsPerSocket, 10_000)
	o.MaxPendingAcks = cmp.Or(o.MaxPendingAcks, 10_000)
	o.MaxEventsInFlight = cmp.Or(o.MaxEventsInFlight, 1000)
	o.MaxEventBytesInFlight = cmp.Or(o.MaxEventBytesInFlight, 4<<20)
	o.MaxSendQueueBytes = cmp.Or(o.MaxSendQueueBytes, 4<<20)
	o.RequestTimeout = cmp.Or(o.RequestTimeout, 5*time.Second)
	o.Application = cmp.Or(o.Application, mainPackage())
	if o.Recovery != nil {
		o.Recovery = o.Recovery.withDefaults()
		if o.Adapter == nil {
			o.Adapter = memory.New()
		}
	}
	return o
}

// validate refuses what no default replaces; the engine validates what it is given.
func (o *Options) validate() error {
	for _, field := range []struct {
		name  string
		value int64
	}{
		{"ConnectTimeout", int64(o.ConnectTimeout)},
		{"AttachmentTimeout", int64(o.AttachmentTimeout)},
		{"MaxAttachments", int64(o.MaxAttachments)},
		{"MaxAttachmentBytes", o.MaxAttachmentBytes},
		{"MaxJSONDepth", int64(o.MaxJSONDepth)},
		{"MaxNamespaceLength", int64(o.MaxNamespaceLength)},
		{"MaxEventsInFlight", int64(o.MaxEventsInFlight)},
		{"MaxEventBytesInFlight", o.MaxEventBytesInFlight},
		{"RequestTimeout", int64(o.RequestTimeout)},
		{"HeartbeatInterval", int64(o.HeartbeatInterval)},
		{"HeartbeatTimeout", int64(o.HeartbeatTimeout)},
	} {
		if field.value < 0 {
			return fmt.Errorf("server: option %s is negative", field.name)
		}
	}
	if err := o.validateForwarding(); err != nil {
		return err
	}
	if o.MaxConnectionAge != 0 && o.MaxConnectionAge < minConnectionAge {
		return fmt.Errorf("server: option MaxConnectionAge is less than %v", minConnectionAge)
	}
	return o.Recovery.validate(o.Adapter)
}

// mainPackage returns the path of the program's main package, or nothing if the build
// does not tell, or tells no name that distinguishes programs.
func mainPackage() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Path == "command-line-arguments" {
		return ""
	}
	return info.Path
}

// exceeds says whether n is over limit, where a negative limit is off.
func exceeds(n, limit int) bool { return limit >= 0 && n > limit }

// validNamespace says whether name can be a namespace's: a slash and then
// printable text without a comma, which ends a namespace on the wire.
func validNamespace(name string, maxLength int) bool {
	return strings.HasPrefix(name, "/") && len(name) <= maxLength && !strings.Contains(name, ",")
}
