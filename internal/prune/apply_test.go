package prune_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/layersmith/layersmith/internal/policy"
	"github.com/layersmith/layersmith/internal/prune"
	"github.com/layersmith/layersmith/internal/pydist"
	"github.com/layersmith/layersmith/internal/ziptree"
)

// memory is a Cache. Packs are stored as zips with notes, as on disk.
type memory struct {
	mu     sync.Mutex
	packs  map[string][]byte
	stored []string // keys, in order
	fail   error    // of Store
}

func (m *memory) Load(_ context.Context, key string) (ziptree.Tree, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	b, ok := m.packs[key]
	if !ok {
		return ziptree.Tree{}, nil
	}

	return ziptree.Read(bytes.NewReader(b), int64(len(b)), key)
}

func (m *memory) Store(
	ctx context.Context,
	key string,
	write func(add func(ziptree.Entry) error) error,
) (ziptree.Tree, error) {
	if m.fail != nil {
		return ziptree.Tree{}, m.fail
	}

	var b bytes.Buffer
	z := ziptree.NewWriter(&b)
	if err := write(z.Add); err != nil {
		return ziptree.Tree{}, err
	}

	if err := ctx.Err(); err != nil {
		return ziptree.Tree{}, err
	}

	if _, err := z.Close(); err != nil {
		return ziptree.Tree{}, err
	}

	m.mu.Lock()
	if m.packs == nil {
		m.packs = map[string][]byte{}
	}

	m.packs[key] = b.Bytes()
	m.stored = append(m.stored, key)
	m.mu.Unlock()
	return m.Load(ctx, key)
}

// readOnly is a Cache with the same packs that fails to store any.
func (m *memory) readOnly() *memory {
	return &memory{packs: m.packs, fail: errors.New("the cache is read only")}
}

const (
	model        = `{ "documentation": "<p>long text, long text</p>", "operations": { "Get": { "name": "Get" } } }`
	leanModel    = `{"operations":{"Get":{"name":"Get"}}}`
	compactModel = `{"a":1}`
	brokenModel  = `{ "documentation": `
)

func boto(models map[string]string) source {
	s := source{
		name:    "botocore",
		version: "1.40.0",
		files:   map[string]string{"botocore/__init__.py": "", "botocore/tests/x.py": "import unittest"},
	}
	for name, m := range models {
		s.files["botocore/data/"+name+"/2020-01-01/service-2.json"] = m
	}

	return s
}

func apply(t testing.TB, p prune.Plan, c prune.Cache) prune.Pruned {
	t.Helper()
	out, err := prune.Apply(context.Background(), p, c)
	if err != nil {
		t.Fatal(err)
	}

	return out
}

func content(t testing.TB, tree ziptree.Tree, name string) string {
	t.Helper()
	e, ok := tree.Lookup(name)
	if !ok {
		t.Fatalf("%s is not in the tree", name)
	}

	b, err := e.Bytes(1 << 20)
	if err != nil {
		t.Fatal(err)
	}

	return string(b)
}

func TestApplyMakesWhatThePlanSays(t *testing.T) {
	in := layerOf(t, boto(map[string]string{"a": model, "b": compactModel, "c": brokenModel}))
	out := apply(t, planOf(t, in, policy.Settings{}), &memory{})
	var got []string
	for _, o := range out.Decisions {
		if strings.Contains(o.Site, ".dist-info/") {
			continue
		}

		got = append(got, line(o.Decision))
		if _, there := out.Tree.Lookup(o.Entry.Name); there != (o.Fate != prune.Dropped) {
			t.Errorf("%s is %s, in the tree: %v", o.Site, o.Fate, there)
		}
	}

	reason := "botocore-docs left it alone: not JSON"
	want := []string{
		"kept botocore/__init__.py",
		"transformed botocore/data/a/2020-01-01/service-2.json botocore-docs",
		"kept botocore/data/b/2020-01-01/service-2.json",
		"kept botocore/data/c/2020-01-01/service-2.json " + reason,
		"dropped botocore/tests/x.py tests",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}

	if diff := cmp.Diff([]string{"botocore/data/c/2020-01-01/service-2.json: " + reason}, out.Notes); diff != "" {
		t.Error(diff)
	}

	for name, want := range map[string]string{"a": leanModel, "b": compactModel, "c": brokenModel} {
		if got := content(t, out.Tree, prefix+"botocore/data/"+name+"/2020-01-01/service-2.json"); got != want {
			t.Errorf("%s is %s", name, got)
		}
	}
}

