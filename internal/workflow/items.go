package workflow

import (
	"fmt"
	"strings"

	"github.com/layersmith/layersmith/internal/blob"
	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/measure"
	"github.com/layersmith/layersmith/internal/pydist"
)

// Item is one layer in the state of an execution: a reference to the document that the last stage
// made of it.
type Item struct {
	Layer   string        `json:"layer"`
	Target  pydist.Target `json:"target"`
	Doc     blob.Ref      `json:"doc"`
	Summary string        `json:"summary"` // for people
}

// Consumer is one consumer in the state of an execution: a reference to its change.
type Consumer struct {
	Function string `json:"function"` // its ARN
	Change   string `json:"change"`   // name of the change's register
	Summary  string `json:"summary"`  // for people
}

// next returns the item with the document of the next stage.
func (i Item) next(doc blob.Ref, summary string) Item {
	i.Doc = doc
	i.Summary = summary
	return i
}

// checkBelongs checks that a document of that layer and target belongs to the item. Fault
// ProvenanceMismatch.
func (i Item) checkBelongs(layer string, t pydist.Target) error {
	if i.Layer != layer || i.Target != t {
		return fault.New(fault.ProvenanceMismatch, "read", strings.TrimSpace(i.Layer+" "+i.Target.String()),
			fmt.Errorf("its document belongs to %s on %s", layer, t)).
			WithHint("start a new execution")
	}

	return nil
}

func bytesOf(r blob.Ref) measure.Bytes { return measure.Bytes(r.Size) }
