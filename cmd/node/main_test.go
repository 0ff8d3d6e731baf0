package main

import (
	"bytes"
	"context"
	"os"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

// asProgram makes the test binary be the program itself, for tests that send
// signals to it.
const asProgram = "ROOMCAST_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
	}
	goleak.VerifyTestMain(m)
}

// command runs a command line to its end.
func command(t *testing.T, args ...string) (code int, out, errOut string) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // what would serve stops at once
	var o, e bytes.Buffer
	code = run(ctx, args, &o, &e)
	return code, o.String(), e.String()
}

func TestCommandLine_RefusesWithASentence(t *testing.T) {
	tests := map[string]struct {
		args []string
		want string
	}{
		"no command":                {nil, "expected one of"},
		"unknown flag":              {[]string{"serve", "--sticky"}, "--sticky"},
		"unknown adapter":           {[]string{"serve", "--adapter", "carrier-pigeon"}, `--adapter "carrier-pigeon" is unknown`},
		"Node.js without Redis":     {[]string{"serve", "--nodejs"}, "--nodejs needs a Redis"},
		"recovery over pub/sub":     {[]string{"serve", "--recovery", "2m", "--redis", "redis://h"}, "--recovery needs the adapter memory or streams"},
		"recovery over sharded":     {[]string{"serve", "--recovery", "2m", "--adapter", "sharded", "--redis", "redis://h"}, "with sharded nothing is kept"},
		"negative recovery":         {[]string{"serve", "--recovery=-1s"}, "--recovery is not negative"},
		"pubsub without Redis":      {[]string{"serve", "--adapter", "pubsub"}, "--adapter pubsub needs --redis"},
		"sharded without Redis":     {[]string{"serve", "--adapter", "sharded"}, "--adapter sharded needs --redis, --redis-cluster or --redis-sentinel"},
		"streams without Redis":     {[]string{"serve", "--adapter", "streams"}, "--adapter streams needs --redis"},
		"memory with Redis":         {[]string{"serve", "--adapter", "memory", "--redis", "redis://h"}, "leave it out"},
		"memory with a cluster":     {[]string{"serve", "--adapter", "memory", "--redis-cluster", "redis://h"}, "leave it out"},
		"two Redis":                 {[]string{"serve", "--redis", "redis://h", "--redis-cluster", "redis://h"}, "can't be used together"},
		"no Redis URL":              {[]string{"serve", "--redis", "localhost:6379"}, "--redis: "},
		"no cluster URL":            {[]string{"serve", "--redis-cluster", "http://h"}, "--redis-cluster: "},
		"no address in a cluster":   {[]string{"serve", "--redis-cluster", "redis://h?addr=other"}, "--redis-cluster: "},
		"no Sentinel URL":           {[]string{"serve", "--redis-sentinel", "redis://h/x?master_name=m"}, "--redis-sentinel: "},
		"Sentinels of nobody":       {[]string{"serve", "--redis-sentinel", "redis://h"}, "master_name is missing"},
		"interests in memory":       {[]string{"serve", "--interest-routing"}, "--interest-routing is for the adapters pubsub and sharded, not for memory"},
		"interests in a stream":     {[]string{"serve", "--interest-routing", "--adapter", "streams", "--redis", "redis://h"}, "not for streams"},
		"interests of Node.js":      {[]string{"serve", "--interest-routing", "--nodejs", "--redis", "redis://h"}, "exclude each other"},
		"key in memory":             {[]string{"serve", "--redis-hmac-key", "0123456789abcdef"}, "--redis-hmac-key needs a Redis"},
		"key for Node.js":           {[]string{"serve", "--redis-hmac-key", "0123456789abcdef", "--nodejs", "--redis", "redis://h"}, "Node.js servers do not sign"},
		"short key":                 {[]string{"serve", "--redis-hmac-key", "0123456789abcde", "--redis", "redis://h"}, "fewer than 16 characters"},
		"token for nobody":          {[]string{"serve", "--admin-token", "0123456789abcdef"}, "--admin-token needs --admin-listen"},
		"short token":               {[]string{"serve", "--admin-listen", ":0", "--admin-token", "0123456789abcde"}, "fewer than 16 characters"},
		"admin without a port":      {[]string{"serve", "--admin-listen", "127.0.0.1"}, "--admin-listen \"127.0.0.1\" must be HOST:PORT"},
		"health of nobody":          {[]string{"health"}, "--admin-listen is missing"},
		"demo of sharded":           {[]string{"demo", "--adapter", "sharded"}, "--adapter sharded needs --redis"},
		"demo in memory":            {[]string{"demo", "--adapter", "memory"}, `must be one of "pubsub","sharded","streams"`},
		"demo with no Redis URL":    {[]string{"demo", "--redis", "localhost:6379"}, "--redis: "},
		"unknown transport":         {[]string{"serve", "--transports", "websocket,smoke"}, "smoke"},
		"path without slashes":      {[]string{"serve", "--path", "socket.io"}, "must begin and end with a slash"},
		"no time":                   {[]string{"serve", "--ping-interval", "0s"}, "--ping-interval must be more than 0"},
		"negative size":             {[]string{"serve", "--max-payload=-1"}, "--max-payload must be more than 0"},
		"negative limit":            {[]string{"serve", "--max-connections=-1"}, "0 is no limit"},
		"demo of no nodes":          {[]string{"demo", "--nodes", "0"}, "--nodes must be between 1 and 16"},
		"demo without a port":       {[]string{"demo", "--listen", "127.0.0.1"}, "must be HOST:PORT"},
		"demo beyond the last port": {[]string{"demo", "--listen", "127.0.0.1:65535"}, "must be HOST:PORT"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			code, out, errOut := command(t, tt.args...)
			if code != exitUsage || !strings.Contains(errOut, tt.want) {
				t.Errorf("code %d, %q; want %d and %q", code, errOut, exitUsage, tt.want)
			}
			if out != "" {
				t.Errorf("standard output has %q, want nothing", out)
			}
		})
	}
}