// RECORD lists the files of the layer and no others, with correct hashes.
func TestRecordMatchesTheLayer(t *testing.T) {
	demo := source{
		name:    "demo",
		version: "1.0",
		files:   map[string]string{"demo/a.py": "a", "demo/tests/b.py": "b", "demo/c, d.txt": "quoted"},
	}
	in := layerOf(t, boto(map[string]string{"a": model, "b": compactModel}), demo)
	code := ziptree.File(prefix+"demo/__pycache__/a.cpython-313.pyc", []byte("code"), "compiled")
	p := planOf(t, in, policy.Settings{})
	m := &memory{}
	apply(t, p, m)
	for _, bare := range []prune.Pruned{apply(t, p, m), apply(t, p, m.readOnly())} {
		out, err := bare.WithBytecode([]ziptree.Entry{code}, false)
		if err != nil {
			t.Fatal(err)
		}

		listed := map[string]bool{}
		for _, info := range []string{"botocore-1.40.0.dist-info", "demo-1.0.dist-info"} {
			rows, err := pydist.ParseRecord([]byte(content(t, out.Tree, prefix+info+"/RECORD")))
			if err != nil {
				t.Fatal(err)
			}

			for _, r := range rows {
				if listed[r.Path] {
					t.Errorf("%s is listed twice", r.Path)
				}

				listed[r.Path] = true
				b := content(t, out.Tree, prefix+r.Path)
				if r.Path == info+"/RECORD" || strings.HasSuffix(r.Path, ".pyc") {
					if r.SHA256 != "" || r.Size != -1 {
						t.Errorf("%s has a hash (%s) or a size (%d)", r.Path, r.SHA256, r.Size)
					}

					continue
				}

				sum := sha256.Sum256([]byte(b))
				if want := base64.RawURLEncoding.EncodeToString(sum[:]); r.SHA256 != want || r.Size != int64(len(b)) {
					t.Errorf("%s is listed with %s, %d bytes; it has %s, %d", r.Path, r.SHA256, r.Size, want, len(b))
				}
			}
		}

		for _, e := range out.Tree.Entries() {
			if !listed[strings.TrimPrefix(e.Name, prefix)] {
				t.Errorf("%s is in no RECORD", e.Name)
			}
		}
	}
}

func TestSecondApplyReadsTheCacheOnly(t *testing.T) {
	in := layerOf(t, boto(map[string]string{"a": model, "b": compactModel, "c": brokenModel}))
	p := planOf(t, in, policy.Settings{})
	m := &memory{}
	first := apply(t, p, m)
	if len(m.stored) != 1 {
		t.Fatalf("stored %q, want one pack of the wheel and the transform", m.stored)
	}

	second := apply(t, p, m.readOnly())
	if diff := cmp.Diff(summary(t, first), summary(t, second)); diff != "" {
		t.Error(diff)
	}
}

// A layer that transforms more files of a wheel than earlier ones adds them to the wheel's pack.
func TestPackGrows(t *testing.T) {
	in := layerOf(t, boto(map[string]string{"a": model, "b": model}))
	m := &memory{}
	apply(t, planOf(t, in, policy.Settings{Services: []string{"a"}}), m)
	apply(t, planOf(t, in, policy.Settings{Services: []string{"b"}}), m)
	apply(t, planOf(t, in, policy.Settings{Services: []string{"a"}}), m.readOnly())
	apply(t, planOf(t, in, policy.Settings{}), m.readOnly())
	if len(m.packs) != 1 {
		t.Errorf("%d packs, want 1", len(m.packs))
	}
}

