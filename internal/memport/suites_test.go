package memport_test

import (
	"testing"

	"github.com/layersmith/layersmith/internal/engine"
	"github.com/layersmith/layersmith/internal/memport"
	"github.com/layersmith/layersmith/internal/porttest"
	"github.com/layersmith/layersmith/internal/workflow"
)

// The suites that the adapters for AWS and for a laptop pass too.

func TestLayerVersions(t *testing.T) { porttest.LayerVersions(t, openAccount) }
func TestFunctions(t *testing.T)     { porttest.Functions(t, openAccount) }
func TestSandboxes(t *testing.T)     { porttest.Sandboxes(t, openAccount) }

func openAccount(*testing.T) porttest.Account {
	a := &memport.Account{Run: porttest.SuiteRuntime}

	return porttest.Account{
		LayerVersions: a.LayerVersions(),
		Functions:     a.Functions(),
		Sandboxes:     a.Sandboxes(),
		Others:        others{a},
	}
}

// others is an account as the suites take it.
type others struct{ *memport.Account }

func (o others) AddFunction(f porttest.NewFunction) error {
	return o.Account.AddFunction(memport.NewFunction(f))
}

func TestBlobs(t *testing.T) {
	t.Parallel()
	porttest.Blobs(t, func(*testing.T) workflow.Blobs { return &memport.Blobs{} })
}

func TestRegisters(t *testing.T) {
	t.Parallel()
	porttest.Registers(t, func(*testing.T) workflow.Registers { return &memport.Registers{} })
}

func TestSources(t *testing.T) {
	t.Parallel()
	porttest.Sources(t, func(*testing.T) porttest.PushedSources { return &memport.Sources{} })
}

func TestWheels(t *testing.T) {
	porttest.Wheels(t, func(*testing.T) engine.WheelStore { return &memport.Wheels{} })
}

func TestCache(t *testing.T) {
	porttest.Cache(t, func(*testing.T) engine.Cache { return &memport.Cache{} })
}

func TestOutputs(t *testing.T) {
	porttest.Outputs(t, func(*testing.T) engine.Outputs { return &memport.Outputs{} })
}
