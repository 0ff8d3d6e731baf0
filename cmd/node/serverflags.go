package main

import (
	"time"

	"github.com/alecthomas/kong"
)

// serverFlags are the settings of the server itself. A flag has the name of its option,
// and zero means the same as there or is not allowed; where it is said to be off, it is
// what the option calls negative.
type serverFlags struct {
	Endpoint endpointFlags `embed:"" group:"Listening"`
	Clients  clientFlags   `embed:"" group:"Clients"`
	Browsers browserFlags  `embed:"" group:"Browsers"`
	Times    timeFlags     `embed:"" group:"Times"`
	Limits   limitFlags    `embed:"" group:"Limits"`
	Recovery recoveryFlags `embed:"" group:"Recovery"`
	Members  memberFlags   `embed:"" group:"Cluster"`
}

// defaultServerFlags are the settings where nothing is said.
func defaultServerFlags() (*serverFlags, error) {
	f := &serverFlags{}
	return f, kong.ApplyDefaults(f)
}

// endpointFlags say where the server is found.
type endpointFlags struct {
	Path   string `default:"/socket.io/" form:"path" help:"Path of the Socket.IO endpoint."`
	Client string `placeholder:"FOLDER" form:"folder" help:"Folder with the files of the browser client (socket.io.js, …), which are served under the path, where pages look for them."`
}

// clientFlags say how clients are spoken to.
type clientFlags struct {
	Transports                 []string `default:"polling,websocket" allowed:"polling,websocket" help:"Transports that clients may use."`
	DisableUpgrades            bool     `help:"Leave clients that began with polling there."`
	Parser                     string   `default:"socketio" placeholder:"socketio|msgpack" allowed:"socketio,msgpack" help:"How packets are written; clients have the same. msgpack is that of socket.io-msgpack-parser."`
	SlowConsumer               string   `default:"disconnect-slow" placeholder:"disconnect-slow|drop-volatile" allowed:"disconnect-slow,drop-volatile" help:"Volatile events for a client that does not read fast enough: dropped at once, or only when its queue is full."`
	PerMessageDeflate          bool     `help:"Compress WebSocket messages. It costs memory for each client."`
	PerMessageDeflateThreshold int      `default:"1024" min:"0" needs:"per-message-deflate" help:"Size in bytes from which a message is compressed; 0 is all."`
	HTTPCompressionThreshold   int      `name:"http-compression-threshold" default:"1024" min:"0" help:"Size in bytes from which answers to polling are compressed; 0 is off."`
}

// browserFlags are about pages and cookies.
type browserFlags struct {
	CORSOrigin      []string `name:"cors-origin" placeholder:"ORIGIN" help:"Foreign origins that may connect, such as https://example.com; '*' is any. Without it none is refused, and browsers of other origins cannot use polling."`
	CORSCredentials bool     `name:"cors-credentials" needs:"cors-origin" help:"Let browsers of those origins send cookies. Not with '*'."`

	Cookie         string        `placeholder:"NAME" form:"cookie-name" help:"Set a cookie of this name with the session's id, for load balancers that look at one."`
	CookiePath     string        `placeholder:"PATH" form:"cookie-path" needs:"cookie" help:"Path of the cookie. Default: /."`
	CookieDomain   string        `placeholder:"DOMAIN" form:"cookie-domain" needs:"cookie" help:"Domain of the cookie. Default: the host alone."`
	CookieMaxAge   time.Duration `placeholder:"TIME" min:"1s" needs:"cookie" help:"How long browsers keep the cookie. Default: until they are closed."`
	CookieSameSite string        `placeholder:"lax|strict|none" allowed:"lax,strict,none" needs:"cookie" help:"To which sites the cookie goes. Default: lax."`
	CookieSecure   bool          `needs:"cookie" help:"Send the cookie over TLS only, also when TLS ends in front of the node."`
}

// timeFlags are how long the server waits for clients.
type timeFlags struct {
	PingInterval      time.Duration `default:"25s" min:"1ms" max:"24h" help:"Time between two heartbeats to a client."`
	PingTimeout       time.Duration `default:"20s" min:"1ms" max:"24h" help:"How long a client may take to answer one."`
	UpgradeTimeout    time.Duration `default:"10s" min:"1ms" help:"How long the change from polling to WebSocket may take."`
	ConnectTimeout    time.Duration `default:"45s" min:"1ms" help:"How long a client may stay without having joined a namespace."`
	ReadBodyTimeout   time.Duration `default:"20s" min:"1ms" help:"How long the body of a POST may take."`
	WriteTimeout      time.Duration `default:"10s" min:"1ms" help:"How long a write to a client may make no progress."`
	CloseTimeout      time.Duration `default:"5s" min:"1ms" help:"How long the closing of a WebSocket may take."`
	AttachmentTimeout time.Duration `default:"30s" min:"1ms" help:"How long a client may take from a packet to its last attachment."`
	FragmentTimeout   time.Duration `default:"30s" min:"1ms" help:"How long a WebSocket message may stay unfinished."`

	ParkAfter          time.Duration `default:"250ms" min:"0s" help:"How long a WebSocket carries nothing but heartbeats before it is parked, which leaves it no goroutine and no buffer; 0 is never. On Linux, without TLS."`
	ReleaseMemoryAfter time.Duration `default:"30s" min:"0s" help:"How long after many clients have come or gone unused memory goes back to the system; 0 is never."`
}

