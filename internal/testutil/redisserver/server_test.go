package redisserver_test

import (
	"net"
	"testing"

	"github.com/roomcast/roomcast/internal/testutil/redisserver"
)

func TestServer_KeepsItsAddressOverRestarts(t *testing.T) {
	s := redisserver.Start(t)
	addr := s.Addr()
	for range 2 {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		_ = c.Close()
		s.Kill()
		if c, err := net.Dial("tcp", addr); err == nil {
			_ = c.Close()
			t.Fatal("a killed server accepts connections")
		}
		s.Restart()
	}
}

func TestAddr_AnswersUntilTheTestEnds(t *testing.T) {
	var addr string
	t.Run("one", func(t *testing.T) {
		addr = redisserver.Addr(t)
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		_ = c.Close()
	})
	if c, err := net.Dial("tcp", addr); err == nil {
		_ = c.Close()
		t.Error("the server outlives its test")
	}
}