func TestCommandLine_SaysWhatFailedToStart(t *testing.T) {
	for _, args := range [][]string{
		{"serve", "--listen", "127.0.0.1:http-alt-alt"},
		{"serve", "--listen", "127.0.0.1:0", "--cors-origin", "*", "--cors-credentials"},
	} {
		if code, _, errOut := command(t, args...); code != exitError || !strings.HasPrefix(errOut, "node: ") {
			t.Errorf("%v: code %d, %q; want %d and a sentence", args, code, errOut, exitError)
		}
	}
}

func TestCommandLine_EveryFlagHasItsEnvironmentVariable(t *testing.T) {
	code, help, _ := command(t, "serve", "--help")
	if code != exitOK {
		t.Fatalf("code %d, want %d", code, exitOK)
	}
	// The help wraps its lines, so words are compared.
	words := strings.Join(strings.Fields(help), " ")
	for _, name := range []string{
		"LISTEN", "REDIS", "REDIS_CLUSTER", "REDIS_SENTINEL", "REDIS_HMAC_KEY", "ADAPTER", "PREFIX", "NODEJS", "INTEREST_ROUTING", "RECOVERY", "APPLICATION", "PATH", "TRANSPORTS", "CORS_ORIGIN", "CORS_CREDENTIALS", "PING_INTERVAL", "PING_TIMEOUT",
		"UPGRADE_TIMEOUT", "CONNECT_TIMEOUT", "WRITE_TIMEOUT", "MAX_PAYLOAD", "MAX_SEND_QUEUE", "MAX_CONNECTIONS",
		"MAX_HANDSHAKES_PER_SECOND", "LOG_FORMAT", "LOG_LEVEL",
	} {
		if !strings.Contains(words, "$ROOMCAST_"+name) {
			t.Errorf("the help of serve does not name $ROOMCAST_%s", name)
		}
	}
}

func TestCommandLine_EnvironmentIsRead(t *testing.T) {
	t.Setenv("ROOMCAST_ADAPTER", "sharded")
	if _, _, errOut := command(t, "serve"); !strings.Contains(errOut, "--adapter sharded needs --redis") {
		t.Errorf("ROOMCAST_ADAPTER was not read: %q", errOut)
	}
}

// A password that is not escaped makes a URL none, and what is wrong with it would be
// said with the password in it.
func TestCommandLine_KeepsSecretsToItself(t *testing.T) {
	for _, args := range [][]string{
		{"--redis", "redis://user:se#cret@host"},
		{"--redis", "redis://user:se%cret@host"},
		{"--redis-cluster", "redis://user:se cret@host:x"},
		{"--redis-sentinel", "redis://user:se/cret@host?master_name=m"},
		{"--redis", "redis://host", "--redis-hmac-key", "se-cret"},
	} {
		code, out, errOut := command(t, append([]string{"serve"}, args...)...)
		if code != exitUsage || !strings.Contains(errOut, args[len(args)-2]+":") && !strings.Contains(errOut, args[len(args)-2]+" has") {
			t.Errorf("%v: code %d, %q; want %d and a sentence about %s", args, code, errOut, exitUsage, args[len(args)-2])
		}
		if strings.Contains(out+errOut, "cret") {
			t.Errorf("%v: %q shows the secret", args, out+errOut)
		}
	}
}

func TestVersion_IsOneLine(t *testing.T) {
	code, out, _ := command(t, "version")
	if code != exitOK || !strings.HasPrefix(out, "roomcast ") || strings.Count(out, "\n") != 1 {
		t.Errorf("code %d, %q; want one line that begins with roomcast", code, out)
	}
}
