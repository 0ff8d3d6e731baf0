package loglimit

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestHandler_PassesLimitPerSecondAndCountsTheRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		log := slog.New(New(slog.NewTextHandler(&out, nil), 10)).With("node", "a")
		for range 25 {
			log.Warn("refused")
		}
		log.Warn("other")
		if got := strings.Count(out.String(), "msg=refused"); got != 10 {
			t.Fatalf("%d lines in the first second, want 10", got)
		}
		if !strings.Contains(out.String(), "msg=other") {
			t.Fatal("another message was suppressed too")
		}
		out.Reset()
		time.Sleep(time.Second)
		log.Warn("refused")
		if !strings.Contains(out.String(), "suppressed=15") {
			t.Fatalf("got %q, want suppressed=15", out.String())
		}
	})
}
