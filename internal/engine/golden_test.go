package engine_test

import (
	"io"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/layersmith/layersmith/internal/digest"
	"github.com/layersmith/layersmith/internal/engine"
	"github.com/layersmith/layersmith/internal/memport"
	"github.com/layersmith/layersmith/internal/pydist"
	"github.com/layersmith/layersmith/internal/workspace"
	"github.com/layersmith/layersmith/internal/ziptree"
)

// The bytes of a layer that uses most rules. When this changes, layers that people have built
// change too: raise engine.EngineVersion, a rule's or a transform's version, or
// ziptree.DeflateVersion, whichever is the reason, so that earlier outputs and caches count as
// stale. Then write the new digest here.
func TestTheEngineGivesTheBytesOfItsVersions(t *testing.T) {
	t.Parallel()
	const version, want = 1, "044e71375f519fedd74f193019c7e580e62881181b68620933221614929472d3"
	if engine.EngineVersion != version {
		t.Fatalf("EngineVersion is %d: write it here, with the new digest", engine.EngineVersion)
	}

	files := map[string]string{
		"python/pkg/__init__.py":               "from . import core\n",
		"python/pkg/core.py":                   "from .tests import helper\n" + strings.Repeat("x = 1\n", 500),
		"python/pkg/core.pyi":                  "x: int\n",
		"python/pkg/tests/__init__.py":         "",
		"python/pkg/tests/helper.py":           "y = 2\n",
		"python/pkg/tests/test_core.py":        "import pytest\n",
		"python/pkg/docs/index.rst":            "Docs\n",
		"python/pkg/fast.c":                    "int f(void);\n",
		"python/pkg/data/table.json":           `{"documentation": "kept, this is not botocore"}`,
		"python/pkg-1.0.dist-info/METADATA":    "Metadata-Version: 2.1\nName: pkg\nVersion: 1.0\n",
		"python/pkg-1.0.dist-info/WHEEL":       "Wheel-Version: 1.0\n",
		"python/botocore/data/s3/1/a.json":     "{ \"documentation\": \"gone\", \"b\": [ 1, 2 ] }",
		"python/botocore/__init__.py":          "",
		"python/botocore-1.dist-info/METADATA": "Metadata-Version: 2.1\nName: botocore\nVersion: 1\n",
	}
	record := func(prefix, dir string) string {
		var b strings.Builder
		for _, name := range slices.Sorted(maps.Keys(files)) {
			if site, ok := strings.CutPrefix(name, "python/"); ok && strings.HasPrefix(site, prefix) {
				b.WriteString(site + ",,\n")
			}
		}

		return b.String() + dir + "/RECORD,,\n"
	}
	files["python/pkg-1.0.dist-info/RECORD"] = record("pkg", "pkg-1.0.dist-info")
	files["python/botocore-1.dist-info/RECORD"] = record("botocore", "botocore-1.dist-info")
	var entries []ziptree.Entry
	for _, name := range slices.Sorted(maps.Keys(files)) {
		entries = append(entries, ziptree.File(name, []byte(files[name]), "golden"))
	}

	tree, err := ziptree.New(entries)
	if err != nil {
		t.Fatal(err)
	}

	target, err := pydist.ParseTarget("python3.13-x86_64")
	if err != nil {
		t.Fatal(err)
	}

	h := digest.NewHasher()
	s := engine.Prune{Cache: &memport.Cache{}, NoPython: "none here", Progress: silent{}}
	r, err := s.Run(t.Context(), engine.PruneInput{
		Name:   "golden",
		Target: target,
		Tree:   tree,
		Spec:   workspace.Layer{Bytecode: workspace.NoBytecode},
		Write:  func(write func(io.Writer) error) error { return write(h) },
	})
	if err != nil {
		t.Fatal(err)
	}

	if got := h.Sum().String(); got != want {
		t.Errorf("got %s, want %s (%d files)", got, want, r.After.Files)
	}
}