// Prebuilt layers may have different files under the same name, and no wheel digest distinguishes
// them.
func TestPrebuiltLayersDoNotShareResults(t *testing.T) {
	m := &memory{}
	for _, name := range []string{"First", "Other"} {
		in := layerOf(t, boto(map[string]string{"a": strings.ReplaceAll(model, "Get", name)}))
		for i := range in.Distributions {
			in.Distributions[i].Wheel = ""
		}

		for _, warm := range []bool{false, true} {
			c := m
			if warm {
				c = m.readOnly()
			}

			out := apply(t, planOf(t, in, policy.Settings{}), c)
			got := content(t, out.Tree, prefix+"botocore/data/a/2020-01-01/service-2.json")
			if got != strings.ReplaceAll(leanModel, "Get", name) {
				t.Errorf("%s became %s", name, got)
			}
		}
	}
}

func TestApplyPassesFaultsOn(t *testing.T) {
	p := planOf(t, layerOf(t, boto(map[string]string{"a": model})), policy.Settings{})
	full := errors.New("disk full")
	if _, err := prune.Apply(context.Background(), p, &memory{fail: full}); !errors.Is(err, full) {
		t.Errorf("a cache that cannot store: %v", err)
	}

	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	m := &memory{}
	if _, err := prune.Apply(ctx, p, m); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: %v", err)
	}

	if len(m.packs) > 0 {
		t.Error("canceled, and a pack was stored")
	}
}

// An input that cannot be read is an error, not a note: the archive is damaged.
func TestApplyRefusesDamagedEntries(t *testing.T) {
	in := layerOf(t, boto(map[string]string{"a": model}))
	entries := slices.Clone(in.Tree.Entries())
	for i := range entries {
		if strings.HasSuffix(entries[i].Name, "service-2.json") {
			entries[i].CRC32++
		}
	}

	var err error
	if in.Tree, err = ziptree.New(entries); err != nil {
		t.Fatal(err)
	}

	_, err = prune.Apply(context.Background(), planOf(t, in, policy.Settings{}), &memory{})
	if err == nil || !strings.Contains(err.Error(), "read python/botocore/data/a/2020-01-01/service-2.json: CRC-32") {
		t.Errorf("got %v", err)
	}
}

func summary(t testing.TB, p prune.Pruned) string {
	t.Helper()
	var b strings.Builder
	for _, o := range p.Decisions {
		fmt.Fprintln(&b, line(o.Decision), o.Result.Size, o.Result.ZippedBytes, o.Result.CRC32, o.Result.Exec)
	}

	var zip bytes.Buffer
	w, err := ziptree.Write(context.Background(), &zip, p.Tree)
	if err != nil {
		t.Fatal(err)
	}

	fmt.Fprintln(&b, p.Notes, w.SHA256)
	return b.String()
}

func TestApplyIsTheSameOnAnyNumberOfProcessors(t *testing.T) {
	models := map[string]string{}
	for i := range 40 {
		indent := strings.Repeat(" ", i*37%11)
		models[fmt.Sprint("s", i)] = indent + strings.ReplaceAll(model, "Get", strings.Repeat("G", i+1))
	}

	in := layerOf(t, boto(models))
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	var first string
	for _, n := range []int{1, 2, 7, 2} {
		runtime.GOMAXPROCS(n)
		got := summary(t, apply(t, planOf(t, in, policy.Settings{}), &memory{}))
		if first == "" {
			first = got
		}

		if diff := cmp.Diff(first, got); diff != "" {
			t.Fatalf("with %d processors:\n%s", n, diff)
		}
	}
}

