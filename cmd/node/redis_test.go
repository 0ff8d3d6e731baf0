package main

import (
	"crypto/tls"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/roomcast/roomcast/internal/testutil/rediscluster"
	"github.com/roomcast/roomcast/internal/testutil/redissentinel"
	"github.com/roomcast/roomcast/internal/testutil/redisserver"
)

// authorityOf writes the certificate of a server, which has signed itself, to a file.
func authorityOf(t *testing.T, addr string, trusted *tls.Config) string {
	t.Helper()
	conn, err := tls.Dial("tcp", addr, trusted)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	block := &pem.Block{Type: "CERTIFICATE", Bytes: conn.ConnectionState().PeerCertificates[0].Raw}
	file := filepath.Join(t.TempDir(), "authority.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// theyHearEachOther starts two nodes with the same flags and has a client of each speak.
func theyHearEachOther(t *testing.T, args ...string) {
	t.Helper()
	if out := checkedOutput(t, args...); !strings.Contains(out, "Redis answers.") {
		t.Errorf("--check does not say that Redis answers:\n%s", out)
	}
	first, second := startServe(t, args...), startServe(t, args...)
	for _, s := range []*serving{first, second} {
		s.logs.until(t, "cluster: member has come") // what is said before that may reach nobody
	}
	ada, bob := dial(t, first.address()), dial(t, second.address())
	enter(ada, "Ada")
	enter(bob, "Bob")
	for from, to := range map[*client]*client{ada: bob, bob: ada} {
		from.ask("message", messageRequest{Text: "from " + from.id}, nil)
		event(to, "message", func(m chatMessage) bool { return m.Text == "from "+from.id })
	}
}

func TestServe_NodesMeetOverEveryKindOfRedis(t *testing.T) {
	adapters := []string{adapterPubSub, adapterSharded, adapterStreams}
	t.Run("TLS with a user", func(t *testing.T) {
		redis, trusted := redisserver.StartTLS(t, redisserver.User("node", "secret", "~*", "&*", "+@all")...)
		authority := authorityOf(t, redis.Addr(), trusted)
		for _, adapter := range adapters {
			t.Run(adapter, func(t *testing.T) {
				theyHearEachOther(t, "--redis", "rediss://node:secret@"+redis.Addr(), "--redis-ca", authority, "--adapter", adapter)
			})
		}
	})
	t.Run("cluster", func(t *testing.T) {
		addrs := rediscluster.Start(t).Addrs()
		for _, adapter := range adapters {
			t.Run(adapter, func(t *testing.T) {
				theyHearEachOther(t, "--redis-cluster", "redis://"+addrs[0]+"?addr="+strings.Join(addrs[1:], "&addr="), "--adapter", adapter)
			})
		}
	})
	t.Run("Sentinels", func(t *testing.T) {
		addrs := redissentinel.Start(t, 1).Addrs()
		url := "redis://" + addrs[0] + "?master_name=" + redissentinel.MasterName + "&addr=" + strings.Join(addrs[1:], "&addr=")
		for _, adapter := range adapters {
			t.Run(adapter, func(t *testing.T) { theyHearEachOther(t, "--redis-sentinel", url, "--adapter", adapter) })
		}
	})
}

// Who does not trust the certificate must not send the password.
func TestServe_RefusesARedisThatNobodyVouchesFor(t *testing.T) {
	redis, _ := redisserver.StartTLS(t)
	out := checkedOutput(t, "--redis", "rediss://"+redis.Addr())
	if !strings.Contains(out, "Redis does not answer: ") || !strings.Contains(out, "certificate") {
		t.Errorf("the reason is not the certificate:\n%s", out)
	}
}
