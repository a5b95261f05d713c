// Verify runs one candidate on the real Lambda runtime.
package main

import (
	"context"

	"github.com/layersmith/layersmith/internal/lambdamain"
	"github.com/layersmith/layersmith/internal/workflow"
)

// memory of the temporary function in MiB. With it, a function has one whole vCPU (docs: "Configure
// Lambda function memory").
const memory = 1769

func main() { lambdamain.StartWithEnv(run, lambdamain.ProbeRole, lambdamain.ProbePrefix) }

func run(ctx context.Context, env lambdamain.Environment, in workflow.StackInput) (workflow.Item, error) {
	return workflow.Verify{
		Ledger:    env.Ledger(),
		Sandboxes: env.Sandboxes(),
		Versions:  env.LayerVersions(),
		Probes:    env.ProbePrefix,
		Memory:    memory,
	}.Run(ctx, in)
}
