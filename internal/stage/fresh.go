package stage

import (
	"context"
	"encoding/json"
	"errors"
	"io"

	"golang.org/x/sync/errgroup"

	"github.com/layersmith/layersmith/internal/digest"
	"github.com/layersmith/layersmith/internal/report"
)

func (s Build) readReport(ctx context.Context) (report.Report, error) {
	var r report.Report
	b, err := s.Outputs.Read(ctx, ReportName)
	if err != nil {
		return r, err
	}

	if err := json.Unmarshal(b, &r); err != nil || r.SchemaVersion != report.SchemaVersion {
		return report.Report{}, errors.New("not a report of this version")
	}

	return r, nil
}

// unchanged reports whether the outputs are those that a build would make again: same keys, the
// zips in place with the bytes that were written, and probed if that is wanted.
func (s Build) unchanged(ctx context.Context, in BuildInput, old report.Report, works []*work) bool {
	if old.Target != in.Lock.Target.String() || old.Tool != s.Tool {
		return false
	}

	var g errgroup.Group
	for _, w := range works {
		i := indexOf(old.Layers, w.spec.Name)
		if i < 0 || old.Layers[i].Key != w.key {
			return false
		}

		l := old.Layers[i]
		if s.Python != nil && !in.NoProbe && l.Probe.Status == report.NotProbed {
			return false
		}

		g.Go(func() error {
			b, err := s.Outputs.Open(ctx, l.Zip.Name)
			if err != nil {
				return err
			}
			defer b.Close()
			if b.Size() != int64(l.Zip.Bytes) {
				return errors.New("another size")
			}

			sum, _, err := digest.Reader(io.NewSectionReader(b, 0, b.Size()))
			if err == nil && sum != l.Zip.SHA256 {
				err = errors.New("other bytes")
			}

			return err
		})
	}

	return g.Wait() == nil
}

// States says of each layer whether what is in the outputs is what a build would make.
func (s Build) States(ctx context.Context, in BuildInput) (map[string]string, error) {
	old, oldErr := s.readReport(ctx)
	all, err := s.works(in)
	if err != nil {
		return nil, err
	}

	states := map[string]string{}
	for _, w := range all {
		l := w.spec
		i := indexOf(old.Layers, l.Name)
		switch {
		case oldErr != nil || i < 0:
			states[l.Name] = "not built"
		case old.Layers[i].Key != w.key:
			states[l.Name] = "stale: spec, lock or tools changed"
		case !s.unchanged(ctx, BuildInput{Lock: in.Lock, NoProbe: true}, old, []*work{w}):
			states[l.Name] = "stale: the zip is not what was built"
		default:
			states[l.Name] = "up to date"
		}
	}

	return states, nil
}
