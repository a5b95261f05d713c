package prune_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"maps"
	"math/rand"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/layersmith/layersmith/internal/policy"
	"github.com/layersmith/layersmith/internal/prune"
	"github.com/layersmith/layersmith/internal/pyc"
	"github.com/layersmith/layersmith/internal/pydist"
	"github.com/layersmith/layersmith/internal/pyimport"
	"github.com/layersmith/layersmith/internal/wheel"
	"github.com/layersmith/layersmith/internal/ziptree"
)

var (
	someFolders = []string{
		"", "tests/", "docs/", "docs/tests/", "core/", "core/tests/", "core/examples/",
		"extra/", "extra/test/", "_lib/", "tests/deeper/",
	}
	someFiles = []string{
		"__init__.py", "a.py", "b.py", "c.py", "conftest.py", "a.pyi", "x.csv", "y.c", "z.so",
		"a.pyc", "__pycache__/b.cpython-313.pyc", "lib.a",
	}
)

// chance makes random choices.
type chance struct{ *rand.Rand }

// chanceOf makes the same choices every time.
func chanceOf(seed int64) chance { return chance{rand.New(rand.NewSource(seed))} }

func (c chance) of(list ...string) string { return list[c.Intn(len(list))] }

// wheels are two small packages with random imports, most of them of files that exist.
func (c chance) wheels(t testing.TB) []source {
	var modules, files []string
	wheels := []source{
		{name: "alpha", version: "1.0", files: map[string]string{}},
		{name: "beta", version: "2.0", files: map[string]string{}},
	}
	for _, w := range wheels {
		for _, name := range c.fileNames(w.name) {
			files = append(files, name)
			w.files[name] = ""
			if module, _, ok := pyimport.ModuleName(name); ok {
				modules = append(modules, module)
			}
		}
	}

	for _, name := range files {
		w := wheels[0]
		if strings.HasPrefix(name, "beta/") {
			w = wheels[1]
		}

		switch {
		case strings.HasSuffix(name, ".pyc"):
			w.files[name] = bytecode(t, c.of("python3.13-x86_64", "python3.12-x86_64"), byte(c.Intn(2)))
		case strings.HasSuffix(name, ".py"):
			var text strings.Builder
			for range c.Intn(3) {
				text.WriteString(c.statement(modules))
			}

			w.files[name] = text.String()
		}
	}

	if c.Intn(2) == 0 {
		wheels[0].entryPoints = "[x]\ny = " + c.of(modules...) + ":main\n"
	}

	return wheels
}

// fileNames are about two thirds of the possible files of a package.
func (c chance) fileNames(pkg string) (names []string) {
	for _, dir := range someFolders {
		for _, f := range someFiles {
			if c.Intn(3) > 0 {
				names = append(names, pkg+"/"+dir+f)
			}
		}
	}

	return names
}

// statement is a line of Python that refers to a module or a file.
func (c chance) statement(modules []string) string {
	module := c.of(modules...)
	switch c.Intn(5) {
	case 0:
		return "import " + module + "\n"
	case 1:
		parent := module
		name := module
		if at := strings.LastIndexByte(module, '.'); at >= 0 {
			parent = module[:at]
			name = module[at+1:]
		}

		return "def f():\n    from " + parent + " import x, " + name + "\n"
	case 2:
		parent := c.of("", ".", "tests", ".tests", "docs", "core")
		return "from ." + parent + " import " + c.of("a", "b", "tests", "x") + "\n"
	case 3:
		file := c.of("tests/x.csv", "x.csv", "../x.csv", "core/tests/x.csv", "alpha/docs/x.csv")
		return fmt.Sprintf("DATA = %q\n", file)
	}

	return "x = attach_stub(__name__, __file__)\n"
}

func (c chance) settings() policy.Settings {
	s := policy.Settings{Rules: map[string]policy.Switch{}}
	for _, id := range []string{"tests", "docs", "stubs", "native-sources", "stale-bytecode", "elf-strip"} {
		if c.Intn(5) == 0 {
			s.Rules[id] = policy.Switch{Enabled: false, Reason: "random"}
		}
	}

	if c.Intn(2) == 0 {
		s.Modules = map[string][]string{"alpha": {"core"}}
	}

	if c.Intn(3) == 0 {
		s.Keep = []policy.Choice{{Match: "*/tests/a.*", Reason: "random"}}
	}

	if c.Intn(3) == 0 {
		s.Drop = []policy.Choice{{Match: "*/core/b.py", Reason: "random"}}
	}

	return s
}

