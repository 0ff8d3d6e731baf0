// Package adapter is the seam between a roomcast server and what connects its
// nodes: Redis, a broker of your own, or the memory of one process.
//
// A backend implements Adapter and Link, three methods in all, and proves itself
// with adaptertest.Run. The server keeps rooms, encoding, acknowledgements,
// timeouts and membership to itself; an adapter moves messages. Further
// abilities are small interfaces that the server looks for: RoomObserver on a
// Link, Reporter on an Adapter.
package adapter
