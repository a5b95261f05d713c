// Package onelayer builds a workspace of one layer with the product's own command line, for what
// compares a layer as it comes out for everybody with what an installer would leave.
package onelayer

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/layersmith/layersmith/internal/cli"
	"github.com/layersmith/layersmith/internal/localport"
	"github.com/layersmith/layersmith/internal/pydist"
	"github.com/layersmith/layersmith/internal/report"
	"github.com/layersmith/layersmith/internal/ziptree"
)

// Target is the runtime and the architecture of all that is compared.
const Target = "python3.13-x86_64"

const lockName = "pylock.python3_13-x86_64.toml" // PEP 751 allows no more dots

// Builder is what layers are built with.
type Builder struct {
	Cache  string
	Python localport.Python
}

// Find finds the target's interpreter and the cache as layersmith does in the folder of the
// repository; cache and python name others, unless they are "".
func Find(ctx context.Context, repository, cache, python string) (Builder, error) {
	if cache == "" {
		cache = os.Getenv("LAYERSMITH_CACHE")
	}

	if cache == "" {
		dir, err := os.UserCacheDir()
		if err != nil {
			return Builder{}, err
		}

		cache = filepath.Join(dir, "layersmith")
	}

	t, err := pydist.ParseTarget(Target)
	if err != nil {
		return Builder{}, err
	}

	p, err := localport.FindPython(ctx, t, python, cache, filepath.Join(repository, ".tools", "python"))
	return Builder{cache, p}, err
}

// Layer is what the workspace says.
type Layer struct {
	Name         string
	Requirements string
	Spec         string // layer.yaml; "" for none
	Probe        string // probe.py; "" for none
	Lock         []byte // nil to resolve
}

// Built is what came of one build.
type Built struct {
	Tool  string
	Layer report.Layer
	Zip   string // where it is
	Lock  []byte
}

// Build builds the layer below dir. A verdict against the layer (exit code 3) is a result as any
// other; the error of a build that somebody ended is context.Canceled.
func (b Builder) Build(ctx context.Context, dir string, l Layer, flags ...string) (Built, error) {
	layers := filepath.Join(dir, "layers")
	dist := filepath.Join(dir, "dist")
	if err := os.MkdirAll(filepath.Join(layers, l.Name), 0o755); err != nil {
		return Built{}, err
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

		if err := os.WriteFile(filepath.Join(layers, filepath.FromSlash(name)), []byte(content), 0o644); err != nil {
			return Built{}, err
		}
	}

	args := append(
		[]string{
			"build",
			"--workspace",
			layers,
			"--output",
			dist,
			"--target",
			Target,
			"--python",
			b.Python.Path,
			"--cache",
			b.Cache,
			"--json",
		},
		flags...)
	var out, diagnostics bytes.Buffer
	code := cli.Main(args, cli.Streams{Out: &out, Err: &diagnostics})
	if ctx.Err() != nil || code == 130 {
		return Built{}, errors.Join(context.Canceled, ctx.Err())
	}

	var r report.Report
	if err := json.Unmarshal(out.Bytes(), &r); err != nil || len(r.Layers) != 1 || code != 0 && code != 3 {
		return Built{}, fmt.Errorf(
			"build %s: exit code %d: %s",
			l.Name,
			code,
			strings.ReplaceAll(strings.TrimSpace(diagnostics.String()), "\n", "; "),
		)
	}

	lock, err := os.ReadFile(filepath.Join(layers, lockName))
	return Built{r.Tool, r.Layers[0], filepath.Join(dist, r.Layers[0].Zip.Name), lock}, err
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

// Open reads a zip. The caller closes it.
func Open(name string) (ziptree.Tree, func(), error) {
	b, err := localport.OpenBlob(name)
	if err != nil {
		return ziptree.Tree{}, nil, err
	}

	t, err := ziptree.Read(b, b.Size(), filepath.Base(name))
	if err != nil {
		b.Close()
		return ziptree.Tree{}, nil, err
	}

	return t, func() { b.Close() }, nil
}

// WriteFile keeps what was there until the new content is whole.
func WriteFile(name string, content []byte) error {
	if info, err := os.Stat(name); err == nil && !info.Mode().IsRegular() {
		return fmt.Errorf("write %s: it is there and no file", name) // a device would be replaced
	}

	return localport.WriteFile(name, func(w io.Writer) error { _, err := w.Write(content); return err })
}
