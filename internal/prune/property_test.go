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
		"",
		"tests/",
		"docs/",
		"docs/tests/",
		"core/",
		"core/tests/",
		"core/examples/",
		"extra/",
		"extra/test/",
		"_lib/",
		"tests/deeper/",
	}
	someFiles = []string{
		"__init__.py",
		"a.py",
		"b.py",
		"c.py",
		"conftest.py",
		"a.pyi",
		"x.csv",
		"y.c",
		"z.so",
		"a.pyc",
		"__pycache__/b.cpython-313.pyc",
		"lib.a",
	}
)

// someWheels are two small packages with imports at random, most of them of files that exist.
func someWheels(t testing.TB, r *rand.Rand) []source {
	var modules, files []string
	wheels := []source{
		{name: "alpha", version: "1.0", files: map[string]string{}},
		{name: "beta", version: "2.0", files: map[string]string{}},
	}
	for _, w := range wheels {
		for _, dir := range someFolders {
			for _, f := range someFiles {
				if name := w.name + "/" + dir + f; r.Intn(3) > 0 {
					files = append(files, name)
					w.files[name] = ""
					if module, _, ok := pyimport.ModuleName(name); ok {
						modules = append(modules, module)
					}
				}
			}
		}
	}

	some := func(list []string) string { return list[r.Intn(len(list))] }
	for _, name := range files {
		w := wheels[0]
		if strings.HasPrefix(name, "beta/") {
			w = wheels[1]
		}

		switch {
		case strings.HasSuffix(name, ".pyc"):
			w.files[name] = bytecode(t, some([]string{"python3.13-x86_64", "python3.12-x86_64"}), byte(r.Intn(2)))
		case strings.HasSuffix(name, ".py"):
			var b strings.Builder
			for range r.Intn(3) {
				switch m := some(modules); r.Intn(5) {
				case 0:
					fmt.Fprintf(&b, "import %s\n", m)
				case 1:
					at := strings.LastIndexByte(m, '.')
					fmt.Fprintf(
						&b,
						"def f():\n    from %s import %s\n",
						m[:max(at, 0)]+m[:len(m)*min(1, max(-at, 0))],
						"x, "+m[at+1:],
					)
				case 2:
					fmt.Fprintf(
						&b,
						"from .%s import %s\n",
						some([]string{"", ".", "tests", ".tests", "docs", "core"}),
						some([]string{"a", "b", "tests", "x"}),
					)
				case 3:
					fmt.Fprintf(
						&b,
						"DATA = %q\n",
						some([]string{"tests/x.csv", "x.csv", "../x.csv", "core/tests/x.csv", "alpha/docs/x.csv"}),
					)
				case 4:
					b.WriteString("x = attach_stub(__name__, __file__)\n")
				}
			}

			w.files[name] = b.String()
		}
	}

	if r.Intn(2) == 0 {
		wheels[0].entryPoints = "[x]\ny = " + some(modules) + ":main\n"
	}

	return wheels
}

