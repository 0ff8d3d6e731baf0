package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/roomcast/roomcast/internal/testutil/certificate"
)

// served is a bench server that runs.
type served struct {
	command *exec.Cmd
	url     string
}

func startServer(binary string, pair *certificate.Pair, f form) (*served, error) {
	flags := []string{"--listen", "127.0.0.1:0"}
	if f.tls {
		flags = append(flags, "--tls-cert", pair.File, "--tls-key", pair.KeyFile)
	}
	if f.deflate {
		flags = append(flags, "--deflate")
	}
	s := &served{command: exec.Command(binary, flags...)}
	out, err := s.command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := s.command.Start(); err != nil {
		return nil, err
	}
	var said struct{ URL string }
	if err := json.NewDecoder(out).Decode(&said); err != nil {
		s.stop()
		return nil, fmt.Errorf("the server does not say where it listens: %w", err)
	}
	s.url = said.URL
	return s, nil
}

func (s *served) stop() {
	_ = s.command.Process.Signal(syscall.SIGTERM)
	_ = s.command.Wait()
}

// cpu returns the processor time that the server has taken.
func (s *served) cpu() (time.Duration, error) {
	const tick, user, system = 10 * time.Millisecond, 11, 12 // behind the name, which may have spaces
	text, err := s.proc("stat")
	if err != nil {
		return 0, err
	}
	fields := strings.Fields(text[strings.LastIndexByte(text, ')')+1:])
	u, err := strconv.ParseInt(fields[user], 10, 64)
	if err != nil {
		return 0, err
	}
	k, err := strconv.ParseInt(fields[system], 10, 64)
	return time.Duration(u+k) * tick, err
}

// resident returns the bytes of memory that the server has.
func (s *served) resident() (int64, error) {
	text, err := s.proc("statm")
	if err != nil {
		return 0, err
	}
	pages, err := strconv.ParseInt(strings.Fields(text)[1], 10, 64)
	return pages * int64(os.Getpagesize()), err
}

func (s *served) proc(name string) (string, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", s.command.Process.Pid, name))
	return string(text), err
}
