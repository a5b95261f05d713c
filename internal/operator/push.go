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

// Push is what a push does, or would do.
type Push struct {
	SchemaVersion int           `json:"schemaVersion"`
	Bucket        string        `json:"bucket"`
	DryRun        bool          `json:"dryRun"`
	Uploaded      []string      `json:"uploaded"`
	Deleted       []string      `json:"deleted"`
	OnlyThere     []string      `json:"onlyThere"` // in the bucket, and not here
	Unchanged     int           `json:"unchanged"`
	Bytes         measure.Bytes `json:"bytes"` // uploaded
}

// parallelCompares is how many files are compared at one time: with a KMS key each takes a request.
const parallelCompares = 8

// Compare says what a push has to do. Requirements come last among the uploads: an execution acts on
// the newest upload and takes the workspace as it is then, so everything that they need must be
// there before.
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

// same are the files that the bucket has already. Those that only the bucket has go into the push.
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

// Push carries a push out. It deletes first: a deletion starts nothing, and the upload that starts an
// execution must find the workspace complete. Uploads go one after the other, so that the last one
// is the newest. After an error, done files are in the bucket; a new Compare finds the rest.
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

// halfDone adds to a fault how far the push came.
func (p Push) halfDone(err error, done int) error {
	var f *fault.Error
	if done == 0 || !errors.As(err, &f) {
		return err
	}

	g := *f
	g.Err = fmt.Errorf("%w; %d of %d files were pushed before", f.Err, done, len(p.Deleted)+len(p.Uploaded))
	return &g
}
