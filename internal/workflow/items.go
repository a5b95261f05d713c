package workflow

import (
	"fmt"
	"strings"

	"github.com/layersmith/layersmith/internal/blob"
	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/measure"
	"github.com/layersmith/layersmith/internal/pydist"
)

// Item is one layer on its way through the states of the workflow: the reference to what the last
// stage made of it.
type Item struct {
	Layer   string        `json:"layer"`
	Target  pydist.Target `json:"target"`
	Doc     blob.Ref      `json:"doc"`
	Summary string        `json:"summary"` // for people
}

// Consumer is one consumer on its way: which change is meant.
type Consumer struct {
	Function string `json:"function"`
	Change   string `json:"change"` // the name of the change's register
	Summary  string `json:"summary"`
}

// next is the item with the document of the next stage.
func (i Item) next(doc blob.Ref, summary string) Item {
	i.Doc = doc
	i.Summary = summary
	return i
}

// names checks that a document is that of the item's layer.
func (i Item) names(layer string, t pydist.Target) error {
	if i.Layer != layer || i.Target != t {
		return fault.New(fault.ProvenanceMismatch, "read", strings.TrimSpace(i.Layer+" "+i.Target.String()),
			fmt.Errorf("its document is that of %s on %s", layer, t)).
			WithHint("start a new execution")
	}

	return nil
}

func bytesOf(r blob.Ref) measure.Bytes { return measure.Bytes(r.Size) }
