package main

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
)

// advertiseAuto has the node find the address at which the others reach it.
const advertiseAuto = "auto"

// errNoAddress means that an address could not be found.
var errNoAddress = errors.New("--advertise auto finds no address but loopback: name the URL at which the other nodes reach this one")

// advertised is the URL that --advertise means, for a node that listens at l.
func advertised(flag, scheme string, l net.Addr, interfaces func() ([]net.Addr, error)) (string, error) {
	if flag != advertiseAuto {
		return flag, nil
	}
	at := l.(*net.TCPAddr)
	ip := at.IP
	if ip.IsUnspecified() {
		all, err := interfaces()
		if err != nil {
			return "", fmt.Errorf("--advertise auto: %w", err)
		}
		if ip = firstReachable(all); ip == nil {
			return "", errNoAddress
		}
	}
	return (&url.URL{Scheme: scheme, Host: net.JoinHostPort(ip.String(), strconv.Itoa(at.Port))}).String(), nil
}

// firstReachable is the first address that is neither loopback nor good on one link alone;
// one of IPv4, if there is any.
func firstReachable(all []net.Addr) net.IP {
	var first net.IP
	for _, a := range all {
		n, ok := a.(*net.IPNet)
		if !ok || !n.IP.IsGlobalUnicast() {
			continue
		}
		if n.IP.To4() != nil {
			return n.IP
		}
		if first == nil {
			first = n.IP
		}
	}
	return first
}