func TestBytecodeTakesItsPlace(t *testing.T) {
	entry := func(name string) ziptree.Entry {
		return ziptree.File(prefix+name, []byte(bytecode(t, "python3.13-x86_64", 1)), "compiled")
	}
	in := layerOf(t, source{name: "demo", version: "1.0", files: map[string]string{
		"demo/a.py": "a", "demo/b.py": "b", "demo/tests/t.py": "import pytest", "demo/x.txt": "x",
		"demo/__pycache__/a.cpython-313.pyc": bytecode(t, "python3.13-x86_64", 1),
	}})
	p := planOf(t, in, policy.Settings{})
	bare := apply(t, p, &memory{})
	before := showPruned(bare)
	for sentence, tt := range map[string]struct {
		compiled   []ziptree.Entry
		sourceless bool
		want, err  string
	}{
		"nothing compiled changes nothing": {want: before},
		"beside the source, instead of the wheel's own bytecode": {
			compiled: []ziptree.Entry{
				entry("demo/__pycache__/a.cpython-313.pyc"),
				entry("demo/__pycache__/b.cpython-313.pyc"),
			},
			want: "kept demo/__pycache__/a.cpython-313.pyc\nkept demo/__pycache__/b.cpython-313.pyc\n" +
				"kept demo/a.py\nkept demo/b.py\ndropped demo/tests/t.py tests\nkept demo/x.txt\n",
		},
		"sourceless bytecode replaces the source and its __pycache__ file, which nothing reads any more": {
			compiled: []ziptree.Entry{entry("demo/a.pyc")}, sourceless: true,
			want: "dropped demo/__pycache__/a.cpython-313.pyc sourceless\ndropped demo/a.py sourceless\n" +
				"kept demo/a.pyc\nkept demo/b.py\ndropped demo/tests/t.py tests\nkept demo/x.txt\n",
		},
		"of a dropped source": {
			compiled: []ziptree.Entry{entry("demo/tests/t.pyc")},
			err:      "add bytecode python/demo/tests/t.pyc: its source is not kept",
		},
		"of no source": {
			compiled: []ziptree.Entry{entry("demo/z.pyc")},
			err:      "add bytecode python/demo/z.pyc: its source is not kept",
		},
		"of another name": {
			compiled: []ziptree.Entry{entry("demo/a.txt")},
			err:      "add bytecode python/demo/a.txt: not a name of bytecode",
		},
		"the same name twice": {
			compiled:   []ziptree.Entry{entry("demo/a.pyc"), entry("demo/a.pyc")},
			sourceless: true,
			err:        "add bytecode python/demo/a.pyc: given twice",
		},
	} {
		t.Run(sentence, func(t *testing.T) {
			q, err := bare.WithBytecode(tt.compiled, tt.sourceless)
			if tt.err != "" {
				if err == nil || err.Error() != tt.err {
					t.Errorf("got %v, want %s", err, tt.err)
				}

				return
			}

			if err != nil {
				t.Fatal(err)
			}

			if diff := cmp.Diff(tt.want, showPruned(q)); diff != "" {
				t.Error(diff)
			}

			if diff := cmp.Diff(before, showPruned(bare)); diff != "" {
				t.Errorf("the layer without bytecode has changed:\n%s", diff)
			}

			for _, o := range q.Decisions {
				if _, there := q.Tree.Lookup(o.Entry.Name); there == (o.Fate == prune.Dropped) {
					t.Errorf("%s is %s, and in the tree: %v", o.Site, o.Fate, there)
				}
			}
		})
	}

	var sources []string
	for _, d := range p.KeptSources() {
		sources = append(sources, d.Site)
	}

	if diff := cmp.Diff([]string{"demo/a.py", "demo/b.py"}, sources); diff != "" {
		t.Error(diff)
	}
}

func TestUntouchedKeepsAll(t *testing.T) {
	in := layerOf(t, boto(map[string]string{"a": model}))
	out := prune.Untouched(in)
	if len(out.Decisions) != in.Tree.Len() || out.Tree.Len() != in.Tree.Len() {
		t.Fatalf("%d decisions, %d files, want %d", len(out.Decisions), out.Tree.Len(), in.Tree.Len())
	}

	for _, o := range out.Decisions {
		if o.Fate != prune.Kept || o.Owner.Name.String() != "botocore" || o.Wheel == "" {
			t.Errorf("%s: %s, of %q", o.Site, o.Fate, o.Owner.Name)
		}
	}
}

// The versions of transforms are part of the key of cached layers.
func TestVersionsNameEveryTransform(t *testing.T) {
	v := prune.Versions()
	for _, r := range policyOf(t, policy.Settings{}).Rules() {
		if r.Transform != "" && v[r.Transform] == "" {
			t.Errorf("the transform %q of %s has no version", r.Transform, r.ID)
		}
	}

	if len(v) != 2 {
		t.Errorf("got %v", v)
	}
}

