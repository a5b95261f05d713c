package stage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"runtime"
	"sort"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/layersmith/layersmith/internal/digest"
	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/lock"
	"github.com/layersmith/layersmith/internal/prune"
	"github.com/layersmith/layersmith/internal/pyc"
	"github.com/layersmith/layersmith/internal/pydist"
	"github.com/layersmith/layersmith/internal/wheel"
	"github.com/layersmith/layersmith/internal/workspace"
	"github.com/layersmith/layersmith/internal/ziptree"
)

// Place is where a package of files goes: a layer below python/, which Lambda mounts at /opt; a
// function's own package at the zip's root, mounted at /var/task.
type Place struct {
	Prefix string // the site folder in the zip
	Root   string // the site folder on Lambda
}

// LayerPlace is that of layers.
var LayerPlace = Place{Prefix: "python/", Root: "/opt/python/"}

// Artifact is a layer before pruning: what an installer would have made of its wheels, still in the
// wheels.
type Artifact struct {
	Target        pydist.Target
	Place         Place
	Tree          ziptree.Tree
	Distributions []wheel.Distribution
	Indexes       []prune.Index
	Notes         []string
	blobs         []Blob
}

// Close closes the wheels; entries cannot be read any more.
func (a Artifact) Close() {
	for _, b := range a.blobs {
		b.Close()
	}
}

// Assemble makes artifacts of wheels, and bytecode for them.
type Assemble struct {
	Wheels WheelStore
	Cache  Cache
	Python Interpreter // nil when there is none
}

// Run lays out the wheels of one layer. The caller closes the artifact.
func (s Assemble) Run(
	ctx context.Context,
	t pydist.Target,
	place Place,
	dists []lock.Distribution,
) (_ Artifact, err error) {
	a := Artifact{Target: t, Place: place}
	defer func() {
		if err != nil {
			a.Close()
		}
	}()
	var entries []ziptree.Entry
	from := map[string]ziptree.Entry{}
	for _, d := range dists {
		b, err := s.Wheels.Open(ctx, d.File.SHA256)
		if errors.Is(err, fs.ErrNotExist) {
			return Artifact{}, fault.New(fault.BadInput, "assemble", d.File.Name, errors.New("not in the wheel store")).
				WithHint("run: layersmith build")
		}

		if err != nil {
			return Artifact{}, err
		}

		a.blobs = append(a.blobs, b)
		w, err := openWheel(b, d)
		if err != nil {
			return Artifact{}, unreadable(b, d, err)
		}

		x, err := s.index(ctx, w)
		if err != nil && ctx.Err() == nil {
			err = unreadable(b, d, err)
		}

		if err != nil {
			return Artifact{}, err
		}

		a.Indexes = append(a.Indexes, x)
		a.Distributions = append(a.Distributions, w.Distribution)
		for _, e := range w.Tree.Entries() {
			e = e.Named(place.Prefix + e.Name)
			if other, ok := from[e.Name]; ok {
				if other.CRC32 == e.CRC32 && other.Size == e.Size {
					continue // the same file in both: namespace packages of old do that
				}

				return Artifact{}, fault.New(fault.BadInput, "assemble", e.Name,
					fmt.Errorf("two wheels have it, with different content: %s and %s", other.Origin, e.Origin)).
					WithHint("they cannot be installed together; put one of them into another layer that no function " +
						"uses with this one")
			}

			from[e.Name] = e
			entries = append(entries, e)
		}
	}

	if a.Tree, err = ziptree.New(entries); err != nil {
		return Artifact{}, err
	}

	return a, nil
}

