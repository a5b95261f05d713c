package prune

import (
	"github.com/layersmith/layersmith/internal/policy"
)

// Transform rewrites one file. Rewrite must not modify its input, and returns it if nothing can be
// gained. After an error the file is kept as shipped, and the report gives the reason. Verify
// returns an error if the result must not be used in place of the original.
type Transform struct {
	ID      string
	Version string
	Rewrite func(name string, in []byte, pol policy.Policy) ([]byte, error)
	Verify  func(name string, before, after []byte) error
}

// transforms holds all transforms by ID.
var transforms = map[string]*Transform{
	elfStrip.ID:       &elfStrip,
	botocoreModels.ID: &botocoreModels,
}

// Versions returns the version of each transform by ID. It is part of the key of their results.
func Versions() map[string]string {
	v := map[string]string{}
	for id, t := range transforms {
		v[id] = t.Version
	}

	return v
}