func full(p prune.Plan) string {
	var b strings.Builder
	for _, d := range p.Decisions() {
		fmt.Fprintln(&b, line(d), d.Owner.Name, d.Wheel)
	}

	return b.String()
}

func TestPlansOfRandomTrees(t *testing.T) {
	references := map[string]string{prune.ByLayer: "ignore"} // the layer's own drops ignore references
	for _, r := range builtinRules(t) {
		references[r.ID] = r.References
	}

	fates := map[prune.Fate]int{}
	restored := 0
	for seed := range int64(40) {
		c := chanceOf(seed)
		wheels := c.wheels(t)
		settings := c.settings()
		in := layerOf(t, wheels...)
		p := planOf(t, in, settings)
		what := fmt.Sprintf("seed %d", seed)

		checkPlan(t, what, in, p)
		checkReferences(t, what, wheels, p, references)
		for _, d := range p.Decisions() {
			fates[d.Fate]++
			if strings.Contains(d.Why, "refers to") {
				restored++
			}
		}

		if diff := cmp.Diff(full(p), full(planOf(t, in, settings))); diff != "" {
			t.Errorf("%s: planned twice:\n%s", what, diff)
		}

		shuffled := planOf(t, c.shuffled(t, wheels), settings)
		if diff := cmp.Diff(full(p), full(shuffled)); diff != "" {
			t.Errorf("%s: wheels and entries in another order:\n%s", what, diff)
		}
	}

	if fates[prune.Kept] < 1000 || fates[prune.Dropped] < 1000 || fates[prune.Transformed] < 100 || restored < 100 {
		t.Errorf("too few cases: %v, %d restored", fates, restored)
	}
}

func builtinRules(t testing.TB) []policy.Rule {
	t.Helper()
	book, err := policy.Builtin()
	if err != nil {
		t.Fatal(err)
	}

	return book
}

// shuffled is the layer of the wheels with wheels and entries in another order.
func (c chance) shuffled(t testing.TB, wheels []source) prune.Input {
	t.Helper()
	if c.Intn(2) == 0 {
		slices.Reverse(wheels)
	}

	in := layerOf(t, wheels...)
	entries := slices.Clone(in.Tree.Entries())
	c.Shuffle(len(entries), func(i, j int) { entries[i], entries[j] = entries[j], entries[i] })
	var err error
	if in.Tree, err = ziptree.New(entries); err != nil {
		t.Fatal(err)
	}

	return in
}

// checkPlan checks that every entry is in the plan, once, in order, and with the rule that drops or
// transforms it.
func checkPlan(t *testing.T, what string, in prune.Input, p prune.Plan) {
	t.Helper()
	if len(p.Decisions()) != in.Tree.Len() {
		t.Fatalf("%s: %d decisions about %d entries", what, len(p.Decisions()), in.Tree.Len())
	}

	for i, e := range in.Tree.Entries() {
		d := p.Decisions()[i]
		if d.Entry.Name != e.Name || d.Site != strings.TrimPrefix(e.Name, prefix) {
			t.Fatalf("%s: decision %d is about %s, want %s", what, i, d.Entry.Name, e.Name)
		}

		if d.Fate != prune.Kept && d.Rule == "" {
			t.Errorf("%s: %s by no rule", what, line(d))
		}

		if d.Fate == prune.Dropped && strings.Contains(d.Site, ".dist-info/") {
			t.Errorf("%s: %s", what, line(d))
		}
	}
}

// checkReferences checks that no kept source refers to a file that a rule dropped, unless the rule
// ignores references. It reads the sources, not the index.
func checkReferences(t *testing.T, what string, wheels []source, p prune.Plan, references map[string]string) {
	t.Helper()
	decided := map[string]prune.Decision{}
	modules := map[string][]string{}
	for _, d := range p.Decisions() {
		decided[d.Site] = d
		if m, _, ok := pyimport.ModuleName(d.Site); ok {
			modules[m] = append(modules[m], d.Site)
		}
	}

	for _, w := range wheels {
		for name, text := range w.files {
			if !strings.HasSuffix(name, ".py") || decided[name].Fate == prune.Dropped {
				continue
			}

			for _, site := range referredTo(t, name, text, modules) {
				d, ok := decided[site]
				if ok && d.Fate == prune.Dropped && references[d.Rule] != "ignore" {
					t.Errorf("%s: %s is kept and refers to %s, dropped by %s", what, name, site, d.Rule)
				}
			}
		}
	}
}

