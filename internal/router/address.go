package router

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
)

// ErrAddress means that a text is no address at which a node can be reached.
var ErrAddress = errors.New("router: not an http or https URL of a host alone, such as http://10.0.0.7:3000")

// ParseAddress reads the URL at which a node is reached: scheme, host and, unless it is
// the scheme's own, port. It fails with ErrAddress.
func ParseAddress(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: %.256q", ErrAddress, text)
	case u.Scheme != "http" && u.Scheme != "https", u.Hostname() == "", !validPort(u.Port()),
		u.User != nil, u.Path != "" && u.Path != "/", u.RawQuery != "", u.ForceQuery, u.Fragment != "", u.Opaque != "":
		return nil, fmt.Errorf("%w: %.256q", ErrAddress, text)
	}
	if ip := net.ParseIP(u.Hostname()); ip != nil && (ip.IsUnspecified() || ip.IsMulticast()) {
		return nil, fmt.Errorf("%w: %.256q is where a node listens, not where others reach it", ErrAddress, text)
	}
	return u, nil
}

func validPort(port string) bool {
	if port == "" {
		return true
	}
	n, err := strconv.ParseUint(port, 10, 16)
	return err == nil && n > 0
}
