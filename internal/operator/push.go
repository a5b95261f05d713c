package operator

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/measure"
)

// Push is what a push does, or would do with --dry-run. Names are relative to the workspace.
type Push struct {
	SchemaVersion int           `json:"schemaVersion"`
	Bucket        string        `json:"bucket"`
	DryRun        bool          `json:"dryRun"`
	Uploaded      []string      `json:"uploaded"`
	Deleted       []string      `json:"deleted"`
	OnlyThere     []string      `json:"onlyThere"` // in the bucket, not in the workspace
	Unchanged     int           `json:"unchanged"`
	Bytes         measure.Bytes `json:"bytes"` // uploaded
}

// parallelCompares is how many files are compared at one time. With a KMS key, each takes a
// request.
const parallelCompares = 8

// Compare returns what a push has to do. Uploads of requirements.txt come last: each starts an
// execution, which reads the workspace, so all other files have to be there before.
func (a Account) Compare(ctx context.Context, files map[string][]byte) (Push, error) {
	p := Push{
		SchemaVersion: 1,
		Bucket:        a.WorkspaceBucket,
		Uploaded:      []string{},
		Deleted:       []string{},
		OnlyThere:     []string{},
	}
	same, err := a.same(ctx, files, &p)
	if err != nil {
		return p, err
	}

	for name, content := range files {
		if !same[name] {
			p.Uploaded = append(p.Uploaded, name)
			p.Bytes += measure.Bytes(len(content))
		}
	}

	p.Unchanged = len(same)
	slices.SortFunc(p.Uploaded, byUpload)
	return p, nil
}

// same returns the files that the bucket has already. It adds those that only the bucket has to p.
func (a Account) same(ctx context.Context, files map[string][]byte, p *Push) (map[string]bool, error) {
	listed, err := a.Workspace.List(ctx)
	if err != nil {
		return nil, err
	}

	equal := make([]bool, len(listed))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(parallelCompares)
	for i, there := range listed {
		content, here := files[there.Name]
		if !here {
			p.OnlyThere = append(p.OnlyThere, there.Name)
			continue
		}

		g.Go(func() (err error) {
			equal[i], err = a.Workspace.Same(ctx, there, content)
			return err
		})
	}

	if err := g.Wait(); err != nil {
		return nil, err
	}

	same := map[string]bool{}
	for i, there := range listed {
		if equal[i] {
			same[there.Name] = true
		}
	}

	return same, nil
}

// byUpload sorts by name, requirements.txt files last.
func byUpload(a, b string) int {
	last := func(name string) int {
		if path.Base(name) == "requirements.txt" {
			return 1
		}

		return 0
	}
	if c := last(a) - last(b); c != 0 {
		return c
	}

	return strings.Compare(a, b)
}

// DeleteOthers makes the push delete files that are in the bucket only.
func (p *Push) DeleteOthers() {
	p.Deleted = p.OnlyThere
	p.OnlyThere = []string{}
}

// Push carries out a push: deletions, which start no execution, then the uploads one by one, in the
// order of Compare. done is how many files were deleted or uploaded. After an error, another
// Compare finds the rest.
func (a Account) Push(ctx context.Context, p Push, files map[string][]byte) (done int, err error) {
	for _, name := range p.Deleted {
		if err := a.Workspace.Delete(ctx, name); err != nil {
			return done, p.halfDone(err, done)
		}

		done++
	}

	for _, name := range p.Uploaded {
		if err := a.Workspace.Put(ctx, name, files[name]); err != nil {
			return done, p.halfDone(err, done)
		}

		done++
	}

	return done, nil
}

// halfDone adds the number of files that were pushed to a fault.
func (p Push) halfDone(err error, done int) error {
	var f *fault.Error
	if done == 0 || !errors.As(err, &f) {
		return err
	}

	g := *f
	g.Err = fmt.Errorf("%w; %d of %d files were pushed before", f.Err, done, len(p.Deleted)+len(p.Uploaded))
	return &g
}