func TestIndexRefusesNumbersOutOfRange(t *testing.T) {
	for want, x := range map[string]prune.Index{
		"read import index: a.py refers to module 1 of 1": {
			Modules: []string{"a"},
			Files:   []prune.FileRefs{{Path: "a.py", Modules: []uint32{1}}},
		},
		"read import index: a.py refers to string 0 of 0": {
			Files: []prune.FileRefs{{Path: "a.py", Strings: []uint32{0}}},
		},
	} {
		b, err := x.Encode()
		if err != nil {
			t.Fatal(err)
		}

		if _, err := prune.DecodeIndex(b); err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}

	if _, err := prune.DecodeIndex([]byte("no gob")); err == nil {
		t.Error("bytes that are not an index were decoded")
	}
}

// Files from a folder have no compressed form. They are deflated, and read back unchanged.
func TestFoldersAreDeflated(t *testing.T) {
	t.Parallel()
	text := strings.Repeat("value = 1\n", 1000)
	tree, err := ziptree.ReadFolder(fstest.MapFS{
		"python/a.py":     {Data: []byte(text)},
		"python/b/run.sh": {Data: []byte(text), Mode: 0o755},
		"python/empty.py": {},
	}, "folder")
	if err != nil {
		t.Fatal(err)
	}

	plan, err := prune.NewPlan(prune.Input{Target: target(t), Tree: tree, Prefix: "python/"}, policy.Policy{})
	if err != nil {
		t.Fatal(err)
	}

	pruned, err := prune.Apply(t.Context(), plan, &memory{})
	if err != nil {
		t.Fatal(err)
	}

	for name, exec := range map[string]bool{"python/a.py": false, "python/b/run.sh": true} {
		e, ok := pruned.Tree.Lookup(name)
		if !ok || e.ZippedBytes*10 > e.Size || e.Exec != exec || e.Loose {
			t.Errorf("%s: %+v", name, e)
		}

		if b, err := e.Bytes(1 << 20); err != nil || string(b) != text {
			t.Errorf("%s reads back as %d bytes, %v", name, len(b), err)
		}
	}
}

// Recompressing changes no content, makes no file larger, and reads earlier results from the cache.
func TestRecompressKeepsContent(t *testing.T) {
	t.Parallel()
	var text strings.Builder
	for i := range 5000 {
		fmt.Fprintf(&text, "def f%d(x):\n    return x * %d\n", i%97, i*i%1009)
	}

	tree, err := ziptree.New([]ziptree.Entry{
		ziptree.File("python/a.py", []byte(text.String()), "wheel"),
		ziptree.File("python/bin/run", []byte(text.String()), "wheel").Executable(),
		ziptree.File("python/small.py", []byte("x = 1\n"), "wheel"),
	})
	if err != nil {
		t.Fatal(err)
	}

	cache := &memory{}
	plan, err := prune.NewPlan(prune.Input{Target: target(t), Tree: tree, Prefix: prefix}, policy.Policy{})
	if err != nil {
		t.Fatal(err)
	}

	pruned := apply(t, plan, cache)
	before := pruned.Tree.ZipBytes()
	first := recompressed(t, pruned, cache)
	if first >= before {
		t.Errorf("%d bytes became %d", before, first)
	}

	if second := recompressed(t, pruned, cache); second != first {
		t.Errorf("%d bytes became %d the first time, %d the second time", before, first, second)
	}

	if n := len(cache.stored); n != 1 {
		t.Errorf("%d packs were written: %v", n, cache.stored)
	}
}

// recompressed recompresses a layer, compares each file, and returns the bytes of the zip.
func recompressed(t *testing.T, pruned prune.Pruned, cache prune.Cache) int64 {
	t.Helper()
	best, err := prune.Recompress(t.Context(), pruned, cache)
	if err != nil {
		t.Fatal(err)
	}

	for _, was := range pruned.Tree.Entries() {
		is, ok := best.Tree.Lookup(was.Name)
		if !ok || is.ZippedBytes > was.ZippedBytes || is.Exec != was.Exec || is.CRC32 != was.CRC32 {
			t.Fatalf("%s: %+v became %+v", was.Name, was, is)
		}

		if b, err := is.Bytes(1 << 20); err != nil || int64(len(b)) != was.Size {
			t.Fatalf("%s reads back as %d bytes, %v", was.Name, len(b), err)
		}
	}

	return best.Tree.ZipBytes()
}
