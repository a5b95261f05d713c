package engine

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sort"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/place"
	"github.com/layersmith/layersmith/internal/prune"
	"github.com/layersmith/layersmith/internal/pyc"
	"github.com/layersmith/layersmith/internal/pydist"
	"github.com/layersmith/layersmith/internal/workspace"
	"github.com/layersmith/layersmith/internal/ziptree"
)

// bytecodeVersion belongs to the key of cached bytecode.
const bytecodeVersion = 2

// compile makes the bytecode of each layer in the mode that its spec asks for. Auto compiles
// unchecked-hash bytecode, and may leave some of it out later.
func (m maker) compile(ctx context.Context, plans []Planned) ([]Bytecode, error) {
	var total int64
	for _, p := range plans {
		for _, d := range compilable(p.Plan, p.Spec.Bytecode) {
			total += d.Entry.Size
		}
	}

	task := m.progress.Start("bytecode", total, "bytes")
	defer task.Done()

	compiled := make([]Bytecode, len(plans))
	for i, p := range plans {
		b, err := m.bytecode(ctx, p, task)
		if err != nil {
			return nil, err
		}

		compiled[i] = b
	}

	return compiled, nil
}

// compilable returns the sources that get bytecode. Where it replaces them, data that happens to be
// Python stays a source.
func compilable(p prune.Plan, mode workspace.Mode) []prune.Decision {
	if mode == workspace.Sourceless {
		return p.ImportedSources()
	}

	return p.KeptSources()
}

func (m maker) bytecode(ctx context.Context, p Planned, task Task) (Bytecode, error) {
	mode := p.Spec.Bytecode
	if mode == workspace.Auto {
		mode = workspace.UncheckedHash
	}

	if mode == workspace.NoBytecode {
		return Bytecode{Mode: mode}, nil
	}

	if m.python != nil {
		return compiler{m.cache, m.python}.run(ctx, p.Plan, p.Artifact.Place, mode, task)
	}

	if p.Spec.Bytecode == workspace.Auto {
		return Bytecode{Mode: workspace.NoBytecode, Reason: m.noPython, Partial: true}, nil
	}

	return Bytecode{}, fault.New(fault.ToolMissing, "compile", p.Spec.Name,
		fmt.Errorf("bytecode: %s needs an interpreter, and %s", mode, m.noPython)).
		WithHint("install it, name it with --python, or set bytecode: auto")
}

// compiler makes .pyc entries with the target's interpreter, or takes them from the cache.
type compiler struct {
	cache  Cache
	python Interpreter
}

// run compiles the sources that the plan keeps.
func (c compiler) run(
	ctx context.Context, p prune.Plan, at place.Place, mode workspace.Mode, task Task,
) (Bytecode, error) {
	byWheel := map[string][]prune.Decision{}
	for _, d := range compilable(p, mode) {
		byWheel[d.Wheel] = append(byWheel[d.Wheel], d)
	}

	out := Bytecode{Mode: mode}
	var mu sync.Mutex
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(runtime.GOMAXPROCS(0))
	for _, w := range sortedKeys(byWheel) {
		g.Go(func() error {
			job := wheelJob{sources: byWheel[w], target: p.Input().Target, place: at, mode: mode, task: task}
			entries, notes, err := c.wheel(ctx, job)
			if err != nil {
				return err
			}

			mu.Lock()
			defer mu.Unlock()
			out.Entries = append(out.Entries, entries...)
			out.Notes = append(out.Notes, notes...)
			return nil
		})
	}

	if err := g.Wait(); err != nil {
		return Bytecode{}, err
	}

	sort.Slice(out.Entries, func(i, j int) bool { return out.Entries[i].Name < out.Entries[j].Name })
	sort.Strings(out.Notes)
	return out, nil
}

// wheelJob is the sources of one wheel to compile.
type wheelJob struct {
	sources []prune.Decision
	target  pydist.Target
	place   place.Place
	mode    workspace.Mode
	task    Task
}

