// Package onelayer builds workspaces of one layer with the product's own command line, by the
// default rules or with rules switched off.
package onelayer

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/layersmith/layersmith/internal/cli"
	"github.com/layersmith/layersmith/internal/localport"
	"github.com/layersmith/layersmith/internal/measure"
	"github.com/layersmith/layersmith/internal/pydist"
	"github.com/layersmith/layersmith/internal/report"
	"github.com/layersmith/layersmith/internal/ziptree"
)

// Target is the runtime and architecture of layers, unless a builder has another.
const Target = "python3.13-x86_64"

// OldTarget is that of old versions: Amazon Linux 2.
const OldTarget = "python3.9-x86_64"

// Exit codes of layersmith.
const (
	exitRefused     = 3   // the layer was built and did not pass
	exitInterrupted = 130 // by a signal
)

// Builder builds layers.
type Builder struct {
	Target string
	Cache  string
	Python localport.Python
}

// Find returns a builder for a target with the cache and the interpreter that layersmith uses in
// the folder repository. cache and python replace them unless they are "".
func Find(ctx context.Context, target, repository, cache, python string) (Builder, error) {
	var err error
	if cache == "" {
		if cache, err = Cache(); err != nil {
			return Builder{}, err
		}
	}

	t, err := pydist.ParseTarget(target)
	if err != nil {
		return Builder{}, err
	}

	p, err := localport.PythonSearch{
		Target: t,
		Named:  python,
		Cache:  cache,
		Extra:  []string{filepath.Join(repository, ".tools", "python")},
	}.Find(ctx)
	return Builder{target, cache, p}, err
}

// Cache is the user's folder of wheels and caches, as layersmith finds it.
func Cache() (string, error) {
	if dir := os.Getenv("LAYERSMITH_CACHE"); dir != "" {
		return dir, nil
	}

	dir, err := os.UserCacheDir()
	return filepath.Join(dir, "layersmith"), err
}

// lockName is the name of the lock. PEP 751 allows no more dots.
func (b Builder) lockName() string {
	return "pylock." + strings.ReplaceAll(b.Target, ".", "_") + ".toml"
}

// Layer is the content of a workspace.
type Layer struct {
	Name         string
	Requirements string
	Spec         string // layer.yaml; "" for none
	Probe        string // probe.py; "" for none
	Lock         []byte // nil to resolve
}

// Built is a layer that was built.
type Built struct {
	Tool  string // name and version of layersmith
	Layer report.Layer
	Zip   string // file
	Lock  []byte
}

// Build builds a layer below the folder dir. A layer that does not pass the gate or the probe is a
// result, not an error. The error of an interrupted build is context.Canceled.
func (b Builder) Build(ctx context.Context, dir string, l Layer, flags ...string) (Built, error) {
	workspace := filepath.Join(dir, "layers")
	dist := filepath.Join(dir, "dist")
	if err := l.write(workspace, b.lockName()); err != nil {
		return Built{}, err
	}

	args := append([]string{
		"build", "--json",
		"--workspace", workspace,
		"--output", dist,
		"--target", b.Target,
		"--python", b.Python.Path,
		"--cache", b.Cache,
	}, flags...)
	var out, diagnostics bytes.Buffer
	code := cli.Main(args, cli.Streams{Out: &out, Err: &diagnostics})
	if ctx.Err() != nil || code == exitInterrupted {
		return Built{}, errors.Join(context.Canceled, ctx.Err())
	}

	var r report.Report
	err := json.Unmarshal(out.Bytes(), &r)
	if err != nil || len(r.Layers) != 1 || code != 0 && code != exitRefused {
		said := strings.ReplaceAll(strings.TrimSpace(diagnostics.String()), "\n", "; ")
		return Built{}, fmt.Errorf("build %s: exit code %d: %s", l.Name, code, said)
	}

	lock, err := os.ReadFile(filepath.Join(workspace, b.lockName()))
	return Built{r.Tool, r.Layers[0], filepath.Join(dist, r.Layers[0].Zip.Name), lock}, err
}

// write writes the workspace.
func (l Layer) write(workspace, lockName string) error {
	if err := os.MkdirAll(filepath.Join(workspace, l.Name), 0o755); err != nil {
		return err
	}

	for name, content := range map[string]string{
		l.Name + "/requirements.txt": l.Requirements,
		l.Name + "/layer.yaml":       l.Spec,
		l.Name + "/probe.py":         l.Probe,
		lockName:                     string(l.Lock),
	} {
		if content == "" {
			continue
		}

		file := filepath.Join(workspace, filepath.FromSlash(name))
		if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
			return err
		}
	}

	return nil
}

// NoRules is a layer.yaml that switches off all rules that were on.
func NoRules(l report.Layer) string { return Without(slices.Sorted(maps.Keys(l.Inputs.Rules))) }

// Without is a layer.yaml that switches off some rules.
func Without(rules []string) string {
	spec := "rules:\n"
	for _, id := range rules {
		spec += "  " + id + ": { enabled: false, reason: to compare with what was shipped }\n"
	}

	return spec
}

// Version is the version of a distribution in the layer, "" if the layer does not have it.
func Version(l report.Layer, distribution string) string {
	for _, w := range l.Inputs.Wheels {
		if w.Name == distribution {
			return w.Version
		}
	}

	return ""
}

// WithoutBytecode is the size of a pruned layer without the bytecode that was added, and without
// the lines for it in RECORD files.
func WithoutBytecode(l report.Layer) measure.Size {
	size := l.Before
	for _, removed := range l.Removed {
		size.Unzipped -= removed.Unzipped
		size.Zipped -= removed.Zipped
	}

	size.Files = l.After.Files - l.Bytecode.Size.Files // rules that transform remove no file

	return size
}

// Open opens a zip. Call close when the tree is no longer used.
func Open(name string) (t ziptree.Tree, close func(), err error) {
	b, err := localport.OpenBlob(name)
	if err != nil {
		return ziptree.Tree{}, nil, err
	}

	t, err = ziptree.Read(b, b.Size(), filepath.Base(name))
	if err != nil {
		b.Close()
		return ziptree.Tree{}, nil, err
	}

	return t, func() { b.Close() }, nil
}
