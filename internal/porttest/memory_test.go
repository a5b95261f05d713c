package porttest_test

import (
	"testing"

	"github.com/layersmith/layersmith/internal/porttest"
	"github.com/layersmith/layersmith/internal/stage"
)

// The fakes that the tests of stages run on keep what the ports promise.

func TestMemoryWheels(t *testing.T) {
	porttest.Wheels(t, func(*testing.T) stage.WheelStore { return &porttest.MemoryWheels{} })
}

func TestMemoryCache(t *testing.T) {
	porttest.Cache(t, func(*testing.T) stage.Cache { return &porttest.MemoryCache{} })
}

func TestMemoryOutputs(t *testing.T) {
	porttest.Outputs(t, func(*testing.T) stage.Outputs { return &porttest.MemoryOutputs{} })
}
