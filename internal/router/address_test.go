package router

import (
	"errors"
	"testing"
)

func TestAddress_IsSchemeAndHost(t *testing.T) {
	for text, host := range map[string]string{
		"http://10.0.0.7:3000": "10.0.0.7:3000", "https://node-1.cluster.local": "node-1.cluster.local",
		"http://[fd00::7]:3000/": "[fd00::7]:3000",
	} {
		if u, err := ParseAddress(text); err != nil || u.Host != host {
			t.Errorf("%s: got %v, %v", text, u, err)
		}
	}
}

func TestAddress_NothingElseIsTaken(t *testing.T) {
	for _, text := range []string{
		"", "10.0.0.7:3000", "node-1", "//10.0.0.7", "ftp://10.0.0.7", "unix:///tmp/x", "http://", "http://:3000", "http://h:0", "http://h:65536",
		"http://h:x", "http://user:pass@h", "http://h/path", "http://h?q", "http://h/?", "http://h#f", "http:h", "http://h\r\nX: 1", "http://0.0.0.0:3000",
		"http://[::]:3000", "http://224.0.0.1",
	} {
		if u, err := ParseAddress(text); !errors.Is(err, ErrAddress) {
			t.Errorf("%q: got %v, %v, want ErrAddress", text, u, err)
		}
	}
}
