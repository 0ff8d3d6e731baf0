package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"

	"github.com/roomcast/roomcast/internal/testutil/process"
)

// startLimit is how long a child may take to start its nodes, and answerLimit how long
// to carry out an order.
const (
	startLimit  = 2 * time.Minute
	answerLimit = time.Minute
)

// child is a process that runs nodes.
type child struct {
	process *process.Process
	orders  io.WriteCloser
	answers *os.File
	lines   *bufio.Reader
}

// launch starts a child and does not wait for it.
func launch(p place) (*child, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("scaling: %w", err)
	}
	argument, err := json.Marshal(p)
	if err != nil {
		return nil, fmt.Errorf("scaling: %w", err)
	}
	cmd := exec.Command(program, "child", string(argument))
	c := &child{}
	if c.orders, err = cmd.StdinPipe(); err != nil {
		return nil, fmt.Errorf("scaling: %w", err)
	}
	answers, end, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("scaling: %w", err)
	}
	cmd.Stdout = end
	c.process, err = process.Start(cmd)
	_ = end.Close()
	if err != nil {
		_ = answers.Close()
		return nil, err
	}
	c.answers, c.lines = answers, bufio.NewReader(answers)
	return c, nil
}

// hear waits for an answer.
func (c *child) hear(limit time.Duration) (answer, error) {
	_ = c.answers.SetReadDeadline(time.Now().Add(limit)) // pipes have deadlines
	var a answer
	line, err := c.lines.ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &a)
	}
	if err == nil && a.Error != "" {
		err = errors.New(a.Error)
	}
	if err != nil {
		return a, fmt.Errorf("scaling: a child: %w; %v", err, c.process.Err())
	}
	return a, nil
}

func (c *child) order(o order) error {
	if err := json.NewEncoder(c.orders).Encode(o); err != nil {
		return fmt.Errorf("scaling: %w", err)
	}
	return nil
}

// end ends the child, as its nodes would in order, or else by force.
func (c *child) end() {
	_ = c.orders.Close()
	select {
	case <-c.process.Ended():
	case <-time.After(stopLimit):
	}
	c.process.Kill()
	_ = c.answers.Close()
}

// fleet is the children of one cluster.
type fleet []*child

// assemble starts n nodes in some processes and returns when all know each other.
func assemble(f form, addr string, n, processes int) (fl fleet, err error) {
	defer func() {
		if err != nil {
			fl.end()
			fl = nil
		}
	}()
	for i := range processes {
		first, next := i*n/processes, (i+1)*n/processes
		c, err := launch(place{Form: f.name, Redis: addr, First: first, Count: next - first, Nodes: n})
		if err != nil {
			return fl, err
		}
		fl = append(fl, c)
	}
	for _, c := range fl {
		if _, err := c.hear(startLimit); err != nil {
			return fl, err
		}
	}
	return fl, nil
}

// used returns what each child's processor time is.
func (fl fleet) used() ([]time.Duration, error) {
	var all []time.Duration
	for _, c := range fl {
		if err := c.order(order{}); err != nil {
			return nil, err
		}
		a, err := c.hear(answerLimit)
		if err != nil {
			return nil, err
		}
		all = append(all, a.CPU)
	}
	return all, nil
}

func (fl fleet) end() {
	for _, c := range fl {
		c.end()
	}
}
