package lambdamain

import (
	"os"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/layersmith/layersmith/internal/awsport"
	"github.com/layersmith/layersmith/internal/engine"
	"github.com/layersmith/layersmith/internal/localport"
	"github.com/layersmith/layersmith/internal/workflow"
)

// Ledger keeps the stack's runs in the store's bucket.
func (e Environment) Ledger() workflow.Ledger {
	client := s3.NewFromConfig(AWS())

	return workflow.Ledger{
		Registers: awsport.Registers{Client: client, Bucket: e.Store},
		Blobs:     awsport.Blobs{Client: client, Bucket: e.Store, Temp: os.TempDir()},
		Now:       time.Now,
	}
}

// LayerVersions are those of the stack's account and region.
func (e Environment) LayerVersions() workflow.LayerVersions {
	return awsport.LayerVersions{Client: lambda.NewFromConfig(AWS()), Bucket: e.Store}
}

// Sandboxes are the stack's temporary functions.
func (e Environment) Sandboxes() workflow.Sandboxes {
	return awsport.Sandboxes{Client: lambda.NewFromConfig(AWS()), Role: e.ProbeRole}
}

// Scratch makes a cache for one invocation in a temporary folder; discard removes it. The cache is
// not shared between invocations: its entries are keyed by wheels, and a function knows no wheels.
func Scratch() (cache engine.Cache, discard func(), err error) {
	dir, err := os.MkdirTemp("", "packs-")
	if err != nil {
		return nil, nil, err
	}

	packs := &localport.Packs{Dir: dir}

	return packs, func() { packs.Close(); os.RemoveAll(dir) }, nil
}
