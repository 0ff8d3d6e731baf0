package engine

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestNew_ErrorsNameTheOption(t *testing.T) {
	tests := map[string]Options{
		"PingInterval":      {PingInterval: -1},
		"PingTimeout":       {PingTimeout: -1},
		"UpgradeTimeout":    {UpgradeTimeout: -1},
		"ReadBodyTimeout":   {ReadBodyTimeout: -1},
		"WriteTimeout":      {WriteTimeout: -1},
		"CloseTimeout":      {CloseTimeout: -1},
		"MaxPayload":        {MaxPayload: -1},
		"MaxSendQueueBytes": {MaxSendQueueBytes: -1},
		"SlowConsumer":      {SlowConsumer: 7},
		"Transports":        {Transports: []string{"webtransport"}},
		"CORS":              {CORS: &CORS{Origins: []string{"*"}, Credentials: true}},
	}
	for name, o := range tests {
		if _, err := New(o, nil); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: got %v, want an error that names it", name, err)
		}
	}
}

func TestOptions_Defaults(t *testing.T) {
	o, err := Options{PerMessageDeflate: &PerMessageDeflate{}}.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	got := []any{
		o.PingInterval, o.PingTimeout, o.UpgradeTimeout, o.ReadBodyTimeout, o.WriteTimeout, o.CloseTimeout,
		o.FragmentTimeout, o.MaxPayload, o.MaxFragments, o.MaxSendQueueBytes, o.PerMessageDeflate.Threshold,
		o.HTTPCompressionThreshold, strings.Join(o.Transports, ","),
	}
	want := []any{
		25 * time.Second, 20 * time.Second, 10 * time.Second, 20 * time.Second, 10 * time.Second, 5 * time.Second,
		30 * time.Second, int64(1_000_000), 10_000, int64(4 << 20), 1024, 1024, "polling,websocket",
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("default %d is %v, want %v", i, got[i], want[i])
		}
	}
}

func TestConfigureServer_SetsOnlyWhatIsZero(t *testing.T) {
	server := &http.Server{IdleTimeout: time.Second}
	ConfigureServer(server)
	if server.ReadHeaderTimeout != 10*time.Second || server.IdleTimeout != time.Second || server.MaxHeaderBytes != 16<<10 {
		t.Errorf("got %v, %v, %d", server.ReadHeaderTimeout, server.IdleTimeout, server.MaxHeaderBytes)
	}
}