// unreadable is the fault of a wheel, or of the store when it no longer is the file that was
// fetched. What says already whose fault it is stays.
func unreadable(b Blob, d lock.Distribution, err error) error {
	if fault.CodeOf(err) != fault.Internal {
		return err
	}

	f := fault.New(fault.CorruptArchive, "assemble", fmt.Sprintf("%s==%s", d.Name, d.Version), err).
		WithHint("the file is what its index serves; choose another version, or tell its maintainers")
	if sum, _, readErr := digest.Reader(io.NewSectionReader(b, 0, b.Size())); readErr == nil && sum != d.File.SHA256 {
		f.Code = fault.HashMismatch
		f.Hint = "the file was damaged in the wheel store; run: layersmith clean --wheels, then build"
	}

	return f
}

func openWheel(b Blob, d lock.Distribution) (wheel.Wheel, error) {
	name, err := pydist.ParseWheelName(d.File.Name)
	if err != nil {
		return wheel.Wheel{}, err
	}

	t, err := ziptree.Read(b, b.Size(), d.File.Name)
	if err != nil {
		return wheel.Wheel{}, err
	}

	return wheel.Open(t, name, d.File.SHA256.String())
}

// index returns a wheel's import index, from the cache when it is there.
func (s Assemble) index(ctx context.Context, w wheel.Wheel) (prune.Index, error) {
	key := w.Wheel + "/" + prune.IndexVersion
	pack, err := s.Cache.Load(ctx, key)
	if err != nil {
		return prune.Index{}, err
	}

	if e, ok := pack.Lookup("index"); ok {
		b, err := e.Bytes(maxIndexBytes)
		if err != nil {
			return prune.Index{}, err
		}

		return prune.DecodeIndex(b)
	}

	x, err := prune.NewIndex(ctx, w.Tree.Entries())
	if err != nil {
		return prune.Index{}, err
	}

	b, err := x.Encode()
	if err != nil {
		return prune.Index{}, err
	}

	_, err = s.Cache.Store(ctx, key, func(add func(ziptree.Entry) error) error {
		return add(ziptree.File("index", b, false, key))
	})
	return x, err
}

const maxIndexBytes = 256 << 20

// Bytecode returns .pyc entries for the sources that the plan keeps, in one of the modes, compiled
// by the target's interpreter or taken from the cache.
func (s Assemble) Bytecode(
	ctx context.Context,
	p prune.Plan,
	place Place,
	mode workspace.Mode,
	task Task,
) (entries []ziptree.Entry, notes []string, err error) {
	if mode == workspace.NoBytecode || s.Python == nil {
		return nil, nil, nil
	}

	optimize := 0
	if mode == workspace.Lean || mode == workspace.Sourceless {
		optimize = 2
	}

	target := p.Input().Target
	byWheel := map[string][]prune.Decision{}
	var wheels []string
	for _, d := range p.KeptSources() {
		if byWheel[d.Wheel] == nil {
			wheels = append(wheels, d.Wheel)
		}

		byWheel[d.Wheel] = append(byWheel[d.Wheel], d)
	}

	sort.Strings(wheels)
	var mu sync.Mutex
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(runtime.GOMAXPROCS(0))
	for _, w := range wheels {
		g.Go(func() error {
			origin, err := prune.Origin(byWheel[w])
			if err != nil {
				return err
			}

			key := fmt.Sprintf("%s/bytecode-%d-%s-O%d-%s-%s", origin, bytecodeVersion, s.Python.Identity(),
				optimize, strings.ReplaceAll(strings.Trim(place.Root, "/"), "/", "-"), ziptree.DeflateVersion)
			pack, failed, err := s.compile(ctx, key, byWheel[w], target, place, optimize, task)
			if err != nil {
				return err
			}

			mu.Lock()
			defer mu.Unlock()
			notes = append(notes, failed...)
			for _, d := range byWheel[w] {
				e, ok := pack.Lookup(d.Site)
				if !ok || e.Note != "" {
					continue
				}

				name := pyc.Cached(d.Site, target)
				if mode == workspace.Sourceless {
					name = pyc.Legacy(d.Site)
				}

				entries = append(entries, e.Named(place.Prefix+name))
			}

			return nil
		})
	}

	if err := g.Wait(); err != nil {
		return nil, nil, err
	}

	sort.Slice(entries, func(i, j int) bool { return entries[i].Name < entries[j].Name })
	sort.Strings(notes)
	return entries, notes, nil
}

