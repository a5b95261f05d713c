package localport

import (
	"bytes"
	"context"
	"fmt"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/layersmith/layersmith/internal/digest"
	"github.com/layersmith/layersmith/internal/engine"
	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/lock"
	"github.com/layersmith/layersmith/internal/pydist"
	"github.com/layersmith/layersmith/internal/workspace"
)

// Resolve runs `uv pip compile` twice: once for one resolution of all layers, from whose comments
// the closure of each layer follows, and once for the files. Layers that need a distribution of
// which somebody requires an extra have a run of their own.
func (u UV) Resolve(ctx context.Context, r engine.ResolveRequest) (engine.Resolution, error) {
	program, err := u.program(ctx)
	if err != nil {
		return engine.Resolution{}, err
	}

	temp, err := os.MkdirTemp("", "layersmith-lock-")
	if err != nil {
		return engine.Resolution{}, unwritten(err)
	}
	defer os.RemoveAll(temp)

	run := resolveRun{
		UV:      u,
		request: r,
		program: program,
		options: compileOptions{r.Target, r.AllowSource, r.Offline, r.ExcludeNewer},
		temp:    temp,
		pins:    filepath.Join(temp, "pins.txt"),
	}
	res, err := run.resolve(ctx)
	if err != nil {
		return engine.Resolution{}, explain(err, r.Workspace, r.Target, filepath.ToSlash(u.Root))
	}

	return res, nil
}

// parallelRuns is how many runs of uv are under way at once. They wait for the index most of the
// time.
const parallelRuns = 4

// resolveRun is the state of one Resolve.
type resolveRun struct {
	UV
	request engine.ResolveRequest
	program string
	options compileOptions
	temp    string // a folder for the input of uv
	pins    string // the file with the resolution of all layers
	graph   graph  // of the resolution of all layers
}

func (r *resolveRun) resolve(ctx context.Context) (engine.Resolution, error) {
	if err := r.pinAll(ctx); err != nil {
		return engine.Resolution{}, err
	}

	closures, err := r.closures(ctx)
	if err != nil {
		return engine.Resolution{}, err
	}

	files, err := r.files(ctx, r.program, r.pins, r.options, hashesOf(r.request.Workspace))
	if err != nil {
		return engine.Resolution{}, err
	}

	distributions, err := r.distributions(files, closures)
	if err != nil {
		return engine.Resolution{}, err
	}

	notes, err := r.heldBack(ctx, distributions)
	return engine.Resolution{Distributions: distributions, Closures: closures, Notes: notes}, err
}

// pinAll resolves the requirements of all layers together and writes the versions to pins.
func (r *resolveRun) pinAll(ctx context.Context) error {
	if r.request.Locked != nil { // uv prefers the versions that the output file has
		if err := os.WriteFile(r.pins, pinned(r.request.Locked.Distributions), 0o644); err != nil {
			return unwritten(err)
		}
	}

	var args []string
	for _, name := range r.request.Upgrade {
		args = append(args, "--upgrade-package", name)
	}

	args = append(args, "--annotation-style", "split", "--no-strip-extras", "--output-file", r.pins)
	for _, l := range r.request.Workspace.Layers {
		if err := r.flatten(r.temp, l); err != nil {
			return unwritten(err)
		}

		constraints := filepath.Join(r.temp, l.Name+"-constraints.txt")
		args = append(args, r.requirements(l), "--constraints", constraints)
	}

	if _, err := r.compile(ctx, r.program, r.options, args...); err != nil {
		return err
	}

	out, err := os.ReadFile(r.pins)
	if err != nil {
		return unreadable(r.program, err)
	}

	if r.graph, err = readGraph(out); err != nil {
		return unreadable(r.program, err)
	}

	if err := os.WriteFile(r.pins, r.graph.pins, 0o644); err != nil {
		return unwritten(err)
	}

	return nil
}

// requirements is the file that flatten writes.
func (r *resolveRun) requirements(l workspace.Layer) string {
	return filepath.Join(r.temp, l.Name+".txt")
}

