package operator

import (
	"context"

	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/release"
)

// Step is what a rollback does to a layer on one target.
type Step struct {
	LayerName string
	From      int64
	To        release.ReleasedVersion
}

// Rollback returns the request for a rollback of a layer, and a step for each of its targets.
// number is the version to go back to; 0 is the one before the current one.
func (a Account) Rollback(ctx context.Context, layer string, number int64) (release.Request, []Step, error) {
	_, released, err := a.releasedLayer(ctx, "roll back", layer)
	if err != nil {
		return release.Request{}, nil, err
	}

	var steps []Step
	for _, l := range released {
		v, err := l.Back(number)
		if err != nil {
			return release.Request{}, nil, fault.New(fault.BadInput, "roll back", layer, err).WithHint(backHint(l))
		}

		steps = append(steps, Step{LayerName: l.LayerName, From: l.Current.Version, To: v})
	}

	if len(steps) == 1 {
		number = steps[0].To.Version // the user confirms this version, also when another one is released now
	}

	return release.Request{Rollback: &release.Restore{Layer: layer, To: number}}, steps, nil
}

func backHint(l release.ReleasedLayer) string {
	if len(l.Earlier) == 0 {
		return "there is no earlier version; change the requirements and run: layersmith push"
	}

	return "choose one of: " + l.Versions()
}
