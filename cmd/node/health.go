package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"
)

// healthTimeout is less than what container engines give a check.
const healthTimeout = 3 * time.Second

// healthCommand asks the node of this machine how it is.
type healthCommand struct {
	AdminListen string `placeholder:"ADDRESS" form:"address" help:"Where the admin listener of the node is, as it was told itself."`
}

// check refuses to ask nobody.
func (c *healthCommand) check(settings) error {
	if c.AdminListen == "" {
		return errors.New("--admin-listen is missing: health is asked at the node's admin listener")
	}
	return nil
}

// address is where a listener on all addresses can be reached from its own machine,
// and else the listener's own.
func (c *healthCommand) address() (string, error) {
	host, port, err := net.SplitHostPort(c.AdminListen)
	if err != nil {
		return "", err
	}
	if ip, err := netip.ParseAddr(host); host == "" || err == nil && ip.IsUnspecified() {
		host = "127.0.0.1"
		if err == nil && ip.Is6() {
			host = "::1"
		}
	}
	return net.JoinHostPort(host, port), nil
}

// Run prints the answer. Any but 200 is an error.
func (c *healthCommand) Run(p *program) error {
	address, err := c.address()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(p.ctx, healthTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/readyz", nil)
	if err != nil {
		return err
	}
	// The node is on this machine, whatever proxy the environment names.
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		return fmt.Errorf("health: %w", err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, 4096))
	if err != nil {
		return fmt.Errorf("health: %w", err)
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("health: %s: %s", response.Status, strings.TrimSpace(string(text)))
	}
	_, err = p.out.Write(text)
	return err
}
