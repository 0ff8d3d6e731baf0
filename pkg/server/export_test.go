package server

import "context"

// Drain returns when everything that was emitted has been written.
func Drain(s *Server) { _ = s.fanout.tasks.wait(context.Background()) }
