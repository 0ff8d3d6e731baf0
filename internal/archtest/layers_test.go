package archtest

// module is the path that all packages of this project start with.
const module = "github.com/roomcast/roomcast/"

// layer is a set of packages that may import the lower layers, and not each other.
type layer struct {
	number int
	reason string
}

var (
	leaf      = layer{1, "a leaf is about one thing and can be read, tested and fuzzed alone"}
	seam      = layer{2, "a backend author depends on the seam; it must not drag a server along"}
	inside    = layer{3, "the parts of one backend can be read and tested alone; only that backend imports them"}
	middle    = layer{4, "backends and cluster duties meet only at the seam, so that each can be replaced"}
	api       = layer{5, "the server combines the layers below; nothing below may know it"}
	around    = layer{6, "what watches a server uses what every program can use of it"}
	top       = layer{7, "programs and tests wire everything; nothing imports them"}
	equipment = layer{0, "equipment for tests and builds knows nothing of the product, so that every test may use it"}
)

// place is where a package stands and which other modules it may import.
type place struct {
	layer layer
	// external is a list of module paths, each with what it is there for. Nil
	// means the standard library only.
	external map[string]string
}

const (
	modJSON      = "github.com/go-json-experiment/json"
	modKong      = "github.com/alecthomas/kong"
	modMiniredis = "github.com/alicebob/miniredis/v2"
	modMsgpack   = "github.com/tinylib/msgp"
	modOtel      = "go.opentelemetry.io/otel"
	modProm      = "github.com/prometheus/client_golang"
	modRedis     = "github.com/redis/go-redis/v9"
	modUUID      = "github.com/google/uuid"
	modWebSocket = "github.com/gorilla/websocket"
)

// places lists every package of the project; a new one is placed here first.
var places = map[string]place{
	"pkg/packet": {leaf, map[string]string{modJSON: "a packet's payload is JSON"}},

	"internal/room":     {leaf, nil},
	"internal/loglimit": {leaf, nil},
	"internal/msgpack": {leaf, map[string]string{
		modMsgpack: "it writes and reads MessagePack",
		modJSON:    "and turns it into JSON and back",
	}},
	"internal/engine": {leaf, map[string]string{modWebSocket: "a transport is a WebSocket"}},

	"pkg/adapter": {seam, nil},

	"pkg/adapter/memory":                {middle, nil},
	"pkg/adapter/adaptertest":           {middle, nil},
	"pkg/emitter":                       {middle, nil},
	"pkg/adapter/redis/internal/order":  {leaf, nil},
	"pkg/adapter/redis/internal/wire":   {inside, map[string]string{modJSON: "messages are JSON or MessagePack"}},
	"pkg/adapter/redis/internal/bus":    {inside, map[string]string{modRedis: "its connections are Redis'"}},
	"pkg/adapter/redis/internal/stream": {inside, map[string]string{modRedis: "a stream is Redis'"}},
	"pkg/adapter/redis":                 {middle, map[string]string{modRedis: "the only place that speaks Redis"}},
	"pkg/parser/msgpack":                {middle, nil},
	"internal/cluster":                  {middle, map[string]string{modUUID: "node ids are UUIDs"}},
	"internal/router":                   {middle, nil},

	"pkg/server": {api, map[string]string{modJSON: "arguments are JSON"}},

	"internal/admin": {around, nil},
	"pkg/adminui":    {around, nil},
	"pkg/metrics":    {around, map[string]string{modProm: "metrics are for Prometheus"}},
	"pkg/tracing":    {around, map[string]string{modOtel: "spans are OpenTelemetry's"}},

	"cmd/node": {top, map[string]string{
		modKong:      "command line",
		modRedis:     "the operator's URL becomes the adapter's client",
		modMiniredis: "the Redis that the demo brings along",
	}},

	"internal/archtest":   {equipment, nil},
	"internal/testcount":  {equipment, nil},
	"internal/benchcheck": {equipment, nil},
}

// free says of a package that may import what it likes, and why.
var free = map[string]string{
	"test":              "integration tests and benchmarks use whatever proves the point",
	"internal/testutil": "starts what tests need: Redis, containers, proxies",
	"internal/readme":   "the programs that README.md shows, as their readers would write them",
}

// neverBelow lists modules and packages that must not be reached from pkg/server
// on any path: who embeds the server would carry them in every program.
var neverBelow = map[string]string{
	modRedis:                     "a server without Redis must not carry its client",
	modKong:                      "a library parses no command line",
	modMiniredis:                 "a Redis server is for the demo and for tests",
	"github.com/prometheus":      "metrics are a package of their own",
	"go.opentelemetry.io":        "tracing is a package of its own",
	"github.com/testcontainers":  "test equipment",
	"go.uber.org/goleak":         "test equipment",
	"testing":                    "registers flags in every program that links it",
	"net/http/pprof":             "mounts debug pages on the default mux",
	"expvar":                     "mounts debug pages on the default mux",
	module + "cmd":               "programs use the server, not the reverse",
	module + "test":              "tests use the server, not the reverse",
	module + "pkg/adapter/redis": "the caller chooses the backend",
}

// mayImportTesting lists the packages outside tests that import testing.
var mayImportTesting = map[string]string{
	"pkg/adapter/adaptertest": "the kit is called from a backend's tests",
	"internal/testutil":       "helpers for tests take a testing.TB",
}
