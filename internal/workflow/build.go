package workflow

import (
	"context"
	"errors"
	"io"
	"io/fs"

	"github.com/layersmith/layersmith/internal/digest"
	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/lock"
	"github.com/layersmith/layersmith/internal/pydist"
	"github.com/layersmith/layersmith/internal/release"
	"github.com/layersmith/layersmith/internal/report"
	"github.com/layersmith/layersmith/internal/workspace"
	"github.com/layersmith/layersmith/internal/ziptree"
)

// Build makes the unpruned artifacts that a run asks for. CodeBuild runs it, where uv and the
// target's interpreter are.
type Build struct {
	Ledger
	Tool   string // name and version, for documents
	Prefix string // of layers' names in Lambda
	Site   OpenSite
}

// OpenSite unpacks a workspace, whose files lie below layers/, into a folder of the machine.
type OpenSite func(ctx context.Context, files ziptree.Tree) (site Site, remove func(), err error)

// Site is an unpacked workspace on a machine that can build. Its errors name files as the people who
// pushed them know them: layers/NAME/requirements.txt:3.
type Site interface {
	Workspace() (workspace.Workspace, error)
	// Read and Write take names relative to the workspace. Read returns fs.ErrNotExist.
	Read(name string) ([]byte, error)
	Write(name string, b []byte) error
	// Artifacts locks, fetches and writes the unpruned artifacts of all layers for one target.
	// With refresh, nothing of the lock is kept.
	Artifacts(ctx context.Context, w workspace.Workspace, t pydist.Target, refresh bool) (report.Report, lock.Lock, error)
	// Open returns a written artifact by the file name in the report.
	Open(name string) (io.ReadCloser, error)
}

// Run builds, and stores a list of the artifacts. When that fails, it stores the reason for the run's
// report.
func (s Build) Run(ctx context.Context, name string) error {
	built, err := s.build(ctx, name)
	if err == nil {
		return s.store(ctx, release.BuiltName(name), built)
	}

	if ctx.Err() != nil {
		return err
	}

	return errors.Join(err, s.store(ctx, release.FailureName(name), release.Failure{
		Code:    string(fault.CodeOf(err)),
		Message: err.Error(),
		Hint:    fault.HintOf(err),
	}))
}

func (s Build) build(ctx context.Context, name string) (release.Built, error) {
	start := s.Now()
	run, err := s.known(ctx, name)
	if err != nil {
		return release.Built{}, err
	}

	released, _, err := s.released(ctx)
	if err != nil {
		return release.Built{}, err
	}

	site, remove, err := s.open(ctx, run)
	if err != nil {
		return release.Built{}, err
	}
	defer remove()

	w, err := site.Workspace()
	if err != nil {
		return release.Built{}, err
	}

	built := release.Built{
		SchemaVersion: release.SchemaVersion,
		Run:           name,
		Tool:          s.Tool,
		Workspace:     run.Workspace.SHA256,
		Locks:         []release.LockFile{},
		Layers:        []release.BuiltLayer{},
	}
	for _, t := range w.Targets {
		if err := s.target(ctx, site, w, t, releaseOf{run, released}, &built); err != nil {
			return release.Built{}, err
		}
	}

	built.Seconds = s.Now().Sub(start).Seconds()
	return built, nil
}

// open unpacks the workspace of a run below layers/.
func (s Build) open(ctx context.Context, run release.Run) (Site, func(), error) {
	tree, f, err := openZip(ctx, s.Blobs, run.Workspace)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()

	var entries []ziptree.Entry
	for _, e := range tree.Entries() {
		entries = append(entries, e.Named(workspaceRoot+"/"+e.Name))
	}

	if tree, err = ziptree.New(entries); err != nil {
		return nil, nil, err
	}

	return s.Site(ctx, tree)
}

// releaseOf is what a build goes by: what was asked for, and what is released.
type releaseOf struct {
	run      release.Run
	released release.Released
}

// target adds the artifacts for one target to the list.
func (s Build) target(
	ctx context.Context, site Site, w workspace.Workspace, t pydist.Target, of releaseOf, built *release.Built,
) error {
	pushed, err := s.chooseLock(ctx, site, of.released, t)
	if err != nil {
		return err
	}

	rep, l, err := site.Artifacts(ctx, w, t, of.run.Request.Refresh)
	if err != nil {
		return err
	}

	b := l.Marshal()
	ref, err := s.Blobs.Put(ctx, "locks/", ".toml", func(out io.Writer) error {
		_, err := out.Write(b)
		return err
	})
	if err != nil {
		return err
	}

	built.Locks = append(built.Locks, release.LockFile{Target: t, File: ref, Pushed: pushed})
	for _, layer := range rep.Layers {
		b, err := s.layer(ctx, site, w, t, layer)
		if err != nil {
			return err
		}

		built.Layers = append(built.Layers, b)
	}

	return nil
}

// layer stores one artifact.
func (s Build) layer(
	ctx context.Context, site Site, w workspace.Workspace, t pydist.Target, l report.Layer,
) (release.BuiltLayer, error) {
	artifact, err := s.Blobs.Put(ctx, "artifacts/", ".zip", func(out io.Writer) error {
		f, err := site.Open(l.Zip.Name)
		if err != nil {
			return err
		}
		defer f.Close()

		_, err = io.Copy(out, f)
		return err
	})

	return release.BuiltLayer{
		Layer:     l.Name,
		Target:    t,
		LayerName: release.LayerName(s.Prefix, l.Name, t, w.Targets[0]),
		Key:       l.Key,
		Below:     w.Below(l.Name),
		Artifact:  artifact,
		Before:    l.Before,
		Wheels:    l.Inputs.Wheels,
		Bytecode:  l.Bytecode,
	}, err
}

// chooseLock puts the lock of the last release into the workspace, unless another one was pushed
// since: a monthly refresh must not be undone by the next upload, which still has the lock from
// before it. It returns the digest of the pushed lock, zero for none.
func (s Build) chooseLock(
	ctx context.Context, site Site, released release.Released, t pydist.Target,
) (pushed digest.SHA256, err error) {
	name := lock.FileName(t)
	b, err := site.Read(name)
	switch {
	case err == nil:
		pushed = digest.Of(b)
	case !errors.Is(err, fs.ErrNotExist):
		return pushed, err
	}

	for _, l := range released.Locks {
		if l.Target != t || l.Pushed != pushed {
			continue
		}

		b, err := contents(ctx, s.Blobs, l.File)
		if err != nil {
			return pushed, err
		}

		return pushed, site.Write(name, b)
	}

	return pushed, nil
}

// store writes a document of the run; a build that is run again replaces it.
func (s Build) store(ctx context.Context, name string, doc any) error {
	_, tag, err := s.Registers.Load(ctx, name)
	if err != nil && fault.CodeOf(err) != fault.NotFound {
		return err
	}

	_, err = store(ctx, s.Registers, name, doc, tag)
	return err
}
