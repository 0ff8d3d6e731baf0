package redisserver_test

import (
	"crypto/tls"
	"net"
	"strings"
	"testing"

	goredis "github.com/redis/go-redis/v9"

	"github.com/roomcast/roomcast/internal/testutil/redisproc"
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

func TestServer_KeepsWhatItWroteOverRestarts(t *testing.T) {
	s := redisserver.Start(t, "--appendonly", "yes", "--appendfsync", "always")
	client := goredis.NewClient(&goredis.Options{Addr: s.Addr()})
	defer client.Close()
	if err := client.Set(t.Context(), "a", "1", 0).Err(); err != nil {
		t.Fatal(err)
	}
	s.Restart()
	if got, err := client.Get(t.Context(), "a").Result(); got != "1" || err != nil {
		t.Errorf("got %q, %v after a crash, want what was written before", got, err)
	}
}

func TestVersion_IsThatOfTheServer(t *testing.T) {
	if version, err := redisproc.Version(redisserver.Start(t).Addr(), nil); err != nil || !strings.Contains(version, ".") {
		t.Errorf("got %q, %v", version, err)
	}
	guarded := redisserver.Start(t, redisserver.User("app", "secret", "+publish")...)
	if version, err := redisproc.Version(guarded.Addr(), nil); err == nil {
		t.Errorf("got %q of a server that wants a password", version)
	}
}

func TestStartTLS_ServesOnlyWhoTrustsIt(t *testing.T) {
	s, trusting := redisserver.StartTLS(t)
	for name, tt := range map[string]struct {
		config *tls.Config
		want   bool
	}{
		"trusting": {trusting, true},
		"doubting": {&tls.Config{}, false},
		"plain":    {nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			client := goredis.NewClient(&goredis.Options{Addr: s.Addr(), TLSConfig: tt.config, MaxRetries: -1})
			defer client.Close()
			if err := client.Ping(t.Context()).Err(); (err == nil) != tt.want {
				t.Errorf("got error %v, want success: %v", err, tt.want)
			}
		})
	}
}

func TestUser_MayDoWhatTheRulesSay(t *testing.T) {
	s := redisserver.Start(t, redisserver.User("app", "secret", "+publish", "&app#*")...)
	client := goredis.NewClient(&goredis.Options{Addr: s.Addr(), Username: "app", Password: "secret", MaxRetries: -1})
	defer client.Close()
	stranger := goredis.NewClient(&goredis.Options{Addr: s.Addr(), MaxRetries: -1})
	defer stranger.Close()
	if err := client.Publish(t.Context(), "app#a", "x").Err(); err != nil {
		t.Errorf("what the rules allow fails: %v", err)
	}
	for name, err := range map[string]error{
		"another channel": client.Publish(t.Context(), "other#a", "x").Err(),
		"another command": client.Get(t.Context(), "a").Err(),
		"nobody":          stranger.Publish(t.Context(), "app#a", "x").Err(),
	} {
		if err == nil || !strings.HasPrefix(err.Error(), "NO") {
			t.Errorf("%s: got %v, want a refusal", name, err)
		}
	}
}