// bytecodeVersion belongs to the key of cached bytecode.
const bytecodeVersion = 2

func (s Assemble) compile(
	ctx context.Context,
	key string,
	wanted []prune.Decision,
	t pydist.Target,
	place Place,
	optimize int,
	task Task,
) (ziptree.Tree, []string, error) {
	pack, err := s.Cache.Load(ctx, key)
	if err != nil {
		return ziptree.Tree{}, nil, err
	}

	var missing []ziptree.Entry
	for _, d := range wanted {
		if _, ok := pack.Lookup(d.Site); !ok {
			missing = append(missing, d.Entry.Named(d.Site))
		} else {
			task.Add(d.Entry.Size)
		}
	}

	if len(missing) > 0 {
		before := pack
		pack, err = s.Cache.Store(ctx, key, func(add func(ziptree.Entry) error) error {
			for _, e := range before.Entries() {
				if err := add(e); err != nil {
					return err
				}
			}

			var mu sync.Mutex
			put := func(name string, b []byte, note string) error {
				e := ziptree.File(name, b, false, key)
				e.Note = note
				mu.Lock()
				defer mu.Unlock()
				return add(e)
			}
			sizes := map[string]int64{}
			for _, e := range missing {
				sizes[e.Name] = e.Size
			}

			var failure error
			err := s.Python.Compile(ctx, CompileJob{Sources: missing, Root: place.Root, Optimize: optimize,
				Emit: func(name string, b []byte) error {
					task.Add(sizes[name])
					if err := pyc.CheckHeader(b, t); err != nil {
						return fmt.Errorf("compile %s: %w", name, err)
					}

					return put(name, b, "")
				},
				Failed: func(name, reason string) {
					task.Add(sizes[name])
					if err := put(name, nil, "does not compile: "+reason); err != nil {
						failure = errors.Join(failure, err)
					}
				},
			})
			return errors.Join(err, failure)
		})
		if err != nil {
			return ziptree.Tree{}, nil, err
		}
	}

	var failed []string
	for _, d := range wanted {
		if e, ok := pack.Lookup(d.Site); ok && e.Note != "" {
			failed = append(failed, d.Site+": kept without bytecode: it "+e.Note)
		}
	}

	return pack, failed, nil
}

// Installed makes an artifact of a layer as it is, for looking at: without the indexes that a plan
// needs.
func Installed(t pydist.Target, place Place, tree ziptree.Tree) (Artifact, error) {
	a := Artifact{Target: t, Place: place, Tree: tree}
	var err error
	if a.Distributions, err = wheel.Installed(tree, place.Prefix); err != nil {
		return Artifact{}, fault.New(fault.CorruptArchive, "open", "", err)
	}

	return a, nil
}

// Foreign makes an artifact of a layer that something else built.
func Foreign(ctx context.Context, t pydist.Target, place Place, tree ziptree.Tree) (Artifact, error) {
	a, err := Installed(t, place, tree)
	if err != nil {
		return Artifact{}, err
	}

	var site []ziptree.Entry
	for _, e := range tree.Entries() {
		if name, ok := strings.CutPrefix(e.Name, place.Prefix); ok {
			site = append(site, e.Named(name))
		}
	}

	x, err := prune.NewIndex(ctx, site)
	if err != nil {
		return Artifact{}, fault.New(fault.CorruptArchive, "open", "", err)
	}

	a.Indexes = []prune.Index{x}
	return a, nil
}

// input is what a plan is made from.
func (a Artifact) input() prune.Input {
	return prune.Input{
		Target:        a.Target,
		Tree:          a.Tree,
		Prefix:        a.Place.Prefix,
		Distributions: a.Distributions,
		Indexes:       a.Indexes,
	}
}
