package prune_test

import (
	"fmt"
	"math/rand"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/layersmith/layersmith/internal/policy"
	"github.com/layersmith/layersmith/internal/prune"
	"github.com/layersmith/layersmith/internal/pyimport"
	"github.com/layersmith/layersmith/internal/ziptree"
)

var (
	someFolders = []string{"", "tests/", "docs/", "docs/tests/", "core/", "core/tests/", "core/examples/", "extra/", "extra/test/", "_lib/", "tests/deeper/"}
	someFiles   = []string{"__init__.py", "a.py", "b.py", "c.py", "conftest.py", "a.pyi", "x.csv", "y.c", "z.so", "a.pyc", "__pycache__/b.cpython-313.pyc", "lib.a"}
)

// someWheels are two small packages with imports at random, most of them of files that exist.
func someWheels(t testing.TB, r *rand.Rand) []source {
	var modules, files []string
	wheels := []source{{name: "alpha", version: "1.0", files: map[string]string{}}, {name: "beta", version: "2.0", files: map[string]string{}}}
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
					fmt.Fprintf(&b, "def f():\n    from %s import %s\n", m[:max(at, 0)]+m[:len(m)*min(1, max(-at, 0))], "x, "+m[at+1:])
				case 2:
					fmt.Fprintf(&b, "from .%s import %s\n", some([]string{"", ".", "tests", ".tests", "docs", "core"}), some([]string{"a", "b", "tests", "x"}))
				case 3:
					fmt.Fprintf(&b, "DATA = %q\n", some([]string{"tests/x.csv", "x.csv", "../x.csv", "core/tests/x.csv", "alpha/docs/x.csv"}))
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
		wheels, settings := someWheels(t, r), someSettings(r)
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

		// No kept source refers to something that a rule dropped, computed from the sources and not from the index.
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
