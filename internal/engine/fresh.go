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

// readReport reads the last report of a target; that of another where there is none.
func (s Build) readReport(ctx context.Context, target string) (report.Report, error) {
	r, err := s.readReportFile(ctx, ReportName)
	if err == nil && r.Target == target {
		return r, nil
	}

	if of, err := s.readReportFile(ctx, ReportOf(target)); err == nil {
		return of, nil
	}

	return r, err
}

func (s Build) readReportFile(ctx context.Context, name string) (report.Report, error) {
	var r report.Report
	b, err := s.Outputs.Read(ctx, name)
	if err != nil {
		return r, err
	}

	if err := json.Unmarshal(b, &r); err != nil || r.SchemaVersion != report.SchemaVersion {
		return report.Report{}, errors.New("not a report of this version")
	}

	return r, nil
}

// unchanged reports whether a build would make the outputs again as they are: the keys are the
// same, the zips have the bytes that were written, and the layers were probed unless in asks not to
// probe.
func (s Build) unchanged(ctx context.Context, in BuildInput, old report.Report, jobs []Job) bool {
	if old.Target != in.Lock.Target.String() || old.Tool != s.Tool {
		return false
	}

	probing := s.Python != nil && in.NoProbe == ""
	var g errgroup.Group
	for _, j := range jobs {
		i := indexOf(old.Layers, j.Spec.Name)
		if i < 0 || old.Layers[i].Inputs.Base != j.base || old.Layers[i].Inputs.Stacks != j.stacks {
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

// inPlace returns an error unless a zip has the bytes that were written.
func (s Build) inPlace(ctx context.Context, zip report.File) error {
	b, err := s.Outputs.Open(ctx, zip.Name)
	if err != nil {
		return err
	}
	defer b.Close()

	if b.Size() != int64(zip.Bytes) {
		return errors.New("the size differs")
	}

	sum, _, err := digest.Reader(io.NewSectionReader(b, 0, b.Size()))
	if err == nil && sum != zip.SHA256 {
		err = errors.New("the digest differs")
	}

	return err
}

// States returns for each layer whether a build is needed: "not built", "stale: " and why, or "up
// to date".
func (s Build) States(ctx context.Context, in BuildInput) (map[string]string, error) {
	old, oldErr := s.readReport(ctx, in.Lock.Target.String())
	jobs, err := s.jobs(in)
	if err != nil {
		return nil, err
	}

	states := map[string]string{}
	for _, j := range jobs {
		name := j.Spec.Name
		i := indexOf(old.Layers, name)
		if oldErr != nil || i < 0 || old.Target != in.Lock.Target.String() {
			states[name] = "not built"
			continue
		}

		f := freshness{old: old, layer: old.Layers[i], job: j, ws: in.Workspace, states: states}
		why := f.reason(s.Tool, identity(s.Python))
		if why == "" && s.inPlace(ctx, f.layer.Zip) != nil {
			why = "the zip is not what was built"
		}

		states[name] = "up to date"
		if why != "" {
			states[name] = "stale: " + why
		}
	}

	return states, nil
}
