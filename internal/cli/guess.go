package cli

import (
	"github.com/layersmith/layersmith/internal/engine"
	"github.com/layersmith/layersmith/internal/pydist"
	"github.com/layersmith/layersmith/internal/ziptree"
)

// guess chooses the target for a zip or folder of another tool, where --target does not name it,
// and says so.
func (a *app) guess(tree ziptree.Tree, def pydist.Target) pydist.Target {
	if a.target != "" {
		return def
	}

	t, told := engine.GuessTarget(tree, def)
	why := "by its files"
	if !told {
		why = "by default: its files do not say"
	}

	a.say("target  %s, %s", t, why)
	return t
}
