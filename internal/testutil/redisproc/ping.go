package redisproc

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/roomcast/roomcast/internal/testutil/certificate"
)

// pingLimit bounds one question whether a server answers.
const pingLimit = time.Second

// Await returns when a Redis at addr that speaks plain TCP answers, or with an
// error when it does not within ten seconds.
func Await(addr string) error {
	if err := poll(func() error { return Ping(addr, nil) }, nil); err != nil {
		return fmt.Errorf("redisproc: %s: %w", addr, err)
	}
	return nil
}

// Ping says whether the Redis at addr is ready to serve; pair is the certificate of a
// server over TLS, else nil. One that wants a password first is ready.
func Ping(addr string, pair *certificate.Pair) error {
	c, err := dial(addr, pair)
	if err != nil {
		return err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(pingLimit))
	if _, err := c.Write([]byte("PING\r\n")); err != nil {
		return err
	}
	reply := make([]byte, 64)
	n, err := c.Read(reply)
	if err != nil {
		return err
	}
	answer := string(reply[:n])
	if !strings.HasPrefix(answer, "+PONG") && !strings.HasPrefix(answer, "-NOAUTH") {
		return fmt.Errorf("PING was answered with %q", answer)
	}
	return nil
}

// Version returns the version of the Redis at addr, in its own words. It fails where a
// password is wanted.
func Version(addr string, pair *certificate.Pair) (string, error) {
	c, err := dial(addr, pair)
	if err != nil {
		return "", err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(pingLimit))
	if _, err := c.Write([]byte("INFO server\r\n")); err != nil {
		return "", err
	}
	answer := bufio.NewScanner(c)
	for answer.Scan() && !strings.HasPrefix(answer.Text(), "-") {
		if version, ok := strings.CutPrefix(answer.Text(), "redis_version:"); ok {
			return version, nil
		}
	}
	return "", fmt.Errorf("INFO was answered with %q", answer.Text())
}

func dial(addr string, pair *certificate.Pair) (net.Conn, error) {
	dialer := &net.Dialer{Timeout: pingLimit}
	if pair == nil {
		return dialer.Dial("tcp", addr)
	}
	return tls.DialWithDialer(dialer, "tcp", addr, pair.Client)
}
