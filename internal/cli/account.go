package cli

import (
	"cmp"
	"context"
	"os"

	"github.com/spf13/cobra"

	"github.com/layersmith/layersmith/internal/awsport"
	"github.com/layersmith/layersmith/internal/engine"
	"github.com/layersmith/layersmith/internal/operator"
)

// defaultStack is what `make deploy` calls the stack.
const defaultStack = "layersmith"

// where says which deployed stack a command talks to, in the words that AWS users know.
type where struct{ profile, region, stack string }

func (w *where) flags(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&w.profile, "profile", "", "profile of your AWS configuration (default: $AWS_PROFILE)")
	f.StringVar(&w.region, "region", "", "region of the stack (default: $AWS_REGION, or the profile's)")
	f.StringVar(&w.stack, "stack", "", "name of the stack (default: $LAYERSMITH_STACK, or "+defaultStack+")")
}

// attempts is how often a request is sent at most: a person waits for it.
const attempts = 4

// connect finds the stack.
func (w where) connect(ctx context.Context) (operator.Account, error) {
	stack := cmp.Or(w.stack, os.Getenv("LAYERSMITH_STACK"), defaultStack)
	return awsport.OpenAccount(ctx, awsport.Options{
		Profile:  w.profile,
		Region:   w.region,
		Version:  engine.Version,
		Attempts: attempts,
	}, stack)
}