func someSettings(r *rand.Rand) policy.Settings {
	s := policy.Settings{Rules: map[string]policy.Switch{}}
	for _, id := range []string{"tests", "docs", "stubs", "native-sources", "stale-bytecode", "elf-strip"} {
		if r.Intn(5) == 0 {
			s.Rules[id] = policy.Switch{Enabled: false, Reason: "random"}
		}
	}

	if r.Intn(2) == 0 {
		s.Modules = map[string][]string{"alpha": {"core"}}
	}

	if r.Intn(3) == 0 {
		s.Keep = []policy.Choice{{Match: "*/tests/a.*", Reason: "random"}}
	}

	if r.Intn(3) == 0 {
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
	book, err := policy.Builtin()
	if err != nil {
		t.Fatal(err)
	}

	references := map[string]string{prune.ByLayer: "ignore"} // what the layer drops is gone whoever refers to it
	for _, r := range book {
		references[r.ID] = r.References
	}

	fates := map[prune.Fate]int{}
	returned := 0
	for seed := range int64(40) {
		r := rand.New(rand.NewSource(seed))
		wheels := someWheels(t, r)
		settings := someSettings(r)
		in := layerOf(t, wheels...)
		p := planOf(t, in, settings)

		// Every entry is in the plan, once, in order, with a reason where something took it.
		if len(p.Decisions()) != in.Tree.Len() {
			t.Fatalf("seed %d: %d decisions about %d entries", seed, len(p.Decisions()), in.Tree.Len())
		}

		fate := map[string]prune.Decision{}
		modules := map[string][]string{}
		for i, e := range in.Tree.Entries() {
			d := p.Decisions()[i]
			if d.Entry.Name != e.Name || d.Site != strings.TrimPrefix(e.Name, prefix) {
				t.Fatalf("seed %d: decision %d is about %s, want %s", seed, i, d.Entry.Name, e.Name)
			}

			if d.Fate != prune.Kept && d.Rule == "" {
				t.Errorf("seed %d: %s by no rule", seed, line(d))
			}

			if d.Fate == prune.Dropped && strings.Contains(d.Site, ".dist-info/") {
				t.Errorf("seed %d: %s", seed, line(d))
			}

			fates[d.Fate]++
			if strings.Contains(d.Why, "refers to") {
				returned++
			}

			fate[d.Site] = d
			if m, _, ok := pyimport.ModuleName(d.Site); ok {
				modules[m] = append(modules[m], d.Site)
			}
		}

		// No kept source refers to something that a rule dropped, computed from the sources and not
		// from the index.
		gone := func(by, site string) {
			if d, ok := fate[site]; ok && d.Fate == prune.Dropped && references[d.Rule] != "ignore" {
				t.Errorf("seed %d: %s is kept and refers to %s, dropped by %s", seed, by, site, d.Rule)
			}
		}
		for _, w := range wheels {
			for name, text := range w.files {
				if d := fate[name]; !strings.HasSuffix(name, ".py") || d.Fate == prune.Dropped {
					continue
				}

				scan, err := pyimport.Source([]byte(text))
				if err != nil {
					t.Fatal(err)
				}

				module, isPackage, _ := pyimport.ModuleName(name)
				for _, i := range scan.Imports {
					for _, m := range i.Resolve(module, isPackage) {
						for _, site := range modules[m] {
							gone(name, site)
						}
					}
				}

				for _, s := range scan.Strings {
					for dir := path.Dir(name); ; dir = path.Dir(dir) {
						gone(name, path.Join(dir, s))
						if dir == "." {
							break
						}
					}
				}

				if scan.StubLoader {
					gone(name, name+"i")
				}

				for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
					gone(name, dir+"/__init__.py") // Python imports the packages around a module first
				}
			}
		}

		// Planning twice, and with everything in another order, gives the same plan.
		if diff := cmp.Diff(full(p), full(planOf(t, in, settings))); diff != "" {
			t.Errorf("seed %d: planned twice:\n%s", seed, diff)
		}

		if r.Intn(2) == 0 {
			slices.Reverse(wheels)
		}

		other := layerOf(t, wheels...)
		shuffled := slices.Clone(other.Tree.Entries())
		r.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		if other.Tree, err = ziptree.New(shuffled); err != nil {
			t.Fatal(err)
		}

		if diff := cmp.Diff(full(p), full(planOf(t, other, settings))); diff != "" {
			t.Errorf("seed %d: wheels and entries in another order:\n%s", seed, diff)
		}
	}

	if fates[prune.Kept] < 1000 || fates[prune.Dropped] < 1000 || fates[prune.Transformed] < 100 || returned < 100 {
		t.Errorf("the trees show too little: %v, %d returned", fates, returned)
	}
}

// randomLayers is how many layers TestPruningRandomLayers prunes. A failure names its seed; that
// alone makes the layer again.
const randomLayers = 300

// rngOf is chance that comes out the same every time.
func rngOf(seed int64) *rand.Rand { return rand.New(rand.NewSource(seed)) }

