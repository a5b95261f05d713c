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
const IndexVersion = "imports-2"

// Index holds the references of the Python modules of one wheel, or of one prebuilt layer: to
// modules by import statements, to files by string literals. Files refer to names by their position
// in a table: a layer has about 100,000 references to 6,000 names.
type Index struct {
	Modules  []string
	Strings  []string
	Computed []string   // packages of computed module names
	Files    []FileRefs // sorted by Path
}

// FileRefs are the references of one file.
type FileRefs struct {
	Path    string // relative to the site folder
	Modules []uint32
	Strings []uint32

	Computed []uint32
	Walks    bool // lists the modules of a package: its own, as a rule
	Stub     bool // loads the .pyi file beside it (lazy_loader.attach_stub)
}

// NewIndex scans the Python sources among entries, whose names are relative to the site folder.
func NewIndex(ctx context.Context, entries []ziptree.Entry) (Index, error) {
	var x Index
	modules := map[string]uint32{}
	strs := map[string]uint32{}
	packages := map[string]uint32{}
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

		refs := FileRefs{Path: e.Name, Stub: scan.StubLoader, Walks: scan.WalksPath}
		module, isPackage, _ := pyimport.ModuleName(e.Name)
		seen := map[uint32]bool{}
		for _, i := range scan.Imports {
			for _, name := range i.Resolve(module, isPackage) {
				n := number(modules, &x.Modules, name)
				if !seen[n] {
					seen[n] = true
					refs.Modules = append(refs.Modules, n)
				}
			}
		}

		for _, s := range scan.Strings {
			refs.Strings = append(refs.Strings, number(strs, &x.Strings, s))
		}

		for _, c := range scan.Computed {
			if name, ok := absolute(c, module, isPackage); ok {
				refs.Computed = append(refs.Computed, number(packages, &x.Computed, name))
			}
		}

		x.Files = append(x.Files, refs)
	}

	sort.Slice(x.Files, func(i, j int) bool { return x.Files[i].Path < x.Files[j].Path })
	return x, nil
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
		for _, n := range f.Modules {
			if int(n) >= len(x.Modules) {
				return Index{}, fmt.Errorf("read import index: %s refers to module %d of %d", f.Path, n, len(x.Modules))
			}
		}

		for _, n := range f.Strings {
			if int(n) >= len(x.Strings) {
				return Index{}, fmt.Errorf("read import index: %s refers to string %d of %d", f.Path, n, len(x.Strings))
			}
		}

		for _, n := range f.Computed {
			if int(n) >= len(x.Computed) {
				return Index{}, fmt.Errorf("read import index: %s refers to package %d of %d",
					f.Path, n, len(x.Computed))
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
