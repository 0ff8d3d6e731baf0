package main

import (
	"context"
	"strings"
	"testing"

	"github.com/alicebob/miniredis/v2"
)

// checkedOutput runs serve --check and returns what it prints.
func checkedOutput(t *testing.T, args ...string) string {
	t.Helper()
	var out, errOut strings.Builder
	code := run(context.WithoutCancel(t.Context()), append([]string{"serve", "--check"}, args...), &out, &errOut)
	if code != exitOK || errOut.String() != "" {
		t.Fatalf("%q: code %d and %q, want %d and nothing", args, code, errOut.String(), exitOK)
	}
	return out.String()
}

func TestCheck_PrintsTheSettingsAndWhereTheyAreFrom(t *testing.T) {
	t.Setenv("ROOMCAST_PING_INTERVAL", "7s")
	t.Setenv("ROOMCAST_PING_TIMEOUT", "8s")
	out := strings.Join(strings.Fields(checkedOutput(t, "--ping-timeout", "9s", "--transports", "websocket")), " ")
	for _, want := range []string{
		"Listening --listen=:3000 default", "--ping-interval=7s environment", "--ping-timeout=9s command line",
		"--transports=websocket command line", "--max-payload=1000000 default", "--nodejs=false default", "This configuration is valid.",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in\n%s", want, out)
		}
	}
}

func TestCheck_ShowsNoSecret(t *testing.T) {
	t.Setenv("ROOMCAST_REDIS_HMAC_KEY", "se-cret-se-cret-se-cret")
	for _, args := range [][]string{
		{"--redis", "redis://user:se-cret@127.0.0.1:1/3"},
		{"--redis-cluster", "redis://user:se-cret@127.0.0.1:1?addr=127.0.0.1:2"},
		{"--redis-sentinel", "redis://user:se-cret@127.0.0.1:1?master_name=mine&password=se-cret"},
	} {
		out := checkedOutput(t, append(args, "--admin-listen", "127.0.0.1:0", "--admin-token", "se-cret-se-cret-se-cret",
			"--admin-ui-username", "operator", "--admin-ui-password", "se-cret-se-cret-se-cret")...)
		if strings.Contains(out, "cret") || strings.Count(out, hidden) < 3 || !strings.Contains(out, "127.0.0.1:1") {
			t.Errorf("%q: want the address, and asterisks for what is secret:\n%s", args, out)
		}
	}
}

func TestCheck_SaysWhetherRedisAnswersAndPassesEitherWay(t *testing.T) {
	if out := checkedOutput(t, "--redis", "redis://127.0.0.1:1"); !strings.Contains(out, "Redis does not answer: ") {
		t.Errorf("it is not said that Redis does not answer:\n%s", out)
	}
	redis := miniredis.RunT(t)
	if out := checkedOutput(t, "--redis", "redis://"+redis.Addr()); !strings.Contains(out, "Redis answers.") {
		t.Errorf("it is not said that Redis answers:\n%s", out)
	}
}

func TestCheck_RefusesWhatServeRefuses(t *testing.T) {
	for name, args := range map[string][]string{
		"a value":         {"--ping-interval", "0s"},
		"a combination":   {"--recovery", "1m", "--redis", "redis://127.0.0.1:1"},
		"a missing file":  {"--tls-cert", "missing.pem", "--tls-key", "missing.pem"},
		"no Redis URL":    {"--redis", "localhost"},
		"a cookie's name": {"--cookie", "a b"},
	} {
		if code, out, errOut := command(t, append([]string{"serve", "--check"}, args...)...); code != exitUsage || out != "" || errOut == "" {
			t.Errorf("%s: code %d, %q and %q; want %d and a sentence", name, code, out, errOut, exitUsage)
		}
	}
}
