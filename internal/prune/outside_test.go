package prune_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/layersmith/layersmith/internal/policy"
	"github.com/layersmith/layersmith/internal/prune"
	"github.com/layersmith/layersmith/internal/ziptree"
)

// layerWith is a prebuilt layer with these files.
func layerWith(t *testing.T, files map[string]string) prune.Input {
	t.Helper()
	var entries []ziptree.Entry
	for name, content := range files {
		entries = append(entries, ziptree.File(name, []byte(content), "layer.zip"))
	}

	tree, err := ziptree.New(entries)
	if err != nil {
		t.Fatal(err)
	}

	return prebuilt(t, written(t, tree))
}

// A layer may have lib/ and bin/ next to python/. Their files must not be confused with those of
// python/lib/ and python/bin/. Their references are not indexed.
func TestFilesOutsideOfTheSiteFolder(t *testing.T) {
	in := layerWith(t, map[string]string{
		"python/a.py":         "",
		"python/tests/x.py":   "import pytest",
		"python/lib/x.so":     chanceOf(1).sharedObject(),
		"python/bin/run.py":   "",
		"lib/x.so":            chanceOf(2).sharedObject(),
		"bin/run.py":          "",
		"lib/tests/data.csv":  "1",
		"lib/tests/test_a.py": "",
		"lib/x.a":             "!<arch>",
		"lib/mod.py":          "import lib.tests",
		"lib/old.pyc":         bytecode(t, "python3.13-x86_64", 1),
	})
	p := planOf(t, in, policy.Settings{Keep: []policy.Choice{{Match: "bin/**", Reason: "ours"}}})
	const want = `kept (outside)/bin/run.py ours
kept (outside)/lib/mod.py
kept (outside)/lib/old.pyc there is no source that it could be made from
kept (outside)/lib/tests/data.csv references to it are unknown: it is outside the site folder
kept (outside)/lib/tests/test_a.py references to it are unknown: it is outside the site folder
dropped (outside)/lib/x.a static-libraries
transformed (outside)/lib/x.so elf-strip
kept a.py
kept bin/run.py ours
transformed lib/x.so elf-strip
dropped tests/x.py tests
`
	if d := cmp.Diff(want, show(p.Decisions())); d != "" {
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
			t.Errorf("%s has no module name and would be compiled", d.Site)
		}
	}
}

// The index reads sources. In a package with bytecode instead, any file may be referred to.
func TestSourcelessPackagesKeepFilesThatReferencesDecideAbout(t *testing.T) {
	code := bytecode(t, "python3.13-x86_64", 1)
	in := layerWith(t, map[string]string{
		"python/sealed/__init__.pyc":   code,
		"python/sealed/a.pyc":          code,
		"python/sealed/docs/index.rst": "",
		"python/sealed/b.py":           "",
		"python/sealed/x.a":            "",
		"python/open/__init__.py":      "",
		"python/open/b.pyc":            code,
		"python/open/tests/data.csv":   "",
		"python/open/tests/test_a.py":  "",
	})
	const want = `kept open/__init__.py
kept open/b.pyc there is no source that it could be made from
dropped open/tests/data.csv tests
dropped open/tests/test_a.py tests
kept sealed/__init__.pyc there is no source that it could be made from
kept sealed/a.pyc there is no source that it could be made from
kept sealed/b.py
kept sealed/docs/index.rst references to it are unknown: sealed has bytecode instead of sources
dropped sealed/x.a static-libraries
`
	if d := cmp.Diff(want, show(planOf(t, in, policy.Settings{}).Decisions())); d != "" {
		t.Error(d)
	}
}
