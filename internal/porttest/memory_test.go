package porttest_test

import (
	"testing"

	"github.com/layersmith/layersmith/internal/engine"
	"github.com/layersmith/layersmith/internal/porttest"
)

// The fakes that the tests of stages run on keep what the ports promise.

func TestMemoryWheels(t *testing.T) {
	porttest.Wheels(t, func(*testing.T) engine.WheelStore { return &porttest.MemoryWheels{} })
}

func TestMemoryCache(t *testing.T) {
	porttest.Cache(t, func(*testing.T) engine.Cache { return &porttest.MemoryCache{} })
}

func TestMemoryOutputs(t *testing.T) {
	porttest.Outputs(t, func(*testing.T) engine.Outputs { return &porttest.MemoryOutputs{} })
}
