package porttest_test

import (
	"testing"

	"github.com/layersmith/layersmith/internal/porttest"
	"github.com/layersmith/layersmith/internal/workflow"
)

func TestMemoryBlobs(t *testing.T) {
	t.Parallel()
	porttest.Blobs(t, func(*testing.T) workflow.Blobs { return &porttest.MemoryBlobs{} })
}

func TestMemoryRegisters(t *testing.T) {
	t.Parallel()
	porttest.Registers(t, func(*testing.T) workflow.Registers { return &porttest.MemoryRegisters{} })
}

func TestMemorySources(t *testing.T) {
	t.Parallel()
	porttest.Sources(t, func(*testing.T) porttest.PushedSources { return &porttest.MemorySources{} })
}
