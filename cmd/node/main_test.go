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
		"unknown adapter":           {[]string{"serve", "--adapter", "carrier-pigeon"}, "--adapter carrier-pigeon must be memory, pubsub, sharded or streams"},
		"Node.js without Redis":     {[]string{"serve", "--nodejs"}, "--nodejs is for the adapters pubsub, sharded and streams, not for --adapter memory"},
		"recovery over pub/sub":     {[]string{"serve", "--recovery", "2m", "--redis", "redis://h"}, "--recovery is for the adapters memory and streams, not for --adapter pubsub"},
		"recovery over sharded":     {[]string{"serve", "--recovery", "2m", "--adapter", "sharded", "--redis", "redis://h"}, "--recovery is for the adapters memory and streams, not for --adapter sharded"},
		"negative recovery":         {[]string{"serve", "--recovery=-1s"}, "--recovery -1s must be at least 0s"},
		"pubsub without Redis":      {[]string{"serve", "--adapter", "pubsub"}, "--adapter pubsub needs --redis"},
		"sharded without Redis":     {[]string{"serve", "--adapter", "sharded"}, "--adapter sharded needs --redis, --redis-cluster or --redis-sentinel"},
		"streams without Redis":     {[]string{"serve", "--adapter", "streams"}, "--adapter streams needs --redis"},
		"memory with Redis":         {[]string{"serve", "--adapter", "memory", "--redis", "redis://h"}, "--adapter memory does not use a Redis; leave it out"},
		"memory with a cluster":     {[]string{"serve", "--adapter", "memory", "--redis-cluster", "redis://h"}, "--adapter memory does not use a Redis; leave it out"},
		"two Redis":                 {[]string{"serve", "--redis", "redis://h", "--redis-cluster", "redis://h"}, "--redis and --redis-cluster exclude each other"},
		"no Redis URL":              {[]string{"serve", "--redis", "localhost:6379"}, "--redis must be a URL such as "},
		"no cluster URL":            {[]string{"serve", "--redis-cluster", "http://h"}, "--redis-cluster must be a URL such as "},
		"no address in a cluster":   {[]string{"serve", "--redis-cluster", "redis://h?addr=other"}, "--redis-cluster must be a URL such as "},
		"no Sentinel URL":           {[]string{"serve", "--redis-sentinel", "redis://h/x?master_name=m"}, "--redis-sentinel must be a URL such as "},
		"Sentinels of nobody":       {[]string{"serve", "--redis-sentinel", "redis://h"}, "master_name is missing"},
		"interests in memory":       {[]string{"serve", "--interest-routing"}, "--interest-routing is for the adapters pubsub and sharded, not for --adapter memory"},
		"interests in a stream":     {[]string{"serve", "--interest-routing", "--adapter", "streams", "--redis", "redis://h"}, "not for --adapter streams"},
		"interests of Node.js":      {[]string{"serve", "--interest-routing", "--nodejs", "--redis", "redis://h"}, "exclude each other"},
		"key in memory":             {[]string{"serve", "--redis-hmac-key", "0123456789abcdef"}, "--redis-hmac-key is for the adapters pubsub, sharded and streams, not for --adapter memory"},
		"key for Node.js":           {[]string{"serve", "--redis-hmac-key", "0123456789abcdef", "--nodejs", "--redis", "redis://h"}, "Node.js servers do not sign"},
		"short key":                 {[]string{"serve", "--redis-hmac-key", "0123456789abcde", "--redis", "redis://h"}, "--redis-hmac-key must have at least 16 characters"},
		"nobody with a password":    {[]string{"serve", "--admin-ui-password", "0123456789abcdef"}, "--admin-ui-password needs --admin-ui-username"},
		"name without a password":   {[]string{"serve", "--admin-ui-username", "operator"}, "--admin-ui-username needs --admin-ui-password"},
		"short password":            {[]string{"serve", "--admin-ui-username", "operator", "--admin-ui-password", "0123456789abcde"}, "--admin-ui-password must have at least 16 characters"},
		"token for nobody":          {[]string{"serve", "--admin-token", "0123456789abcdef"}, "--admin-token needs --admin-listen"},
		"short token":               {[]string{"serve", "--admin-listen", ":0", "--admin-token", "0123456789abcde"}, "--admin-token must have at least 16 characters"},
		"admin without a port":      {[]string{"serve", "--admin-listen", "127.0.0.1"}, "--admin-listen 127.0.0.1 must be HOST:PORT"},
		"health of nobody":          {[]string{"health"}, "--admin-listen is missing"},
		"demo of sharded":           {[]string{"demo", "--adapter", "sharded"}, "--adapter sharded needs --redis"},
		"demo in memory":            {[]string{"demo", "--adapter", "memory"}, "--adapter memory must be pubsub, sharded or streams"},
		"demo with no Redis URL":    {[]string{"demo", "--redis", "localhost:6379"}, "--redis must be a URL such as "},
		"unknown transport":         {[]string{"serve", "--transports", "websocket,smoke"}, "--transports websocket,smoke must be polling or websocket"},
		"path without slashes":      {[]string{"serve", "--path", "socket.io"}, "--path socket.io must begin and end with a slash"},
		"no time":                   {[]string{"serve", "--ping-interval", "0s"}, "--ping-interval 0s must be between 1ms and 24h"},
		"negative size":             {[]string{"serve", "--max-payload=-1"}, "--max-payload -1 must be at least 1"},
		"negative limit":            {[]string{"serve", "--max-connections=-1"}, "--max-connections -1 must be at least 0"},
		"address without a port":    {[]string{"serve", "--listen", "localhost"}, "--listen localhost must be HOST:PORT"},
		"port that is none":         {[]string{"serve", "--listen", "127.0.0.1:http-alt-alt"}, "must be HOST:PORT"},
		"credentials for all":       {[]string{"serve", "--cors-origin", "*", "--cors-credentials"}, "--cors-credentials cannot be had with the origin '*'"},
		"dead before the heartbeat": {[]string{"serve", "--heartbeat-timeout", "5s"}, "--heartbeat-timeout 5s must be more than --heartbeat-interval, which is 5s"},
		"routing without channels":  {[]string{"serve", "--interest-routing", "--adapter", "sharded", "--redis", "redis://h", "--subscription-mode", "static"}, "--interest-routing needs the subscription mode dynamic"},
		"certificate without a key": {[]string{"serve", "--tls-cert", "main.go"}, "--tls-cert needs --tls-key"},
		"certificate that is none":  {[]string{"serve", "--tls-cert", "main.go", "--tls-key", "main.go"}, "must be a certificate and its key"},
		"no such certificate":       {[]string{"serve", "--tls-cert", "missing.pem", "--tls-key", "main.go"}, "--tls-cert missing.pem must be a file that exists"},
		"authorities without TLS":   {[]string{"serve", "--redis", "redis://h", "--redis-ca", "main.go"}, "--redis-ca main.go must be a file with certificates"},
		"demo of no nodes":          {[]string{"demo", "--nodes", "0"}, "--nodes 0 must be between 1 and 16"},
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
	// An address for documentation, which no machine has.
	code, _, errOut := command(t, "serve", "--listen", "192.0.2.1:0")
	if code != exitError || !strings.HasPrefix(errOut, "node: ") || !strings.Contains(errOut, "192.0.2.1:0") {
		t.Errorf("code %d, %q; want %d and a sentence with the address", code, errOut, exitError)
	}
}

func TestCommandLine_EnvironmentIsRead(t *testing.T) {
	t.Setenv("ROOMCAST_ADAPTER", "sharded")
	if _, _, errOut := command(t, "serve"); !strings.Contains(errOut, "ROOMCAST_ADAPTER=sharded needs --redis") {
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
		if code != exitUsage || !strings.Contains(errOut, args[len(args)-2]+" must ") {
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
