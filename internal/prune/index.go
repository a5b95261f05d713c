package prune

import (
	"bytes"
	"context"
	"encoding/gob"
	"fmt"
	"path"
	"sort"
	"strings"

	"github.com/layersmith/layersmith/internal/pyimport"
	"github.com/layersmith/layersmith/internal/ziptree"
)

// IndexVersion belongs to the key of cached indexes.
const IndexVersion = "imports-1"

// Index holds the references of the Python modules of one wheel, or of one prebuilt layer: to
// modules by import statements, to files by string literals. Files refer to names by their position
// in a table: a layer has about 100,000 references to 6,000 names.
type Index struct {
	Modules []string
	Strings []string
	Files   []FileRefs // sorted by Path
}

// FileRefs are the references of one file.
type FileRefs struct {
	Path    string // relative to the site folder
	Modules []uint32
	Strings []uint32
	Stub    bool // loads the .pyi file beside it (lazy_loader.attach_stub)
}

// NewIndex scans the Python sources among entries, whose names are relative to the site folder.
func NewIndex(ctx context.Context, entries []ziptree.Entry) (Index, error) {
	var x Index
	modules := map[string]uint32{}
	strs := map[string]uint32{}
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

		refs := FileRefs{Path: e.Name, Stub: scan.StubLoader}
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

		x.Files = append(x.Files, refs)
	}

	sort.Slice(x.Files, func(i, j int) bool { return x.Files[i].Path < x.Files[j].Path })
	return x, nil
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

// candidates are the files that rules want to drop, by the names that references use. Values are
// positions in Plan.decisions.
type candidates struct {
	byModule map[string][]int
	byPath   map[string]int
	byBase   map[string]bool // last elements of paths
}

func newCandidates() candidates {
	return candidates{byModule: map[string][]int{}, byPath: map[string]int{}, byBase: map[string]bool{}}
}

func (c candidates) add(i int, site string) {
	if module, _, ok := pyimport.ModuleName(site); ok {
		c.byModule[module] = append(c.byModule[module], i)
	}

	c.byPath[site] = i
	c.byBase[path.Base(site)] = true
}

// inFolder returns the candidates directly in a folder, sorted by name.
func (c candidates) inFolder(dir string) []int {
	var in []int
	for p, i := range c.byPath {
		if path.Dir(p) == dir {
			in = append(in, i)
		}
	}

	sort.Ints(in)
	return in
}

// resolvedIndex is an index and, by position in its tables, the candidates that a name can refer
// to. Most names refer to none.
type resolvedIndex struct {
	index   Index
	modules [][]int
	strings []bool // whether a candidate has the same last path element
}

func (c candidates) resolve(x Index) resolvedIndex {
	r := resolvedIndex{index: x, modules: make([][]int, len(x.Modules)), strings: make([]bool, len(x.Strings))}
	for i, m := range x.Modules {
		r.modules[i] = c.byModule[m]
	}

	for i, s := range x.Strings {
		r.strings[i] = c.byBase[path.Base(s)]
	}

	return r
}

// eachReferenced calls found for every candidate that the file refers to.
func (c candidates) eachReferenced(r resolvedIndex, f FileRefs, found func(int)) {
	for _, n := range f.Modules {
		for _, i := range r.modules[n] {
			found(i)
		}
	}

	for _, n := range f.Strings {
		if r.strings[n] {
			c.eachNamed(f.Path, r.index.Strings[n], found)
		}
	}

	if f.Stub {
		if i, ok := c.byPath[strings.TrimSuffix(f.Path, ".py")+".pyi"]; ok {
			found(i)
		}
	}
}

// eachNamed calls found for every candidate that a string literal in a file may name. The literal
// is taken relative to the file's folder, and to each folder above it up to the site folder.
func (c candidates) eachNamed(file, literal string, found func(int)) {
	for dir := path.Dir(file); ; dir = path.Dir(dir) {
		if i, ok := c.byPath[path.Join(dir, literal)]; ok {
			found(i)
		}

		if dir == "." {
			return
		}
	}
}
