// Package forward measures what it costs that a request comes to another node than its
// session's: `go test -run '^$' -bench . ./test/bench/forward`. Clients and nodes share
// one process, so what forwarding adds is the difference to the local case.
package forward
