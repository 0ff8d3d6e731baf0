package engine

import (
	"bytes"
	"errors"
	"io"
	"net"
	"testing"
	"time"
)

// bytesConn is a connection that brings bytes and then ends.
type bytesConn struct {
	net.Conn
	rest []byte
}

func (c *bytesConn) Read(p []byte) (int, error) {
	if len(c.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(p, c.rest)
	c.rest = c.rest[n:]
	return n, nil
}

func (c *bytesConn) SetReadDeadline(time.Time) error { return nil }

// newFrameConn returns a frameConn that reads stream: in exact pieces, or from
// surplus, as if a socket had brought it at once.
func newFrameConn(stream []byte, atOnce bool) *frameConn {
	o, _ := Options{MaxFragments: 5}.withDefaults()
	f := &frameConn{}
	f.init(&bytesConn{rest: stream}, nil, &o)
	if atOnce {
		f.surplus, f.Conn.(*bytesConn).rest = stream, nil
	}
	return f
}

func TestFrameConn_NoReadCrossesTheEndOfAFrame(t *testing.T) {
	var stream []byte
	ends := map[int]bool{}
	for _, size := range []int{0, 1, 125, 126, 5000, 70_000, 3} {
		stream = append(stream, frame(0x81, string(make([]byte, size)))...)
		ends[len(stream)] = true
	}
	for _, atOnce := range []bool{false, true} {
		for _, room := range []int{1, 7, 256, 4096, 100_000} {
			f, at := newFrameConn(bytes.Clone(stream), atOnce), 0
			p := make([]byte, room)
			for {
				n, err := f.Read(p)
				if err == io.EOF {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
				for i := at + 1; i < at+n; i++ {
					if ends[i] {
						t.Fatalf("read of %d bytes at %d crosses the end of a frame at %d", n, at, i)
					}
				}
				if !bytes.Equal(p[:n], stream[at:at+n]) {
					t.Fatalf("read at %d brought other bytes", at)
				}
				at += n
			}
			if at != len(stream) {
				t.Errorf("%d of %d bytes were read", at, len(stream))
			}
		}
	}
}

func FuzzFrameConn(f *testing.F) {
	f.Add(frame(0x81, "4hello"), uint8(3))
	f.Add(append(frame(0x01, "4"), frame(0x80, "x")...), uint8(255))
	f.Add(append(frame(0x01, "4"), bytes.Repeat(frame(0x00, "x"), 10)...), uint8(1))
	f.Add(long(0x81, 1<<63), uint8(20))
	f.Add(long(0x82, 1<<62), uint8(20))
	f.Add(append(frame(0x41, "x"), frame(0xc0, "")...), uint8(9))
	f.Fuzz(func(t *testing.T, stream []byte, room uint8) {
		results := [2][]byte{}
		violations := [2]error{}
		for i, atOnce := range []bool{false, true} {
			conn := newFrameConn(bytes.Clone(stream), atOnce)
			p := make([]byte, int(room)+1)
			for {
				n, err := conn.Read(p)
				results[i] = append(results[i], p[:n]...)
				if err != nil {
					violations[i] = err
					break
				}
			}
			if !bytes.HasPrefix(stream, results[i]) {
				t.Errorf("%x was read as %x", stream, results[i])
			}
		}
		if !errors.Is(violations[1], violations[0]) {
			t.Errorf("read in pieces it fails with %v, at once with %v", violations[0], violations[1])
		}
	})
}
