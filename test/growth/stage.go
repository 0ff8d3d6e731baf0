package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/roomcast/roomcast/internal/testutil/process"
	"github.com/roomcast/roomcast/internal/testutil/redisproc"
)

// startLimit is how long a server may take to listen: eight may start at once.
const startLimit = 30 * time.Second

// server is a process that serves.
type server struct {
	process *process.Process
	output  *os.File
	addr    string
}

// stage is the servers of one measurement, and their clients.
type stage struct {
	redis   *redisproc.Server // nil where there is one server
	servers []*server
	crowd   *crowd
}

// open starts some servers of the pass' peer. More than one, or with clustered one, are a
// cluster.
func (p *pass) open(ctx context.Context, nodes int, clustered bool, s setup) (st *stage, err error) {
	st = &stage{crowd: newCrowd()}
	defer func() {
		if err != nil {
			st.close()
			st = nil
		}
	}()
	if clustered {
		if st.redis, err = redisproc.Launch(redisproc.Options{}); err != nil {
			return st, err
		}
		s.redis = st.redis.Addr()
	}
	for range nodes {
		started, err := start(p.peer.command(p.programs, s))
		if err != nil {
			return st, err
		}
		st.servers = append(st.servers, started)
	}
	for _, m := range st.servers {
		if err := m.await(); err != nil {
			return st, err
		}
	}
	return st, ctx.Err()
}

// start starts a server and does not wait for it.
func start(cmd *exec.Cmd) (*server, error) {
	output, end, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("growth: %w", err)
	}
	defer end.Close()
	cmd.Stdout = end
	p, err := process.Start(cmd)
	if err != nil {
		_ = output.Close()
		return nil, err
	}
	return &server{process: p, output: output}, nil
}

// await returns when the server says where it listens.
func (m *server) await() error {
	_ = m.output.SetReadDeadline(time.Now().Add(startLimit)) // pipes have deadlines
	line, err := bufio.NewReader(m.output).ReadBytes('\n')
	var said struct {
		URL string `json:"url"`
	}
	if err == nil {
		err = json.Unmarshal(line, &said)
	}
	if err != nil {
		m.process.Kill()
		return fmt.Errorf("growth: a server does not serve: %w; %v", err, m.process.Err())
	}
	m.addr = strings.TrimPrefix(said.URL, "http://")
	return nil
}

// close ends the servers, whatever state they are in, and then their clients.
func (s *stage) close() {
	s.crowd.expectEnd()
	for _, m := range s.servers {
		m.process.Kill()
		_ = m.output.Close()
	}
	s.crowd.close()
	if s.redis != nil {
		s.redis.Close()
	}
}

// addr is where the i-th client connects.
func (s *stage) addr(i int) string { return s.servers[i%len(s.servers)].addr }

// spend says how much processor time the servers have used for f.
func (s *stage) spend(f func() error) (time.Duration, error) {
	before, err := s.used()
	if err != nil {
		return 0, err
	}
	if err := f(); err != nil {
		return 0, err
	}
	after, err := s.used()
	return after - before, err
}

func (s *stage) used() (sum time.Duration, err error) {
	for _, m := range s.servers {
		one, err := processorTime(m.process.PID())
		if err != nil {
			return 0, errors.Join(err, m.process.Err())
		}
		sum += one
	}
	return sum, nil
}

// memory is what the servers hold, in bytes.
func (s *stage) memory() (sum int64, err error) {
	for _, m := range s.servers {
		one, err := residentMemory(m.process.PID())
		if err != nil {
			return 0, errors.Join(err, m.process.Err())
		}
		sum += one
	}
	return sum, nil
}

// costOf is the processor time of one broadcast of a load that has a rate, per second.
func (s *stage) costOf(ctx context.Context, l load, rate float64, sc scale) (time.Duration, error) {
	if _, err := s.crowd.pace(ctx, l, rate, sc.warm); err != nil {
		return 0, err
	}
	var sent int
	used, err := s.spend(func() (err error) {
		sent, err = s.crowd.pace(ctx, l, rate, sc.span)
		return err
	})
	if err != nil {
		return 0, err
	}
	return used / time.Duration(sent), nil
}
