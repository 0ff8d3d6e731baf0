// Package bus is a node's connections to Redis pub/sub: what is subscribed to, what
// is published, and whether both work. It knows no wire form; the messages are bytes
// to it.
package bus