// referredTo lists the files that a source may refer to, whether they exist or not.
func referredTo(t *testing.T, name, text string, modules map[string][]string) (sites []string) {
	t.Helper()
	scan, err := pyimport.Source([]byte(text))
	if err != nil {
		t.Fatal(err)
	}

	module, isPackage, _ := pyimport.ModuleName(name)
	for _, i := range scan.Imports {
		for _, m := range i.Resolve(module, isPackage) {
			sites = append(sites, modules[m]...)
		}
	}

	for _, s := range scan.Strings {
		for dir := path.Dir(name); ; dir = path.Dir(dir) {
			sites = append(sites, path.Join(dir, s))
			if dir == "." {
				break
			}
		}
	}

	if scan.StubLoader {
		sites = append(sites, name+"i")
	}

	for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
		sites = append(sites, dir+"/__init__.py") // Python imports the packages around a module first
	}

	return sites
}

// randomLayers is the number of layers that TestPruningRandomLayers prunes. A failure names its
// seed, which reproduces the layer.
const randomLayers = 300

// sharedObject is a small ELF file with a section after the loaded bytes, which elf-strip removes.
func (c chance) sharedObject() string {
	const headers, loaded, table = 64 + 56, 0x180, 2 * 64
	section := 1 + c.Intn(600)
	b := make([]byte, loaded+section+table)
	c.Read(b[headers : loaded+section])
	copy(b, "\x7fELF\x02\x01\x01")
	le := binary.LittleEndian
	for at, v := range map[int]uint16{16: 3, 18: 62, 52: 64, 54: 56, 56: 1, 58: 64, 60: 2} {
		le.PutUint16(b[at:], v)
	}

	le.PutUint32(b[20:], 1)
	le.PutUint64(b[32:], 64)
	le.PutUint64(b[40:], uint64(loaded+section))
	h := b[loaded+section+64:]
	le.PutUint32(h[4:], 2) // SHT_SYMTAB
	le.PutUint64(h[24:], loaded)
	le.PutUint64(h[32:], uint64(section))
	p := b[64:]
	le.PutUint32(p, 1)
	le.PutUint32(p[4:], 4)
	for at, v := range map[int]uint64{32: loaded, 40: loaded, 48: 0x1000} {
		le.PutUint64(p[at:], v)
	}

	return string(b)
}

// bytecode is what an interpreter would have compiled: nothing, or bytecode to lie beside the
// sources, or instead of them.
func (c chance) bytecode(t testing.TB, p prune.Plan) (compiled []ziptree.Entry, mode string) {
	t.Helper()
	mode = c.of("no bytecode", "bytecode", "sourceless")
	if mode == "no bytecode" {
		return nil, mode
	}

	for _, d := range p.KeptSources() {
		name := pyc.Cached(d.Site, target(t))
		if mode == "sourceless" {
			name = pyc.Legacy(d.Site)
		}

		code := bytecode(t, "python3.13-x86_64", 1) + d.Site
		compiled = append(compiled, ziptree.File(prefix+name, []byte(code), "compiled"))
	}

	return compiled, mode
}

// made applies a plan with an empty cache, and adds bytecode.
func made(t testing.TB, p prune.Plan, compiled []ziptree.Entry, mode string) prune.Pruned {
	t.Helper()
	out, err := apply(t, p, &memory{}).WithBytecode(compiled, mode == "sourceless")
	if err != nil {
		t.Fatal(err)
	}

	return out
}

func written(t testing.TB, tree ziptree.Tree) []byte {
	t.Helper()
	var b bytes.Buffer
	if _, err := ziptree.Write(context.Background(), &b, tree); err != nil {
		t.Fatal(err)
	}

	return b.Bytes()
}

