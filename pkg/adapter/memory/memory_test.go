package memory_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/roomcast/roomcast/pkg/adapter"
	"github.com/roomcast/roomcast/pkg/adapter/adaptertest"
	"github.com/roomcast/roomcast/pkg/adapter/memory"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestConformance(t *testing.T) {
	backend := memory.New()
	adaptertest.Run(t, adaptertest.Config{
		New: func(testing.TB) adapter.Adapter { return backend },
	})
}
