package engine

import (
	"context"
	"strings"
	"testing"

	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/pydist"
	"github.com/layersmith/layersmith/internal/ziptree"
)

func treeOf(t *testing.T, names string) ziptree.Tree {
	t.Helper()
	var entries []ziptree.Entry
	for _, n := range strings.Fields(names) {
		entries = append(entries, ziptree.File(n, []byte(n), "layer.zip"))
	}

	tree, err := ziptree.New(entries)
	if err != nil {
		t.Fatal(err)
	}

	return tree
}

func TestWhereALayerHasItsPackages(t *testing.T) {
	t.Parallel()
	target, err := pydist.ParseTarget("python3.13-x86_64")
	if err != nil {
		t.Fatal(err)
	}

	const deep = "python/lib/python3.13/site-packages/"
	for sentence, tt := range map[string]struct{ files, prefix, err string }{
		"below python/": {"python/a.py python/a-1.dist-info/METADATA", "python/", ""},
		"below the interpreter's own folder": {
			deep + "a/__init__.py " + deep + "a-1.dist-info/METADATA",
			deep,
			"",
		},
		"for several Pythons, this one too":   {deep + "a.py python/lib/python3.12/site-packages/a.py", deep, ""},
		"at the root of a function's package": {"app.py a-1.dist-info/METADATA", "", ""},
		"a package that has a folder python": {
			"app.py google/protobuf/python/x.py google/protobuf/python/y-1.dist-info/METADATA",
			"",
			"",
		},
		"a package that carries another's": {
			"python/a/__init__.py python/a/_vendor/b-1.dist-info/METADATA",
			"python/",
			"",
		},
		"a namespace package without metadata": {"python/google/cloud/a.py", "python/", ""},
		"bytecode instead of its source": {
			"python/a.pyc python/x/python/b-1.dist-info/METADATA",
			"python/",
			"",
		},
		"shared libraries only": {"lib/libx.so", "", ""},
		"nothing":               {"", "", ""},
		"another Python's folder": {
			"python/lib/python3.12/site-packages/a.py",
			"python/",
			"its packages lie in python/lib/python3.12/site-packages/, where python3.13 does not look",
		},
		"another Python's folder, and a module": {
			"python/b.py python/lib/python3.12/site-packages/a.py",
			"python/",
			"its packages lie in python/lib/python3.12/site-packages/, where python3.13 does not look",
		},
		"a folder around the layer": {
			"mine/python/a.py mine/README",
			"",
			"its packages lie in mine/python/, where Lambda does not look",
		},
		"a folder around what pip installed": {
			"mine/a.py mine/a-1.dist-info/METADATA",
			"",
			"its packages lie in mine/, where Lambda does not look",
		},
		"a folder around a package in the layer": {
			"python/mine/a/b.py python/mine/a-1.dist-info/METADATA",
			"python/",
			"its packages lie in python/mine/, where Lambda does not look",
		},
		"a pex, whatever else there is": {
			"PEX-INFO __main__.py .deps/a/a-1.dist-info/METADATA",
			"",
			"it is a pex (it has PEX-INFO): its packages lie in .deps/, which Lambda does not put on sys.path",
		},
		"a file that is called as pex's, elsewhere": {"python/a.py python/PEX-INFO", "python/", ""},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			tree := treeOf(t, tt.files)
			place := placeOf(tree, target)
			if place.Prefix != tt.prefix {
				t.Errorf("site folder %q, want %q", place.Prefix, tt.prefix)
			}

			err := misplaced(tree, target, place)
			if tt.err == "" {
				if err != nil {
					t.Error(err)
				}

				return
			}

			if err == nil || err.Error() != "open layer.zip: "+tt.err || fault.CodeOf(err) != fault.BadInput ||
				fault.HintOf(err) == "" {
				t.Errorf("%v (%s, hint %q), want %q", err, fault.CodeOf(err), fault.HintOf(err), tt.err)
			}
		})
	}
}

func TestEveryFileOfAPrebuiltLayerIsRead(t *testing.T) {
	t.Parallel()
	sound := treeOf(t, "a b c d e")
	sums, err := recordHashes(context.Background(), sound)
	if err != nil || len(sums) != 5 ||
		// printf a | sha256sum | xxd -r -p | basenc --base64url
		sums["a"] != "ypeBEsobvcr6wjGzmiPcTaeG7_gUfE5yuYB3ha_uSLs" {
		t.Errorf("%v, %v", sums, err)
	}

	var entries []ziptree.Entry
	for _, e := range sound.Entries() {
		if e.Name == "b" || e.Name == "d" {
			e.CRC32++
		}

		entries = append(entries, e)
	}

	broken, err := ziptree.New(entries)
	if err != nil {
		t.Fatal(err)
	}

	for range 20 { // in whichever order they are read
		_, err := recordHashes(context.Background(), broken)
		if fault.CodeOf(err) != fault.CorruptArchive ||
			!strings.HasPrefix(err.Error(), "open layer.zip: read b: CRC-32 ") {
			t.Fatal(err)
		}
	}

	stopped, stop := context.WithCancel(context.Background())
	stop()
	if _, err := recordHashes(stopped, sound); err != context.Canceled {
		t.Error(err)
	}
}
