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

// Build makes the unpruned artifacts of a run. It runs in CodeBuild, which has uv and the target's
// interpreter.
type Build struct {
	Ledger
	Tool   string // name and version of this program
	Prefix string // of the names of layers in Lambda
	Site   OpenSite
}

// OpenSite unpacks a workspace, whose files are below layers/, into a folder of the machine.
type OpenSite func(ctx context.Context, files ziptree.Tree) (site Site, remove func(), err error)

// Site is an unpacked workspace on a machine that can build. Its errors contain file names as the
// user pushed them: layers/NAME/requirements.txt:3.
type Site interface {
	Workspace() (workspace.Workspace, error)
	// Read and Write take names relative to the workspace. Read returns fs.ErrNotExist.
	Read(name string) ([]byte, error)
	Write(name string, b []byte) error
	// Artifacts locks, fetches and writes the unpruned artifacts of all layers for one target.
	// With refresh, it ignores the existing lock.
	Artifacts(
		ctx context.Context, w workspace.Workspace, t pydist.Target, refresh bool,
	) (report.Report, lock.Lock, error)
	// Open returns an artifact by its file name in the report.
	Open(name string) (io.ReadCloser, error)
}

// Run builds, and stores the list of artifacts. If the build fails, it stores the error for the
// run's report, unless ctx has ended.
func (s Build) Run(ctx context.Context, name string) error {
	built, err := s.build(ctx, name)
	if err == nil {
		return s.replace(ctx, release.BuiltName(name), built)
	}

	if ctx.Err() != nil {
		return err
	}

	return errors.Join(err, s.replace(ctx, release.FailureName(name), release.Failure{
		Code:    string(fault.CodeOf(err)),
		Message: err.Error(),
		Hint:    fault.HintOf(err),
	}))
}

func (s Build) build(ctx context.Context, name string) (release.Built, error) {
	start := s.Now()
	run, err := s.readRun(ctx, name)
	if err != nil {
		return release.Built{}, err
	}

	released, _, err := s.readReleased(ctx)
	if err != nil {
		return release.Built{}, err
	}

	site, remove, err := s.openSite(ctx, run)
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
	b := siteBuild{Build: s, site: site, workspace: w, refresh: run.Request.Refresh}
	for _, t := range w.Targets {
		l, layers, err := b.target(ctx, t, released)
		if err != nil {
			return release.Built{}, err
		}

		built.Locks = append(built.Locks, l)
		built.Layers = append(built.Layers, layers...)
	}

	built.Seconds = s.Now().Sub(start).Seconds()
	return built, nil
}

// openSite unpacks the workspace of a run below layers/.
func (s Build) openSite(ctx context.Context, run release.Run) (Site, func(), error) {
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

// replace writes a document of the run, whether it exists or not: a build may run again.
func (s Build) replace(ctx context.Context, name string, doc any) error {
	_, tag, err := s.Registers.Load(ctx, name)
	if err != nil && fault.CodeOf(err) != fault.NotFound {
		return err
	}

	_, err = store(ctx, s.Registers, name, doc, tag)
	return err
}

// siteBuild is the build of one unpacked workspace.
type siteBuild struct {
	Build
	site      Site
	workspace workspace.Workspace
	refresh   bool // ignore the existing lock
}

// target builds the artifacts of all layers for one target, and stores them with their lock.
func (b siteBuild) target(
	ctx context.Context, t pydist.Target, released release.Released,
) (release.LockFile, []release.BuiltLayer, error) {
	pushed, err := b.chooseLock(ctx, t, released)
	if err != nil {
		return release.LockFile{}, nil, err
	}

	rep, l, err := b.site.Artifacts(ctx, b.workspace, t, b.refresh)
	if err != nil {
		return release.LockFile{}, nil, err
	}

	content := l.Marshal()
	file, err := b.Blobs.Put(ctx, "locks/", ".toml", func(out io.Writer) error {
		_, err := out.Write(content)
		return err
	})
	if err != nil {
		return release.LockFile{}, nil, err
	}

	var layers []release.BuiltLayer
	for _, l := range rep.Layers {
		layer, err := b.layer(ctx, t, l)
		if err != nil {
			return release.LockFile{}, nil, err
		}

		layers = append(layers, layer)
	}

	return release.LockFile{Target: t, File: file, Pushed: pushed}, layers, nil
}

// layer stores one artifact.
func (b siteBuild) layer(ctx context.Context, t pydist.Target, l report.Layer) (release.BuiltLayer, error) {
	artifact, err := b.Blobs.Put(ctx, "artifacts/", ".zip", func(out io.Writer) error {
		f, err := b.site.Open(l.Zip.Name)
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
		LayerName: release.LayerName(b.Prefix, l.Name, t, b.workspace.Targets[0]),
		Key:       l.Key,
		Below:     b.workspace.Below(l.Name),
		Artifact:  artifact,
		Before:    l.Before,
		Wheels:    l.Inputs.Wheels,
		Bytecode:  l.Bytecode,
	}, err
}

// chooseLock writes the lock of the last release into the workspace, unless a different lock was
// pushed since. Without that, the next push would undo a refresh: it still contains the lock from
// before the refresh. It returns the digest of the pushed lock, zero if there is none.
func (b siteBuild) chooseLock(
	ctx context.Context, t pydist.Target, released release.Released,
) (pushed digest.SHA256, err error) {
	name := lock.FileName(t)
	content, err := b.site.Read(name)
	switch {
	case err == nil:
		pushed = digest.Of(content)
	case !errors.Is(err, fs.ErrNotExist):
		return pushed, err
	}

	for _, l := range released.Locks {
		if l.Target != t || l.Pushed != pushed {
			continue
		}

		content, err := readAll(ctx, b.Blobs, l.File)
		if err != nil {
			return pushed, err
		}

		return pushed, b.site.Write(name, content)
	}

	return pushed, nil
}
