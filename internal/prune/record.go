package prune

import (
	"fmt"
	"strings"

	"github.com/layersmith/layersmith/internal/digest"
	"github.com/layersmith/layersmith/internal/pydist"
	"github.com/layersmith/layersmith/internal/wheel"
	"github.com/layersmith/layersmith/internal/ziptree"
)

// rewriteRecords rewrites the RECORD of each distribution to list the files that the layer has.
// Format: "Recording installed projects", PyPA.
func (out *Pruned) rewriteRecords(distributions []wheel.Distribution) error {
	bySite := map[string]int{}
	files := map[pydist.Name][]*Applied{}
	for i := range out.Decisions {
		o := &out.Decisions[i]
		bySite[o.Site] = i
		if o.Fate != Dropped && o.Owner.Name != (pydist.Name{}) {
			files[o.Owner.Name] = append(files[o.Owner.Name], o)
		}
	}

	for _, d := range distributions {
		i, ok := bySite[d.DistInfo+"/RECORD"]
		if !ok || out.Decisions[i].Fate == Dropped {
			continue
		}

		rows := make([]pydist.RecordEntry, 0, len(files[d.Name]))
		for _, o := range files[d.Name] {
			row, err := o.recordRow(d)
			if err != nil {
				return fmt.Errorf("rewrite RECORD of %s: %w", d.Name, err)
			}

			rows = append(rows, row)
		}

		o := &out.Decisions[i]
		o.Fate = Transformed
		o.Rule = ByRecord
		o.Result = ziptree.File(o.Entry.Name, pydist.FormatRecord(rows), ByRecord)
	}

	return nil
}

// recordRow returns the RECORD row of a file. The hash of a transformed file is in the note of its
// pack, that of a kept file in the shipped RECORD. RECORD itself and bytecode have no hash and no
// size, as installers write them.
func (o *Applied) recordRow(d wheel.Distribution) (pydist.RecordEntry, error) {
	row := pydist.RecordEntry{Path: o.Site, Size: -1}
	if sum, ok := strings.CutPrefix(o.Result.Note, noteSHA256); ok && o.Fate == Transformed {
		parsed, err := digest.Parse(sum)
		if err != nil {
			return row, err
		}

		row.SHA256 = parsed.Record()
		row.Size = o.Result.Size
		return row, nil
	}

	if o.Site == d.DistInfo+"/RECORD" || strings.HasSuffix(o.Site, ".pyc") {
		return row, nil
	}

	if shipped, ok := d.Record[o.Site]; ok {
		row.SHA256 = shipped
		row.Size = o.Result.Size
	}

	return row, nil
}
