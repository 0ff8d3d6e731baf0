package adapter_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/roomcast/roomcast/pkg/adapter"
	"github.com/roomcast/roomcast/pkg/adapter/adaptertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The backend that the documentation shows must be a good one.
func TestExample_BackendConforms(t *testing.T) {
	b := newBroker()
	adaptertest.Run(t, adaptertest.Config{New: func(testing.TB) adapter.Adapter { return bus{b} }})
}

func TestState_HasAName(t *testing.T) {
	if up, degraded := adapter.Up.String(), adapter.Degraded.String(); up != "up" || degraded != "degraded" {
		t.Errorf("got %q and %q", up, degraded)
	}
}