// loadable is a small shared object with a section behind what is loaded, for elf-strip to take.
func loadable(r *rand.Rand) string {
	const headers, loaded, table = 64 + 56, 0x180, 2 * 64
	section := 1 + r.Intn(600)
	b := make([]byte, loaded+section+table)
	r.Read(b[headers : loaded+section])
	copy(b, "\x7fELF\x02\x01\x01")
	le := binary.LittleEndian
	for at, v := range map[int]uint16{16: 3, 18: 62, 52: 64, 54: 56, 56: 1, 58: 64, 60: 2} {
		le.PutUint16(b[at:], v)
	}

	le.PutUint32(b[20:], 1)
	le.PutUint64(b[32:], 64)
	le.PutUint64(b[40:], uint64(loaded+section))
	h := b[loaded+section+64:]
	le.PutUint32(h[4:], 1)
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

// compiledAtRandom is what an interpreter would have added: none, beside the sources, or in their
// place.
func compiledAtRandom(t testing.TB, r *rand.Rand, p prune.Plan) (made []ziptree.Entry, mode string) {
	mode = []string{"no bytecode", "bytecode", "sourceless"}[r.Intn(3)]
	if mode == "no bytecode" {
		return nil, mode
	}

	for _, d := range p.KeptSources() {
		name := pyc.Cached(d.Site, target(t))
		if mode == "sourceless" {
			name = pyc.Legacy(d.Site)
		}

		made = append(
			made,
			ziptree.File(prefix+name, []byte(bytecode(t, "python3.13-x86_64", 1)+d.Site), false, "compiled"),
		)
	}

	return made, mode
}

// made is the plan applied with an empty cache, with that bytecode.
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

// foreign is a finished layer as prune and check open it: from its bytes alone.
func foreign(t testing.TB, zip []byte) prune.Input {
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

// From random wheels to the finished zip, by a random policy: nothing is lost or made up, what is
// kept finds what it refers to, RECORDs tell the truth, and neither doing it twice nor doing it to
// the result changes a byte.
func TestPruningRandomLayers(t *testing.T) {
	book, err := policy.Builtin()
	if err != nil {
		t.Fatal(err)
	}

	// What a layer itself chose may leave references open: its own drops, and the parts of packages
	// that it names.
	chosen := map[string]bool{prune.ByLayer: true, prune.BySource: true}
	for _, rule := range book {
		chosen[rule.ID] = rule.Select != nil || !rule.Default || rule.References == "ignore"
	}

	seen := map[string]int{}
	for seed := range int64(randomLayers) {
		r := rand.New(rand.NewSource(seed))
		wheels := someWheels(t, r)
		settings := someSettings(r)
		for _, w := range wheels {
			for _, name := range slices.Sorted(maps.Keys(w.files)) {
				if strings.HasSuffix(name, ".so") && r.Intn(2) == 0 {
					w.files[name] = loadable(r)
				}
			}
		}

		in := layerOf(t, wheels...)
		plan := planOf(t, in, settings)
		compiled, mode := compiledAtRandom(t, r, plan)
		out := made(t, plan, compiled, mode)
		what := fmt.Sprintf("seed %d (%s)", seed, mode)
		seen[mode]++

		// kept + dropped + transformed = all, each once.
		fates := map[string]prune.Fate{}
		for _, o := range out.Decisions {
			if _, twice := fates[o.Entry.Name]; twice {
				t.Fatalf("%s: %s is decided twice", what, o.Entry.Name)
			}

			fates[o.Entry.Name] = o.Fate
			seen[o.Fate.String()]++
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

		all := map[string]bool{}
		for _, e := range slices.Concat(plan.Input().Tree.Entries(), compiled) {
			all[e.Name] = true
			if _, decided := fates[e.Name]; !decided {
				t.Fatalf("%s: nobody decided about %s", what, e.Name)
			}
		}

		if len(fates) != len(all) {
			t.Fatalf("%s: %d decisions about %d files", what, len(fates), len(all))
		}

		for _, e := range out.Tree.Entries() {
			if _, decided := fates[e.Name]; !decided {
				t.Fatalf("%s: %s came from nowhere", what, e.Name)
			}
		}

		// No kept module refers to a dropped one, unless the layer itself chose that. The index is
		// made anew, of what was kept.
		bySite := map[string]prune.Outcome{}
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
					seen["references"]++
					if o := bySite[site]; o.Fate == prune.Dropped && !chosen[o.Rule] {
						t.Errorf("%s: %s is kept and imports %s, which rule %s dropped", what, f.Path, site, o.Rule)
					}
				}
			}
		}

		recordsTellTheTruth(t, what, wheels, out.Tree)

		// Twice the same bytes, with other caches; and nothing is left to prune in the result.
		bytesOf := written(t, out.Tree)
		if again := written(t, made(t, plan, compiled, mode).Tree); !bytes.Equal(bytesOf, again) {
			t.Errorf("%s: two runs differ", what)
		}

		back := foreign(t, bytesOf)
		second := apply(t, planOf(t, back, settings), &memory{})
		if again := written(t, second.Tree); !bytes.Equal(bytesOf, again) {
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
			t.Errorf("%s: %d, want at least %d: the layers show too little", what, seen[what], least)
		}
	}
}

// recordsTellTheTruth: the RECORD of each distribution lists what is there of it, all of it and
// nothing else, with true hashes.
func recordsTellTheTruth(t *testing.T, what string, wheels []source, tree ziptree.Tree) {
	t.Helper()
	for _, w := range wheels {
		want := map[string]bool{}
		got := map[string]bool{}
		for _, e := range tree.Entries() {
			if site := strings.TrimPrefix(
				e.Name,
				prefix,
			); strings.HasPrefix(site, w.name+"/") ||
				strings.HasPrefix(site, w.distInfo()+"/") {
				want[site] = true
			}
		}

		rows, err := pydist.ParseRecord([]byte(content(t, tree, prefix+w.distInfo()+"/RECORD")))
		if err != nil {
			t.Fatal(err)
		}

		for _, row := range rows {
			got[row.Path] = true
			if row.SHA256 == "" || !want[row.Path] {
				continue
			}

			b := []byte(content(t, tree, prefix+row.Path))
			if sum := sha256.Sum256(
				b,
			); row.SHA256 != base64.RawURLEncoding.EncodeToString(sum[:]) ||
				row.Size != int64(len(b)) {
				t.Errorf("%s: RECORD of %s has another hash or size for %s", what, w.name, row.Path)
			}
		}

		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s: RECORD of %s (-there +listed):\n%s", what, w.name, d)
		}
	}
}

// changes names what differs between two trees.
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