// optimize is the level of python -O (1) and -OO (2).
func (j wheelJob) optimize() int {
	if j.mode == workspace.Lean || j.mode == workspace.Sourceless {
		return 2
	}

	return 0
}

// bytecodeName is the path of the bytecode of a source (PEP 3147), relative to the site folder.
func bytecodeName(source string, t pydist.Target, mode workspace.Mode) string {
	if mode == workspace.Sourceless {
		return pyc.Legacy(source)
	}

	return pyc.Cached(source, t)
}

// key names the cached pack. The place is in it, since bytecode contains the path of its source on
// Lambda, for tracebacks.
func (j wheelJob) key(python Interpreter) (string, error) {
	origin, err := prune.Origin(j.sources)
	if err != nil {
		return "", err
	}

	root := strings.ReplaceAll(strings.Trim(j.place.Root, "/"), "/", "-")
	return fmt.Sprintf("%s/bytecode-%d-%s-O%d-%s-%s",
		origin, bytecodeVersion, python.Identity(), j.optimize(), root, ziptree.DeflateVersion), nil
}

// wheel returns the .pyc entries of one wheel, and a note for each source that does not compile.
func (c compiler) wheel(ctx context.Context, j wheelJob) (entries []ziptree.Entry, notes []string, err error) {
	key, err := j.key(c.python)
	if err != nil {
		return nil, nil, err
	}

	pack, err := c.complete(ctx, key, j)
	if err != nil {
		return nil, nil, err
	}

	for _, d := range j.sources {
		e, ok := pack.Lookup(d.Site)
		switch {
		case !ok:
		case e.Note != "":
			notes = append(notes, d.Site+": kept without bytecode: it "+e.Note)
		default:
			entries = append(entries, e.Named(j.place.Prefix+bytecodeName(d.Site, j.target, j.mode)))
		}
	}

	return entries, notes, nil
}

// complete opens the wheel's pack, and compiles the sources that it lacks.
func (c compiler) complete(ctx context.Context, key string, j wheelJob) (ziptree.Tree, error) {
	pack, err := c.cache.Load(ctx, key)
	if err != nil {
		return ziptree.Tree{}, err
	}

	var missing []ziptree.Entry
	for _, d := range j.sources {
		if _, ok := pack.Lookup(d.Site); ok {
			j.task.Add(d.Entry.Size)
		} else {
			missing = append(missing, d.Entry.Named(d.Site))
		}
	}

	if len(missing) == 0 {
		return pack, nil
	}

	return c.cache.Store(ctx, key, func(add func(ziptree.Entry) error) error {
		for _, e := range pack.Entries() {
			if err := add(e); err != nil {
				return err
			}
		}

		return c.compile(ctx, key, j, missing, add)
	})
}

// compile runs the interpreter. A source that does not compile leaves an entry with a note, so that
// it is not tried again.
func (c compiler) compile(
	ctx context.Context, key string, j wheelJob, sources []ziptree.Entry, add func(ziptree.Entry) error,
) error {
	var mu sync.Mutex
	put := func(name string, b []byte, note string) error {
		e := ziptree.File(name, b, key)
		e.Note = note
		mu.Lock()
		defer mu.Unlock()
		return add(e)
	}

	sizes := map[string]int64{}
	for _, e := range sources {
		sizes[e.Name] = e.Size
	}

	var failure error
	err := c.python.Compile(ctx, CompileJob{
		Sources:  sources,
		Root:     j.place.Root,
		Optimize: j.optimize(),
		Emit: func(name string, b []byte) error {
			j.task.Add(sizes[name])
			if err := pyc.CheckHeader(b, j.target); err != nil {
				return fmt.Errorf("compile %s: %w", name, err)
			}

			return put(name, b, "")
		},
		Failed: func(name, reason string) {
			j.task.Add(sizes[name])
			failure = errors.Join(failure, put(name, nil, "does not compile: "+reason))
		},
	})

	return errors.Join(err, failure)
}