// prebuilt opens a finished layer from its bytes alone, as prune and check do.
func prebuilt(t testing.TB, zip []byte) prune.Input {
	t.Helper()
	tree, err := ziptree.Read(bytes.NewReader(zip), int64(len(zip)), "layer.zip")
	if err != nil {
		t.Fatal(err)
	}

	in := prune.Input{Target: target(t), Prefix: prefix, Tree: tree}
	if in.Distributions, err = wheel.Installed(tree, prefix); err != nil {
		t.Fatal(err)
	}

	var site []ziptree.Entry
	for _, e := range tree.Entries() {
		if name, ok := strings.CutPrefix(e.Name, prefix); ok {
			site = append(site, e.Named(name))
		}
	}

	x, err := prune.NewIndex(context.Background(), site)
	if err != nil {
		t.Fatal(err)
	}

	in.Indexes = []prune.Index{x}
	return in
}

// Prunes random wheels by random policies. No file is lost or invented, kept modules find what they
// import, RECORDs are correct, and neither a second run nor pruning the result changes a byte.
func TestPruningRandomLayers(t *testing.T) {
	// References to files dropped by the layer's own choice may stay open: its drop list, lists of
	// wanted parts, and rules that it enables.
	chosen := map[string]bool{prune.ByLayer: true, prune.BySource: true}
	for _, r := range builtinRules(t) {
		chosen[r.ID] = r.Select != nil || !r.Default || r.References == "ignore"
	}

	seen := map[string]int{}
	for seed := range int64(randomLayers) {
		c := chanceOf(seed)
		wheels := c.wheels(t)
		settings := c.settings()
		c.addSharedObjects(wheels)
		in := layerOf(t, wheels...)
		plan := planOf(t, in, settings)
		compiled, mode := c.bytecode(t, plan)
		what := fmt.Sprintf("seed %d (%s)", seed, mode)
		out := made(t, plan, compiled, mode)
		seen[mode]++
		for _, o := range out.Decisions {
			seen[o.Fate.String()]++
		}

		checkOutcomes(t, what, slices.Concat(in.Tree.Entries(), compiled), out)
		seen["references"] += checkImports(t, what, out, chosen)
		checkRecords(t, what, wheels, out.Tree)

		first := written(t, out.Tree)
		if again := written(t, made(t, plan, compiled, mode).Tree); !bytes.Equal(first, again) {
			t.Errorf("%s: two runs differ", what)
		}

		second := apply(t, planOf(t, prebuilt(t, first), settings), &memory{})
		if again := written(t, second.Tree); !bytes.Equal(first, again) {
			t.Errorf("%s: pruning the result changes it: %s", what, changes(out.Tree, second.Tree))
		}
	}

	for what, least := range map[string]int{
		"kept":        10_000,
		"dropped":     10_000,
		"transformed": 1_500,
		"references":  10_000,
		"no bytecode": 50,
		"bytecode":    50,
		"sourceless":  50,
	} {
		if seen[what] < least {
			t.Errorf("%s: %d, want at least %d: too few cases", what, seen[what], least)
		}
	}
}

// addSharedObjects makes about half of the .so files ELF files.
func (c chance) addSharedObjects(wheels []source) {
	for _, w := range wheels {
		for _, name := range slices.Sorted(maps.Keys(w.files)) {
			if strings.HasSuffix(name, ".so") && c.Intn(2) == 0 {
				w.files[name] = c.sharedObject()
			}
		}
	}
}