// closures returns all distributions that each layer needs.
func (r *resolveRun) closures(ctx context.Context) (map[string][]pydist.Name, error) {
	closures := map[string][]pydist.Name{}
	var mu sync.Mutex
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(parallelRuns)
	for _, l := range r.request.Workspace.Layers {
		names, exact := r.graph.closure(filepath.Base(r.requirements(l)))
		if exact {
			closures[l.Name] = names
			continue
		}

		g.Go(func() error {
			names, err := r.closureOf(ctx, l)
			mu.Lock()
			defer mu.Unlock()
			closures[l.Name] = names
			return err
		})
	}

	if err := g.Wait(); err != nil {
		return nil, err
	}

	for _, l := range r.request.Workspace.Layers {
		if err := complete(filepath.ToSlash(r.Root), l, closures[l.Name]); err != nil {
			return nil, unreadable(r.program, err)
		}
	}

	return closures, nil
}

// closureOf asks uv for all distributions that a layer needs.
func (r *resolveRun) closureOf(ctx context.Context, l workspace.Layer) ([]pydist.Name, error) {
	out, err := r.compile(ctx, r.program, r.options,
		"--constraints", r.pins, "--no-annotate", r.requirements(l))
	if err != nil {
		return nil, err
	}

	g, err := readGraph(out)
	if err != nil {
		return nil, unreadable(r.program, err)
	}

	return g.names, nil
}

// distributions completes the files that belong to a closure.
func (r *resolveRun) distributions(
	files []located, closures map[string][]pydist.Name,
) ([]lock.Distribution, error) {
	needed := map[pydist.Name]bool{}
	for _, names := range closures {
		for _, n := range names {
			needed[n] = true
		}
	}

	var found []lock.Distribution
	for _, f := range files {
		d := f.Distribution
		if !needed[d.Name] {
			continue
		}

		d.Requires = r.graph.requires[d.Name]
		if d.File.SHA256.IsZero() { // a local wheel, for which uv gives no hash
			var err error
			if d.File, err = r.local(f.address); err != nil {
				return nil, err
			}
		}

		found = append(found, d)
	}

	return found, nil
}

// flatten writes a layer's requirements and constraints to two files without includes. The path of
// a local wheel is relative to the layer's folder, but uv reads paths relative to its working
// folder: they become absolute.
func (u UV) flatten(temp string, l workspace.Layer) error {
	write := func(name string, reqs []pydist.Requirement) error {
		var b bytes.Buffer
		for _, q := range reqs {
			if q.URL != "" && !strings.Contains(q.URL, "://") {
				abs, err := filepath.Abs(filepath.Join(u.Root, l.Name, filepath.FromSlash(q.URL)))
				if err != nil {
					return err
				}

				q.URL = (&url.URL{Scheme: "file", Path: filepath.ToSlash(abs)}).String()
			}

			fmt.Fprintln(&b, q.String())
		}

		return os.WriteFile(filepath.Join(temp, name), b.Bytes(), 0o644)
	}

	if err := write(l.Name+".txt", l.Requirements.Direct); err != nil {
		return err
	}

	return write(l.Name+"-constraints.txt", l.Requirements.Constraints)
}

// local reads a wheel of this machine: its size in bytes and its digest.
func (u UV) local(address string) (lock.File, error) {
	name := u.localPath(address)
	f, err := os.Open(name)
	if err != nil {
		return lock.File{}, fault.New(fault.BadInput, "lock", address, err)
	}
	defer f.Close()

	sum, n, err := digest.Reader(f)
	return lock.File{Name: filepath.Base(name), Size: n, SHA256: sum}, err
}

func (u UV) localPath(address string) string {
	if parsed, err := url.Parse(address); err == nil && parsed.Scheme == "file" {
		return parsed.Path
	}

	if filepath.IsAbs(address) {
		return address
	}

	return filepath.Join(u.Root, address)
}

// pinned is requirements text of the distributions that come from an index.
func pinned(dists []lock.Distribution) []byte {
	var b bytes.Buffer
	for _, d := range dists {
		if !d.Direct {
			fmt.Fprintf(&b, "%s==%s\n", d.Name, d.Version)
		}
	}

	return b.Bytes()
}

// complete checks that a closure has everything that the layer requires. Without it a program that
// prints nothing and exits with 0 would give an empty layer.
func complete(root string, l workspace.Layer, names []pydist.Name) error {
	for _, q := range l.Requirements.Direct {
		if q.Marker == "" && !slices.Contains(names, q.Name) {
			return fmt.Errorf("%s:%d: %s is not in it", path.Join(root, q.File), q.Line, q.Name)
		}
	}

	return nil
}
