package engine

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

// unchanged reports whether the outputs are those that a build would make again: the same keys, the
// zips in place with the bytes that were written, and probed if that is wanted.
func (s Build) unchanged(ctx context.Context, in BuildInput, old report.Report, jobs []Job) bool {
	if old.Target != in.Lock.Target.String() || old.Tool != s.Tool {
		return false
	}

	probing := s.Python != nil && in.NoProbe == ""
	var g errgroup.Group
	for _, j := range jobs {
		i := indexOf(old.Layers, j.Spec.Name)
		if i < 0 || old.Layers[i].Key != j.Key {
			return false
		}

		l := old.Layers[i]
		if probing && l.Probe.Status == report.NotProbed {
			return false
		}

		g.Go(func() error { return s.inPlace(ctx, l.Zip) })
	}

	return g.Wait() == nil
}

// inPlace checks that a zip has the bytes that were written.
func (s Build) inPlace(ctx context.Context, zip report.File) error {
	b, err := s.Outputs.Open(ctx, zip.Name)
	if err != nil {
		return err
	}
	defer b.Close()

	if b.Size() != int64(zip.Bytes) {
		return errors.New("another size")
	}

	sum, _, err := digest.Reader(io.NewSectionReader(b, 0, b.Size()))
	if err == nil && sum != zip.SHA256 {
		err = errors.New("other bytes")
	}

	return err
}

// States says of each layer whether what is in the outputs is what a build would make.
func (s Build) States(ctx context.Context, in BuildInput) (map[string]string, error) {
	old, oldErr := s.readReport(ctx)
	jobs, err := s.jobs(in)
	if err != nil {
		return nil, err
	}

	in.NoProbe = "only the bytes count"
	states := map[string]string{}
	for _, j := range jobs {
		name := j.Spec.Name
		i := indexOf(old.Layers, name)
		switch {
		case oldErr != nil || i < 0:
			states[name] = "not built"
		case old.Layers[i].Key != j.Key:
			states[name] = "stale: spec, lock or tools changed"
		case !s.unchanged(ctx, in, old, []Job{j}):
			states[name] = "stale: the zip is not what was built"
		default:
			states[name] = "up to date"
		}
	}

	return states, nil
}