// checkOutcomes checks that every file of the plan has one outcome, and that the tree has the files
// and bytes that the outcomes say, and no others.
func checkOutcomes(t *testing.T, what string, files []ziptree.Entry, out prune.Pruned) {
	t.Helper()
	fates := map[string]prune.Fate{}
	for _, o := range out.Decisions {
		if _, twice := fates[o.Entry.Name]; twice {
			t.Fatalf("%s: %s has two outcomes", what, o.Entry.Name)
		}

		fates[o.Entry.Name] = o.Fate
		e, there := out.Tree.Lookup(o.Entry.Name)
		switch {
		case there == (o.Fate == prune.Dropped):
			t.Fatalf("%s: %s is %v, and in the result: %v", what, o.Entry.Name, o.Fate, there)
		case o.Fate == prune.Kept && (e.CRC32 != o.Entry.CRC32 || e.Size != o.Entry.Size):
			t.Fatalf("%s: %s is kept, and has other bytes", what, o.Entry.Name)
		case o.Fate == prune.Transformed && o.Rule != prune.ByRecord && e.Size >= o.Entry.Size:
			t.Fatalf("%s: %s is transformed from %d to %d bytes", what, o.Entry.Name, o.Entry.Size, e.Size)
		}
	}

	all := map[string]bool{} // bytecode may replace a file of the same name
	for _, e := range files {
		all[e.Name] = true
		if _, decided := fates[e.Name]; !decided {
			t.Fatalf("%s: %s has no outcome", what, e.Name)
		}
	}

	if len(fates) != len(all) {
		t.Fatalf("%s: %d outcomes for %d files", what, len(fates), len(all))
	}

	for _, e := range out.Tree.Entries() {
		if _, decided := fates[e.Name]; !decided {
			t.Fatalf("%s: %s is not in the plan", what, e.Name)
		}
	}
}

// checkImports checks that no kept module imports a dropped one, except by the layer's own choice.
// The index is made anew, from the kept files. It returns the number of imports checked.
func checkImports(t *testing.T, what string, out prune.Pruned, chosen map[string]bool) (imports int) {
	t.Helper()
	bySite := map[string]prune.Applied{}
	modules := map[string][]string{}
	var kept []ziptree.Entry
	for _, o := range out.Decisions {
		bySite[o.Site] = o
		if m, _, ok := pyimport.ModuleName(o.Site); ok {
			modules[m] = append(modules[m], o.Site)
		}

		if o.Fate != prune.Dropped || o.Rule == prune.BySource {
			kept = append(kept, o.Entry.Named(o.Site))
		}
	}

	index, err := prune.NewIndex(context.Background(), kept)
	if err != nil {
		t.Fatal(err)
	}

	for _, f := range index.Files {
		for _, n := range f.Modules {
			for _, site := range modules[index.Modules[n]] {
				imports++
				if o := bySite[site]; o.Fate == prune.Dropped && !chosen[o.Rule] {
					t.Errorf("%s: %s is kept and imports %s, which rule %s dropped", what, f.Path, site, o.Rule)
				}
			}
		}
	}

	return imports
}

// checkRecords checks that the RECORD of each distribution lists its files in the layer and no
// others, with correct hashes and sizes.
func checkRecords(t *testing.T, what string, wheels []source, tree ziptree.Tree) {
	t.Helper()
	for _, w := range wheels {
		want := map[string]bool{}
		for _, e := range tree.Entries() {
			site := strings.TrimPrefix(e.Name, prefix)
			if strings.HasPrefix(site, w.name+"/") || strings.HasPrefix(site, w.distInfo()+"/") {
				want[site] = true
			}
		}

		rows, err := pydist.ParseRecord([]byte(content(t, tree, prefix+w.distInfo()+"/RECORD")))
		if err != nil {
			t.Fatal(err)
		}

		got := map[string]bool{}
		for _, row := range rows {
			got[row.Path] = true
			if row.SHA256 == "" || !want[row.Path] {
				continue
			}

			b := []byte(content(t, tree, prefix+row.Path))
			sum := sha256.Sum256(b)
			if row.SHA256 != base64.RawURLEncoding.EncodeToString(sum[:]) || row.Size != int64(len(b)) {
				t.Errorf("%s: RECORD of %s has another hash or size for %s", what, w.name, row.Path)
			}
		}

		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s: RECORD of %s (-in the layer +listed):\n%s", what, w.name, d)
		}
	}
}

// changes lists the differences between two trees: - removed, ~ changed, + added.
func changes(a, b ziptree.Tree) string {
	var out []string
	for _, e := range a.Entries() {
		if x, ok := b.Lookup(e.Name); !ok {
			out = append(out, "-"+e.Name)
		} else if x.CRC32 != e.CRC32 || x.Exec != e.Exec || x.Method != e.Method || x.ZippedBytes != e.ZippedBytes {
			out = append(out, "~"+e.Name)
		}
	}

	for _, e := range b.Entries() {
		if _, ok := a.Lookup(e.Name); !ok {
			out = append(out, "+"+e.Name)
		}
	}

	return strings.Join(out, " ")
}
