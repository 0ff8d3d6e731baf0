package main

import (
	"context"
	"strconv"
	"time"
)

// curve is how some costs grow with a size.
type curve struct {
	// name is the one of --only, and of the picture's file.
	name string
	// axis says what the size is.
	axis string
	// sizes are visited in this order; short are those of --short.
	sizes, short []int
	peers        []peer
	figures      []figure
	// linear is an axis that is not logarithmic.
	linear bool
	// bytes says that the size is one of bytes, for which there are other words.
	bytes bool
	// isConnections says that the size is bounded by how many files may be open.
	isConnections bool
	measure       func(context.Context, *pass) error
}

// figure is a cost.
type figure struct {
	key, title, unit string
	// log is an axis that is logarithmic.
	log bool
}

// The figures that several curves have.
var (
	memoryFigure    = figure{key: "memory", title: "memory per connection", unit: "KB"}
	handshakeFigure = figure{key: "handshake", title: "CPU per handshake", unit: "µs"}
	deliveryFigure  = figure{key: "delivery", title: "CPU per delivery", unit: "µs"}
	rateFigure      = figure{key: "rate", title: "deliveries per second, saturated", unit: "thousand/s"}
)

// onLog is the same figure for what spans orders of magnitude.
func (f figure) onLog() figure {
	f.log = true
	return f
}

var curves = []*curve{
	{
		name: "connections", axis: "connections", linear: true, isConnections: true,
		sizes: []int{1000, 5000, 10_000, 15_000}, short: []int{8, 20},
		peers: both, figures: []figure{memoryFigure, handshakeFigure}, measure: measureConnections,
	},
	{
		name: "room-size", axis: "clients in the room",
		sizes: []int{10, 100, 1000, 10_000}, short: []int{5, 20},
		peers: both, figures: []figure{deliveryFigure, rateFigure}, measure: measureRoomSize,
	},
	{
		name: "rooms", axis: "rooms of five",
		sizes: []int{10, 100, 1000, 10_000, 100_000}, short: []int{4, 40},
		peers: both,
		figures: []figure{
			{key: "publish", title: "CPU per broadcast", unit: "µs"},
			{key: "join", title: "CPU per join", unit: "µs"},
		},
		measure: measureRooms,
	},
	{
		name: "nodes", axis: "nodes",
		sizes: []int{1, 2, 4, 8}, short: []int{1, 2},
		peers: []peer{roomcast, routed, socketIO},
		figures: []figure{
			{key: "delivery", title: "one room on all nodes: CPU per delivery", unit: "µs"},
			{key: "publish", title: "rooms of ten, each on one node: CPU per broadcast", unit: "µs"},
		},
		measure: measureNodes,
	},
	{
		name: "payload", axis: "payload", bytes: true,
		sizes: []int{64, 256, 1 << 10, 4 << 10, 16 << 10, 64 << 10}, short: []int{64, 64 << 10},
		peers: both, figures: []figure{deliveryFigure, rateFigure.onLog()}, measure: measurePayload,
	},
	{
		name: "namespaces", axis: "namespaces of a server",
		sizes: []int{1, 10, 100, 1000}, short: []int{1, 20},
		peers: both, figures: []figure{memoryFigure, handshakeFigure}, measure: measureNamespaces,
	},
	{
		name: "sockets", axis: "namespaces that a connection has joined",
		sizes: []int{1, 10, 100}, short: []int{1, 5},
		peers: both,
		figures: []figure{
			{key: "memory", title: "memory per socket", unit: "KB"},
			{key: "handshake", title: "CPU per socket's handshake", unit: "µs"},
		},
		measure: measureSockets,
	},
}

func names() []string {
	var all []string
	for _, c := range curves {
		all = append(all, c.name)
	}
	return all
}

// label is how a size is written.
func (c *curve) label(size int) string {
	switch {
	case c.bytes && size >= 1<<10:
		return strconv.Itoa(size>>10) + " KB"
	case c.bytes:
		return strconv.Itoa(size) + " B"
	}
	return thousands(size)
}

// thousands writes a number with a comma where English has one.
func thousands(n int) string {
	text := strconv.Itoa(n)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

// micros is d in the unit of the figures.
func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }
