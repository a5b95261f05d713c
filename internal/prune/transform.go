package prune

import (
	"github.com/layersmith/layersmith/internal/policy"
)

// Transform rewrites one file. Rewrite does not write to its argument, and returns it when there is
// nothing to gain. An error leaves the file as it was shipped, with the reason in the report.
// Verify compares the result with the original and decides whether it may be used.
type Transform struct {
	ID      string
	Version string
	Rewrite func(name string, in []byte, pol policy.Policy) ([]byte, error)
	Verify  func(name string, before, after []byte) error
}

// transforms are all that exist, by ID; each is in a file of its own.
var transforms = map[string]*Transform{
	elfStrip.ID:       &elfStrip,
	botocoreModels.ID: &botocoreModels,
}

// Versions names the transforms and their versions: part of the key of everything that they made.
func Versions() map[string]string {
	v := map[string]string{}
	for id, t := range transforms {
		v[id] = t.Version
	}

	return v
}
