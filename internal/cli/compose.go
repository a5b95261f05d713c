package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/layersmith/layersmith/internal/engine"
	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/localport"
	"github.com/layersmith/layersmith/internal/lock"
	"github.com/layersmith/layersmith/internal/pydist"
	"github.com/layersmith/layersmith/internal/workspace"
)

// machine is the adapters of this machine, for one command.
type machine struct {
	wheels   localport.Wheels
	packs    *localport.Packs
	search   localport.PythonSearch
	python   engine.Interpreter // nil when there is none, or it cannot be used
	noPython string             // why
	mounts   localport.Mounts
	outputs  localport.Outputs
	progress engine.Progress
	close    func()

	// The interpreter compiles, but cannot load extension modules of the target's architecture.
	otherArch bool
}

// cannotRun is why a layer for another processor is not probed.
func cannotRun(t pydist.Target) string { return "this machine cannot run " + t.Arch() + " code" }

// noProbe is why a layer is not probed, given the flag --no-probe; "" when it is.
func (m *machine) noProbe(flag bool, t pydist.Target) string {
	switch {
	case flag:
		return "--no-probe"
	case m.otherArch:
		return cannotRun(t)
	}

	return ""
}

// cacheFolder is where wheels and caches are kept.
func (a *app) cacheFolder() (string, error) {
	for _, dir := range []string{a.cacheDir, os.Getenv("LAYERSMITH_CACHE")} {
		if dir != "" {
			return filepath.Abs(dir)
		}
	}

	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fault.New(fault.BadInput, "find", "the cache folder", err).
			WithHint("name one with --cache or LAYERSMITH_CACHE")
	}

	return filepath.Join(dir, "layersmith"), nil
}

// toolsFolder is where make installs tools for a project, beside its workspace. It is absolute:
// programs in it are started from other folders.
func (a *app) toolsFolder() string {
	dir := filepath.Join(filepath.Dir(filepath.Clean(a.workspaceDir)), ".tools")
	if abs, err := filepath.Abs(dir); err == nil {
		return abs
	}

	return dir
}

// ownPython is where make installs interpreters for the checkout that this program was built in:
// beside bin/layersmith.
func ownPython() string {
	program, err := os.Executable()
	if err != nil {
		return ""
	}

	return filepath.Join(filepath.Dir(filepath.Dir(program)), ".tools", "python")
}

// staleTemp is the age at which temporary files are left over from a killed run.
const staleTemp = 24 * time.Hour

// machine opens the adapters of this machine for a target. The caller closes them.
func (a *app) machine(ctx context.Context, t pydist.Target) (*machine, error) {
	cache, err := a.cacheFolder()
	if err != nil {
		return nil, err
	}

	temp := filepath.Join(cache, "temp")
	if err := os.MkdirAll(temp, 0o755); err != nil {
		return nil, fault.New(fault.BadInput, "make", "the cache folder", err).
			WithHint("name another with --cache or LAYERSMITH_CACHE")
	}

	old := func(info fs.FileInfo) bool { return time.Since(info.ModTime()) > staleTemp }
	for _, dir := range []string{temp, a.outputDir} {
		localport.Sweep(dir, old) // an error here must not stop a build
	}

	m := &machine{
		wheels:  localport.Wheels{Dir: filepath.Join(cache, "wheels")},
		packs:   &localport.Packs{Dir: filepath.Join(cache, "packs")},
		mounts:  localport.Mounts{Dir: temp},
		outputs: localport.Outputs{Dir: a.outputDir},
	}
	m.search = localport.PythonSearch{
		Target:  t,
		Named:   a.python,
		Release: a.lockedPython(t),
		Cache:   cache,
		Extra:   []string{filepath.Join(a.toolsFolder(), "python"), ownPython()},
	}
	if err := m.find(ctx); err != nil {
		return nil, err
	}

	p := newProgress(a)
	m.progress = p
	m.close = func() {
		p.wait()
		m.packs.Close()
	}
	return m, nil
}

// scratch is a cache for one run, for files without a wheel: a cache cannot identify them later.
func (m *machine) scratch() (*localport.Packs, func(), error) {
	dir, err := os.MkdirTemp(m.mounts.Dir, ".tmp-packs-")
	if err != nil {
		return nil, nil, err
	}

	packs := &localport.Packs{Dir: dir}
	return packs, func() { packs.Close(); os.RemoveAll(dir) }, nil
}

func (m *machine) resolver(a *app) localport.UV {
	u := localport.UV{Path: "uv", Root: a.workspaceDir, Tools: filepath.Join(a.toolsFolder(), "bin")}
	if p, ok := m.python.(localport.Python); ok {
		u.Python = p.Path
	}

	return u
}

// start opens the workspace and this machine's adapters for its target. The caller closes the
// machine.
func (a *app) start(ctx context.Context) (workspace.Workspace, pydist.Target, *machine, error) {
	w, t, err := a.open()
	if err != nil {
		return w, t, nil, err
	}

	m, err := a.machine(ctx, t)
	return w, t, m, err
}

// open reads the workspace and chooses the target.
func (a *app) open() (workspace.Workspace, pydist.Target, error) {
	root := filepath.Clean(a.workspaceDir)
	if info, err := os.Stat(root); err != nil || !info.IsDir() {
		return workspace.Workspace{}, pydist.Target{}, fault.New(fault.BadInput, "open workspace", root,
			errors.New("no such folder")).
			WithHint("run it in the folder that holds layers/, name one with --workspace, or begin with: layersmith " +
				"init pandas")
	}

	w, err := workspace.Load(localport.Workspace{Dir: root}, filepath.ToSlash(a.workspaceDir))
	if err != nil {
		return workspace.Workspace{}, pydist.Target{}, err
	}

	t, err := a.chooseTarget(w)
	return w, t, err
}

func (a *app) chooseTarget(w workspace.Workspace) (pydist.Target, error) {
	if a.target == "" {
		return w.Targets[0], nil
	}

	return parseTarget(a.target)
}

// read reads a file of the workspace. name has slashes.
func (a *app) read(name string) ([]byte, error) {
	if !workspace.IsAbove(name) {
		return os.ReadFile(filepath.Join(a.workspaceDir, filepath.FromSlash(name)))
	}

	return workspace.ReadFile(localport.Workspace{Dir: a.workspaceDir}, name)
}

func (a *app) write(name string, b []byte) error {
	return localport.WriteFile(filepath.Join(a.workspaceDir, name), func(w io.Writer) error {
		_, err := w.Write(b)
		return err
	})
}

func (a *app) locker(m *machine) engine.Lock {
	return engine.Lock{Resolver: m.resolver(a), Read: a.read, Write: a.write, Progress: m.progress}
}

func (a *app) builder(m *machine) engine.Build {
	return engine.Build{
		Tool:     engine.Tool,
		Wheels:   m.wheels,
		Cache:    m.packs,
		Python:   m.python,
		NoPython: m.noPython,
		Mounts:   m.mounts,
		Outputs:  m.outputs,
		Progress: m.progress,
	}
}

// builds says why this machine cannot build wheels for the target.
func (m *machine) builds(t pydist.Target) error {
	switch {
	case m.otherArch:
		return fmt.Errorf("it has no wheel, and this machine cannot build one for %s", t)
	case m.python == nil:
		return errors.New("it has no wheel, and " + m.noPython)
	}

	return nil
}

func (m *machine) unpack(_ context.Context, f lock.File, b engine.Blob) (string, func(), error) {
	return localport.Unpacked(m.mounts.Dir, f.Name, b)
}