// limitFlags bound what clients may cost.
type limitFlags struct {
	MaxPayload             int64         `default:"1000000" min:"1" help:"Largest message from a client, in bytes."`
	MaxSendQueueBytes      int64         `default:"4194304" min:"1" help:"Most bytes that may wait for a client that does not read; beyond it the client is closed."`
	MaxConnections         int           `default:"0" min:"0" help:"Most clients at a time; 0 is no limit."`
	MaxHandshakesPerSecond int           `default:"0" min:"0" help:"Most new clients per second; 0 is no limit."`
	MaxConnectionAge       time.Duration `default:"0s" min:"0s" help:"Longest time that a client stays connected to this node; then it comes back, maybe to a newer one. Each has its own limit, between four fifths of it and all of it; 0 is no limit."`

	MaxEventsInFlight          int   `default:"1000" min:"1" help:"Most events of one client that wait for handlers; at the limit nothing more is read from it."`
	MaxEventBytesInFlight      int64 `default:"4194304" min:"1" help:"The same limit in bytes."`
	MaxFragments               int   `default:"10000" min:"1" help:"Most frames of one WebSocket message."`
	MaxAttachments             int   `default:"10" min:"1" help:"Most binary parts of a packet, in both directions. Official clients accept 10."`
	MaxAttachmentBytes         int64 `default:"0" min:"0" help:"Most bytes of the binary parts of one packet from a client; 0 is --max-attachments times --max-payload."`
	MaxJSONDepth               int   `name:"max-json-depth" default:"1000" min:"1" help:"Deepest nesting of what clients send."`
	MaxNamespacesPerConnection int   `default:"100" min:"0" help:"Most namespaces that one client has joined; 0 is no limit."`
	MaxConnectAttempts         int   `default:"1000" min:"0" help:"Most attempts of one client to join a namespace; 0 is no limit."`
	MaxNamespaceLength         int   `default:"512" min:"1" help:"Longest name of a namespace, in bytes."`
	MaxDynamicNamespaces       int   `default:"10000" min:"0" help:"Most dynamic namespaces; 0 is no limit."`
	MaxRoomsPerSocket          int   `default:"10000" min:"0" help:"Most rooms of one socket; 0 is no limit."`
	MaxPendingAcks             int   `default:"10000" min:"0" help:"Most acknowledgements awaited from one socket; 0 is no limit."`
}

// recoveryFlags say what clients that come back find again.
type recoveryFlags struct {
	Recovery                time.Duration `default:"0s" min:"0s" for:"memory,streams" help:"How long a client may be away and come back to its rooms and to what it missed; 0 is off. With --adapter streams it comes back to any node."`
	RecoveryMaxRecords      int           `default:"10000" min:"1" needs:"recovery" help:"Most clients that are away of which this node keeps what they need."`
	RecoveryMaxRecordBytes  int64         `default:"65536" min:"1" needs:"recovery" help:"Most bytes that are kept of one such client: ids, rooms and data."`
	RecoveryMaxPackets      int           `default:"10000" min:"1" needs:"recovery" help:"Most events that a client may have missed."`
	RecoveryMaxLogBytes     int64         `default:"67108864" min:"1" needs:"recovery" for:"memory" help:"Most bytes of events that a namespace keeps; a stream has --stream-max-len."`
	RecoverySkipMiddlewares bool          `needs:"recovery" help:"Let clients that come back past the middlewares."`
}

// memberFlags are about the other nodes.
type memberFlags struct {
	Advertise         string        `placeholder:"URL" form:"node-url" needs:"cluster-secret" help:"URL at which the other nodes reach this one, such as http://10.0.0.7:3000, or auto: the first address of this machine that is not loopback, with the port on which the node listens. Requests for its clients that come to another node are then forwarded to it. Default: they are not."`
	ClusterSecret     string        `placeholder:"SECRET" form:"key" secret:"all" help:"Forward requests for clients of other nodes to these, so that the load balancer need not be sticky. 16 characters or more, the same on all nodes. Set it in the environment: a command line can be seen by other users. Default: nothing is forwarded."`
	ClusterCA         string        `name:"cluster-ca" placeholder:"FILE" form:"authorities" needs:"cluster-secret" help:"Authorities (PEM) that vouch for the certificates of other nodes whose URLs begin with https, instead of the system's. It is read when the node starts."`
	Application       string        `placeholder:"NAME" help:"Name of the application. Nodes that hear another one's warn of it: a prefix is then used twice. Default: the path of the program's main package."`
	RequestTimeout    time.Duration `default:"5s" min:"1ms" help:"How long calls to other nodes wait for answers."`
	HeartbeatInterval time.Duration `default:"5s" min:"1ms" help:"Time between two heartbeats among nodes."`
	HeartbeatTimeout  time.Duration `placeholder:"TIME" min:"1ms" help:"Silence after which a node counts as dead; more than the interval. Default: 10s, or twice the interval if that is more."`
}
