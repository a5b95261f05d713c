package prune_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/layersmith/layersmith/internal/policy"
	"github.com/layersmith/layersmith/internal/prune"
	"github.com/layersmith/layersmith/internal/ziptree"
)

// layerWith is a layer of files that something else built.
func layerWith(t *testing.T, files map[string]string) prune.Input {
	t.Helper()
	var entries []ziptree.Entry
	for name, content := range files {
		entries = append(entries, ziptree.File(name, []byte(content), false, "layer.zip"))
	}

	tree, err := ziptree.New(entries)
	if err != nil {
		t.Fatal(err)
	}

	return foreign(t, written(t, tree))
}

// A layer may have lib/ and bin/ beside python/. What lies there has names that python/lib/ and
// python/bin/ have too, and nobody indexes what it refers to.
func TestFilesOutsideOfTheSiteFolder(t *testing.T) {
	in := layerWith(t, map[string]string{
		"python/a.py":       "",
		"python/tests/x.py": "",
		"python/lib/x.so":   loadable(rngOf(1)),
		"python/bin/run.py": "",
		"lib/x.so": loadable(
			rngOf(2),
		),
		"bin/run.py":         "",
		"lib/tests/data.csv": "1",
		"lib/x.a":            "!<arch>",
		"lib/mod.py":         "import lib.tests",
		"lib/old.pyc":        bytecode(t, "python3.13-x86_64", 1),
	})
	p := planOf(t, in, policy.Settings{Keep: []policy.Choice{{Match: "bin/**", Reason: "ours"}}})
	const want = `kept (outside)/bin/run.py ours
kept (outside)/lib/mod.py
kept (outside)/lib/old.pyc there is no source that it could be made from
kept (outside)/lib/tests/data.csv references to it are unknown: it is outside the site folder
dropped (outside)/lib/x.a static-libraries
transformed (outside)/lib/x.so elf-strip
kept a.py
kept bin/run.py ours
transformed lib/x.so elf-strip
dropped tests/x.py tests
`
	if d := cmp.Diff(want, show(p)); d != "" {
		t.Error(d)
	}

	out := apply(t, p, &memory{})
	for _, name := range []string{"lib/x.so", "python/lib/x.so"} {
		before := content(t, in.Tree, name)
		after := content(t, out.Tree, name)
		if len(after) >= len(before) || !strings.HasPrefix(before[120:], after[120:]) {
			t.Errorf("%s has the bytes of another file (%d, %d)", name, len(before), len(after))
		}
	}

	for _, d := range p.KeptSources() {
		if strings.HasPrefix(d.Site, prune.Outside) {
			t.Errorf("%s has no name as a module, and is to be compiled", d.Site)
		}
	}
}

// The index reads sources. Where bytecode took their place, what tests folders hold may be needed
// by anything.
func TestPackagesWithoutSourcesKeepWhatRulesAboutReferencesWouldDrop(t *testing.T) {
	code := bytecode(t, "python3.13-x86_64", 1)
	in := layerWith(t, map[string]string{
		"python/sealed/__init__.pyc":   code,
		"python/sealed/a.pyc":          code,
		"python/sealed/tests/data.csv": "",
		"python/sealed/b.py":           "",
		"python/sealed/x.a":            "",
		"python/open/__init__.py":      "",
		"python/open/b.pyc":            code,
		"python/open/tests/data.csv":   "",
	})
	const want = `kept open/__init__.py
kept open/b.pyc there is no source that it could be made from
dropped open/tests/data.csv tests
kept sealed/__init__.pyc there is no source that it could be made from
kept sealed/a.pyc there is no source that it could be made from
kept sealed/b.py
kept sealed/tests/data.csv references to it are unknown: sealed has bytecode instead of sources
dropped sealed/x.a static-libraries
`
	if d := cmp.Diff(want, show(planOf(t, in, policy.Settings{}))); d != "" {
		t.Error(d)
	}
}
