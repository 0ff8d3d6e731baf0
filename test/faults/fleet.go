package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/roomcast/roomcast/internal/testutil/process"
	"github.com/roomcast/roomcast/test/faults/client"
	"github.com/roomcast/roomcast/test/faults/node"
)

// startLimit is how long a node may take to serve, also without its Redis.
const startLimit = 10 * time.Second

// member is a node's process.
type member struct {
	config  node.Config
	process *process.Process
	input   io.Closer // closed, it ends the node
	at      node.Addresses
}

// fleet is the nodes of a stage. It is safe for concurrent use.
type fleet struct {
	web *http.Client

	mu      sync.Mutex
	members []*member // the living ones
	started int
}

func newFleet() *fleet {
	return &fleet{web: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 4}}}
}

// start starts a node and returns when it serves.
func (f *fleet) start(config node.Config) (*member, error) {
	f.mu.Lock()
	f.started++
	config.Sender = f.started
	f.mu.Unlock()
	m := &member{config: config}
	if err := m.launch(); err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.members = append(f.members, m)
	return m, nil
}

func (m *member) launch() error {
	program, err := os.Executable()
	if err != nil {
		return fmt.Errorf("faults: %w", err)
	}
	argument, err := json.Marshal(m.config)
	if err != nil {
		return fmt.Errorf("faults: %w", err)
	}
	cmd := exec.Command(program, "node", string(argument))
	if m.input, err = cmd.StdinPipe(); err != nil {
		return fmt.Errorf("faults: %w", err)
	}
	output, end, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("faults: %w", err)
	}
	defer output.Close()
	cmd.Stdout = end
	m.process, err = process.Start(cmd)
	_ = end.Close()
	if err != nil {
		return err
	}
	_ = output.SetReadDeadline(time.Now().Add(startLimit))
	line, err := bufio.NewReader(output).ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &m.at)
	}
	if err != nil {
		m.process.Kill()
		return fmt.Errorf("faults: node %d does not serve: %w; %v", m.config.Sender, err, m.process.Err())
	}
	return nil
}

// kill ends a node as a crash does.
func (f *fleet) kill(m *member) {
	f.forget(m)
	m.process.Kill()
}

// tell tells a node to stop, as whoever deploys does, and sends it nobody any more. The
// caller kills it in the end, whatever becomes of it.
func (f *fleet) tell(m *member) {
	f.forget(m)
	m.process.Signal(syscall.SIGTERM)
}

func (f *fleet) forget(m *member) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.members = slices.DeleteFunc(f.members, func(other *member) bool { return other == m })
}

// stopped waits for the end of a node that was told to stop, and says whether it came
// in time and with exit code 0.
func (m *member) stopped(ctx context.Context, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	select {
	case <-m.process.Ended():
		return m.process.Err()
	case <-ctx.Done():
		return fmt.Errorf("faults: node %d does not stop: %w", m.config.Sender, context.Cause(ctx))
	}
}

// close ends all nodes.
func (f *fleet) close() {
	for _, m := range f.living() {
		f.kill(m)
	}
	f.web.CloseIdleConnections()
}

// living returns the nodes that live.
func (f *fleet) living() []*member {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.members)
}

// random returns one of the nodes that live; nil if there is none.
func (f *fleet) random() *member {
	living := f.living()
	if len(living) == 0 {
		return nil
	}
	return living[rand.N(len(living))]
}

// preferring returns how a client chooses its node: the i-th as long as it lives,
// the first time, and then any, as a load balancer would.
func (f *fleet) preferring(i int) func() (client.Place, bool) {
	first := true
	return func() (client.Place, bool) {
		m := f.random()
		if living := f.living(); first && len(living) > 0 {
			m, first = living[i%len(living)], false
		}
		if m == nil {
			return client.Place{}, false
		}
		return m.place(), true
	}
}

func (m *member) place() client.Place {
	return client.Place{Addr: m.at.Web, Node: m.config.Sender}
}

// order has a node do something and decodes its answer into result.
func (f *fleet) order(ctx context.Context, m *member, what string, result any) error {
	return f.request(ctx, http.MethodPost, m, what, result)
}

// stillState is a node's state without the bench's own idle connections.
func (f *fleet) stillState(ctx context.Context, m *member) (node.State, error) {
	f.web.CloseIdleConnections()
	return f.state(ctx, m)
}

// state asks a node for its state.
func (f *fleet) state(ctx context.Context, m *member) (node.State, error) {
	var s node.State
	err := f.request(ctx, http.MethodGet, m, "/state", &s)
	return s, err
}

func (f *fleet) request(ctx context.Context, method string, m *member, path string, result any) error {
	request, err := http.NewRequestWithContext(ctx, method, "http://"+m.at.Admin+path, nil)
	if err != nil {
		return fmt.Errorf("faults: %w", err)
	}
	response, err := f.web.Do(request)
	if err != nil {
		return fmt.Errorf("faults: %w", err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("faults: node %d answered %s to %s", m.config.Sender, response.Status, path)
	}
	if err := json.NewDecoder(response.Body).Decode(result); err != nil {
		return fmt.Errorf("faults: %w", err)
	}
	return nil
}

// memory is the size of the node's process in the machine's memory, in bytes.
func (m *member) memory() (int64, error) {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(m.process.PID()) + "/status")
	if err != nil {
		return 0, fmt.Errorf("faults: %w", err)
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kilobytes, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
			return kilobytes << 10, err
		}
	}
	return 0, fmt.Errorf("faults: the memory of process %d is not told", m.process.PID())
}
