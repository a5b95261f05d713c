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

// Ledger is where the stack's runs are written down.
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

// Sandboxes are the stack's throw-away functions.
func (e Environment) Sandboxes() workflow.Sandboxes {
	return awsport.Sandboxes{Client: lambda.NewFromConfig(AWS()), Role: e.ProbeRole}
}

// Scratch is a cache for one invocation: a function has no wheels, and what it holds cannot be
// known by them.
func Scratch() (engine.Cache, func(), error) {
	dir, err := os.MkdirTemp("", "packs-")
	if err != nil {
		return nil, nil, err
	}

	packs := &localport.Packs{Dir: dir}
	return packs, func() { packs.Close(); os.RemoveAll(dir) }, nil
}
