package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"

	"github.com/layersmith/layersmith/internal/cli"
	"github.com/layersmith/layersmith/internal/report"
	"github.com/layersmith/layersmith/internal/ziptree"
	"github.com/layersmith/layersmith/test/loaded"
)

const (
	target   = "python3.13-x86_64"
	lockName = "pylock.python3_13-x86_64.toml" // PEP 751 allows no more dots
)

// survey is where it builds.
type survey struct {
	locks  string // committed locks, one a distribution
	temp   string
	cache  string // "" for the user's own
	python string // the target's interpreter
	relock bool
	quick  bool // no full probe of what is unpruned
}

// result is one distribution, built both ways.
type result struct {
	Entry    entry        `json:"entry"`
	Tool     string       `json:"tool"`
	Pruned   report.Layer `json:"pruned"`
	Shipped  report.Layer `json:"shipped"` // with every rule off
	Compared compared     `json:"compared"`
	Differ   []string     `json:"differ"` // what loads otherwise than as shipped, or grew
	Failed   string       `json:"failed"` // why it could not be built
}

// compared counts the files that were compared by what is loaded of them.
type compared struct {
	Objects  int `json:"objects"`  // shared objects that were changed
	Models   int `json:"models"`   // JSON that was changed
	Bytecode int `json:"bytecode"` // each
}

// kept returns the result that is in the folder, or makes it and puts it there. Without a folder it makes it.
func (s survey) kept(ctx context.Context, folder string, e entry) (r result, known bool, err error) {
	file := filepath.Join(folder, e.Name+".json")
	if folder != "" {
		if b, err := os.ReadFile(file); err == nil {
			if err := json.Unmarshal(b, &r); err != nil {
				return r, false, fmt.Errorf("read %s: %w", file, err)
			}
			return r, true, nil
		}
	}
	if r, err = s.try(ctx, e); err != nil || folder == "" {
		return r, false, err
	}
	b, err := json.MarshalIndent(r, "", " ")
	if err == nil {
		err = os.MkdirAll(folder, 0o755)
	}
	if err == nil {
		err = writeFile(file, string(b))
	}
	return r, false, err
}

// try builds a distribution both ways and compares. What is wrong with the distribution is in the result; an error is of this machine, or an interrupt.
func (s survey) try(ctx context.Context, e entry) (r result, err error) {
	r.Entry = e
	dir, err := os.MkdirTemp(s.temp, e.Name+"-")
	if err != nil {
		return r, err
	}
	defer os.RemoveAll(dir)
	lock := filepath.Join(s.locks, e.Name+".toml")
	locked, err := os.ReadFile(lock)
	if err != nil && !errors.Is(err, fs.ErrNotExist) || s.relock {
		locked = nil
	}
	pruned, err := s.build(ctx, filepath.Join(dir, "pruned"), e, "", locked)
	if err != nil {
		return s.blame(ctx, r, err)
	}
	if string(pruned.lock) != string(locked) {
		if err := writeFile(lock, string(pruned.lock)); err != nil {
			return r, err
		}
		fmt.Fprintf(os.Stderr, "survey: %s is new; commit it\n", lock)
	}
	r.Tool, r.Pruned = pruned.tool, pruned.layer
	spec, flags := noRules(r.Pruned), []string(nil)
	if s.quick {
		spec, flags = spec+"bytecode: none\n", []string{"--no-probe"}
	}
	shipped, err := s.build(ctx, filepath.Join(dir, "shipped"), e, spec, pruned.lock, flags...)
	if err != nil {
		return s.blame(ctx, r, fmt.Errorf("with all rules off: %w", err))
	}
	r.Shipped = shipped.layer
	r.Compared, r.Differ, err = s.compare(ctx, shipped.zip, pruned.zip)
	return r, err
}

// blame writes down why a distribution could not be built, unless somebody pressed a key.
func (s survey) blame(ctx context.Context, r result, err error) (result, error) {
	if ctx.Err() != nil {
		return r, ctx.Err()
	}
	r.Failed = err.Error()
	return r, nil
}

