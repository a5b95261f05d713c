package cli

import (
	"cmp"
	"context"
	"errors"
	"os"

	"github.com/spf13/cobra"

	"github.com/layersmith/layersmith/internal/awsport"
	"github.com/layersmith/layersmith/internal/engine"
	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/release"
)

// defaultStack is what `make deploy` calls the stack.
const defaultStack = "layersmith"

// where says which deployed stack a command talks to, in the words that AWS users know.
type where struct{ profile, region, stack string }

func (w *where) flags(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&w.profile, "profile", "",
		"profile of your AWS configuration (default: $AWS_PROFILE, or what the environment gives)")
	f.StringVar(&w.region, "region", "", "region of the stack (default: $AWS_REGION, or the profile's)")
	f.StringVar(&w.stack, "stack", "", "name of the stack (default: $LAYERSMITH_STACK, or "+defaultStack+")")
}

// account is a deployed stack, for one command.
type account struct{ awsport.Operator }

// attempts is how often a request is sent at most: a person waits for it.
const attempts = 4

// connect finds the stack.
func (w where) connect(ctx context.Context) (*account, error) {
	stack := cmp.Or(w.stack, os.Getenv("LAYERSMITH_STACK"), defaultStack)
	o, err := awsport.OpenOperator(ctx,
		awsport.Options{Profile: w.profile, Region: w.region, Version: engine.Version, Attempts: attempts}, stack)
	if err != nil {
		return nil, err
	}

	return &account{o}, nil
}

// released reads what is promoted; found is false when nothing ever was.
func (c *account) released(ctx context.Context) (r release.Released, found bool, err error) {
	b, _, err := c.Registers.Load(ctx, release.ReleasedName)
	if fault.CodeOf(err) == fault.NotFound {
		return r, false, nil
	}

	if err != nil {
		return r, false, err
	}

	if err := release.Decode(b, &r); err != nil {
		return r, false, fault.New(fault.ProvenanceMismatch, "read", "s3://"+c.StoreBucket+"/"+release.ReleasedName,
			err).
			WithHint("it was written by another version of Layersmith: use the one that is deployed")
	}

	return r, true, nil
}

// releasedLayer is a layer as it is released, once for each target.
func (c *account) releasedLayer(
	ctx context.Context,
	op, layer string,
) (release.Released, []release.ReleasedLayer, error) {
	r, found, err := c.released(ctx)
	if err != nil {
		return r, nil, err
	}

	if !found || len(r.Layers) == 0 {
		return r, nil, fault.New(fault.NotFound, op, layer, errors.New("nothing is released yet")).
			WithHint("run: layersmith push, then layersmith watch")
	}

	var these []release.ReleasedLayer
	hint := "released are:"
	said := map[string]bool{}
	for _, l := range r.Layers {
		if l.Layer == layer {
			these = append(these, l)
		}

		if !said[l.Layer] {
			said[l.Layer] = true
			hint += " " + l.Layer
		}
	}

	if len(these) == 0 {
		return r, nil, fault.New(fault.NotFound, op, layer, errors.New("no layer of that name is released")).
			WithHint(hint)
	}

	return r, these, nil
}
