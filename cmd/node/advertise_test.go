package main

import (
	"errors"
	"net"
	"testing"
)

func TestAdvertise_FindsTheAddressWithThePort(t *testing.T) {
	interfaces := func(cidrs ...string) func() ([]net.Addr, error) {
		return func() (all []net.Addr, err error) {
			for _, text := range cidrs {
				ip, network, err := net.ParseCIDR(text)
				if err != nil {
					return nil, err
				}
				all = append(all, &net.IPNet{IP: ip, Mask: network.Mask})
			}
			return all, nil
		}
	}
	for name, tt := range map[string]struct {
		flag, scheme, listen string
		cidrs                []string
		want                 string
	}{
		"a URL stays":              {"http://shop:1", "http", ":3000", nil, "http://shop:1"},
		"nothing stays":            {"", "http", ":3000", nil, ""},
		"the first outside":        {"auto", "http", "0.0.0.0:3000", []string{"127.0.0.1/8", "169.254.1.1/16", "10.0.0.7/8", "10.0.0.8/8"}, "http://10.0.0.7:3000"},
		"IPv4 first":               {"auto", "https", "[::]:3000", []string{"::1/128", "fe80::1/64", "fd00::7/64", "10.0.0.7/8"}, "https://10.0.0.7:3000"},
		"IPv6 alone":               {"auto", "http", "[::]:3000", []string{"fe80::1/64", "fd00::7/64"}, "http://[fd00::7]:3000"},
		"where it listens already": {"auto", "http", "127.0.0.1:3000", []string{"10.0.0.7/8"}, "http://127.0.0.1:3000"},
	} {
		at, err := net.ResolveTCPAddr("tcp", tt.listen)
		if err != nil {
			t.Fatal(err)
		}
		if at.IP == nil {
			at.IP = net.IPv6unspecified
		}
		if got, err := advertised(tt.flag, tt.scheme, at, interfaces(tt.cidrs...)); err != nil || got != tt.want {
			t.Errorf("%s: got %q, %v, want %q", name, got, err, tt.want)
		}
	}
	at := &net.TCPAddr{IP: net.IPv6unspecified, Port: 3000}
	if got, err := advertised("auto", "http", at, interfaces("127.0.0.1/8", "fe80::1/64")); !errors.Is(err, errNoAddress) {
		t.Errorf("loopback alone: got %q, %v", got, err)
	}
}