// noRules is a layer.yaml that switches off all rules that were on.
func noRules(l report.Layer) string {
	var ids []string
	for id := range l.Inputs.Rules {
		ids = append(ids, id)
	}
	sort.Strings(ids)
	spec := "rules:\n"
	for _, id := range ids {
		spec += "  " + id + ": { enabled: false, reason: the survey compares with what was shipped }\n"
	}
	return spec
}

// built is what came of one build.
type built struct {
	tool  string
	layer report.Layer
	zip   string // where it is
	lock  []byte
}

// build builds a workspace of one layer in dir with the command line. A verdict against the layer (exit code 3) is a result as any other.
func (s survey) build(ctx context.Context, dir string, e entry, spec string, lock []byte, more ...string) (b built, err error) {
	files := map[string]string{"layers/" + e.Name + "/requirements.txt": e.requirements()}
	if len(e.Imports) > 0 {
		spec += "imports: [" + strings.Join(e.Imports, ", ") + "]\n"
	}
	if spec != "" {
		files["layers/"+e.Name+"/layer.yaml"] = spec
	}
	if e.Probe != "" {
		files["layers/"+e.Name+"/probe.py"] = e.Probe
	}
	if lock != nil {
		files["layers/"+lockName] = string(lock)
	}
	for name, content := range files {
		file := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return b, err
		}
		if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
			return b, err
		}
	}
	args := []string{"build", "--workspace", filepath.Join(dir, "layers"), "--output", filepath.Join(dir, "dist"), "--target", target, "--python", s.python, "--json"}
	if s.cache != "" {
		args = append(args, "--cache", s.cache)
	}
	args = append(args, more...)
	var out, diagnostics bytes.Buffer
	code := cli.Main(args, cli.Streams{Out: &out, Err: &diagnostics})
	if ctx.Err() != nil || code == 130 {
		return b, errors.Join(context.Canceled, ctx.Err())
	}
	var r report.Report
	if err := json.Unmarshal(out.Bytes(), &r); err != nil || len(r.Layers) != 1 || code != 0 && code != 3 {
		return b, fmt.Errorf("exit code %d: %s", code, strings.ReplaceAll(strings.TrimSpace(diagnostics.String()), "\n", "; "))
	}
	b.tool, b.layer, b.zip = r.Tool, r.Layers[0], filepath.Join(dir, "dist", r.Layers[0].Zip.Name)
	b.lock, err = os.ReadFile(filepath.Join(dir, "layers", lockName))
	return b, err
}

// compare asks of every file of the second zip whether it loads as it did from the first.
func (s survey) compare(ctx context.Context, before, after string) (n compared, differ []string, err error) {
	a, closeA, err := openTree(before)
	if err != nil {
		return n, nil, err
	}
	defer closeA()
	b, closeB, err := openTree(after)
	if err != nil {
		return n, nil, err
	}
	defer closeB()
	var grew []string
	for _, e := range b.Entries() {
		old, ok := a.Lookup(e.Name)
		record := strings.HasSuffix(e.Name, ".dist-info/RECORD") // lists bytecode too
		if ok && !record && (e.Size > old.Size || e.ZippedBytes > old.ZippedBytes) {
			grew = append(grew, fmt.Sprintf("%s: it grew from %d bytes, %d zipped, to %d, %d", e.Name, old.Size, old.ZippedBytes, e.Size, e.ZippedBytes))
		}
		switch {
		case strings.HasSuffix(e.Name, ".pyc"):
			n.Bytecode++
		case !ok, record, old.CRC32 == e.CRC32 && old.Size == e.Size:
		case strings.Contains(e.Name, ".json"):
			n.Models++
		default:
			n.Objects++
		}
	}
	differ, err = loaded.Check(ctx, a, b, s.python)
	return n, append(grew, differ...), err
}

func openTree(name string) (ziptree.Tree, func(), error) {
	f, err := os.Open(name)
	if err != nil {
		return ziptree.Tree{}, nil, err
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return ziptree.Tree{}, nil, err
	}
	t, err := ziptree.Read(f, info.Size(), filepath.Base(name))
	if err != nil {
		f.Close()
		return ziptree.Tree{}, nil, err
	}
	return t, func() { f.Close() }, nil
}
