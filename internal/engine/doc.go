// Package engine serves Engine.IO protocol 4 as an http.Handler that yields
// Sessions: long-polling, WebSocket, the upgrade from one to the other,
// heartbeats, limits and send queues. It knows neither Socket.IO nor rooms.
//
// A Session outlives its transport. What is sent arrives in the order of the
// calls to Send, whichever transport carries it, and at most once. Nothing in
// this package calls a Receiver with a lock held.
package engine
