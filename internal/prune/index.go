package prune

import (
	"bytes"
	"context"
	"encoding/gob"
	"fmt"
	"sort"
	"strings"

	"github.com/layersmith/layersmith/internal/pyimport"
	"github.com/layersmith/layersmith/internal/ziptree"
)

// IndexVersion belongs to the key of cached indexes.
const IndexVersion = "imports-3"

// Index holds the references of the Python modules of one wheel, or of one prebuilt layer: to
// modules by import statements, to files by string literals. Files refer to names by their position
// in a table: a layer has about 100,000 references to 6,000 names.
type Index struct {
	Modules  []string
	Strings  []string
	Computed []string   // packages of computed module names
	Named    []string   // dotted names in string literals
	Parts    []string   // bare names given to path functions
	Files    []FileRefs // sorted by Path
}

// FileRefs are the references of one file.
type FileRefs struct {
	Path    string // relative to the site folder
	Modules []uint32
	Strings []uint32

	Computed []uint32
	Named    []uint32
	Parts    []uint32
	Walks    bool // lists the modules of a package: its own, as a rule
	Stub     bool // loads the .pyi file beside it (lazy_loader.attach_stub)
}

// NewIndex scans the Python sources among entries, whose names are relative to the site folder.
func NewIndex(ctx context.Context, entries []ziptree.Entry) (Index, error) {
	t := newTables()
	for _, e := range entries {
		if !strings.HasSuffix(e.Name, ".py") {
			continue
		}

		if err := ctx.Err(); err != nil {
			return Index{}, err
		}

		src, err := e.Bytes(pyimport.MaxSourceBytes)
		if err != nil {
			return Index{}, fmt.Errorf("index imports: %w", err)
		}

		scan, err := pyimport.Source(src)
		if err != nil {
			return Index{}, fmt.Errorf("index imports of %s: %w", e.Name, err)
		}

		t.add(e.Name, scan)
	}

	x := t.x
	sort.Slice(x.Files, func(i, j int) bool { return x.Files[i].Path < x.Files[j].Path })
	return x, nil
}

// tables make an Index: the numbers of the names in its tables.
type tables struct {
	x                                        Index
	modules, strings, computed, named, parts map[string]uint32
}

func newTables() *tables {
	return &tables{
		modules:  map[string]uint32{},
		strings:  map[string]uint32{},
		computed: map[string]uint32{},
		named:    map[string]uint32{},
		parts:    map[string]uint32{},
	}
}

// add adds the references of a file.
func (t *tables) add(file string, scan pyimport.Scan) {
	x := &t.x
	refs := FileRefs{Path: file, Stub: scan.StubLoader, Walks: scan.WalksPath}
	module, isPackage, _ := pyimport.ModuleName(file)
	seen := map[uint32]bool{}
	for _, i := range scan.Imports {
		for _, name := range i.Resolve(module, isPackage) {
			n := number(t.modules, &x.Modules, name)
			if !seen[n] {
				seen[n] = true
				refs.Modules = append(refs.Modules, n)
			}
		}
	}

	for _, s := range scan.Strings {
		refs.Strings = append(refs.Strings, number(t.strings, &x.Strings, s))
	}

	for _, c := range scan.Computed {
		if name, ok := absolute(c, module, isPackage); ok {
			refs.Computed = append(refs.Computed, number(t.computed, &x.Computed, name))
		}
	}

	for _, s := range scan.Named {
		if name, ok := absolute(s, module, isPackage); ok {
			refs.Named = append(refs.Named, number(t.named, &x.Named, name))
		}
	}

	for _, s := range scan.PathParts {
		refs.Parts = append(refs.Parts, number(t.parts, &x.Parts, s))
	}

	x.Files = append(x.Files, refs)
}

// absolute is the package of a computed name: ".sub" is relative to the package of the module that
// has it, and so is ".", which is the package itself.
func absolute(computed, module string, isPackage bool) (string, bool) {
	name := strings.TrimLeft(computed, ".")
	level := len(computed) - len(name)
	if level == 0 {
		return name, true
	}

	resolved := pyimport.Import{Level: level, Module: name}.Resolve(module, isPackage)
	if len(resolved) == 0 {
		return "", false
	}

	return resolved[len(resolved)-1], true
}

// number returns the position of a name in a table, appending it if it is new.
func number(numbers map[string]uint32, table *[]string, s string) uint32 {
	n, ok := numbers[s]
	if !ok {
		n = uint32(len(*table))
		numbers[s] = n
		*table = append(*table, s)
	}

	return n
}

// Encode returns the cached form (gob).
func (x Index) Encode() ([]byte, error) {
	var b bytes.Buffer
	err := gob.NewEncoder(&b).Encode(x)
	return b.Bytes(), err
}

// DecodeIndex reads the cached form. It fails if a file refers to a position outside the tables.
func DecodeIndex(b []byte) (Index, error) {
	var x Index
	if err := gob.NewDecoder(bytes.NewReader(b)).Decode(&x); err != nil {
		return Index{}, fmt.Errorf("read import index: %w", err)
	}

	for _, f := range x.Files {
		for _, t := range []struct {
			what string
			refs []uint32
			size int
		}{
			{"module", f.Modules, len(x.Modules)},
			{"string", f.Strings, len(x.Strings)},
			{"package", f.Computed, len(x.Computed)},
			{"name", f.Named, len(x.Named)},
			{"part", f.Parts, len(x.Parts)},
		} {
			for _, n := range t.refs {
				if int(n) >= t.size {
					return Index{}, fmt.Errorf("read import index: %s refers to %s %d of %d", f.Path, t.what, n, t.size)
				}
			}
		}
	}

	return x, nil
}

func (x Index) file(p string) (FileRefs, bool) {
	i := sort.Search(len(x.Files), func(i int) bool { return x.Files[i].Path >= p })
	if i < len(x.Files) && x.Files[i].Path == p {
		return x.Files[i], true
	}

	return FileRefs{}, false
}
