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

// Index says what the Python modules of one wheel (or one foreign layer) refer to: modules by
// import statements, files by string literals. Names are in tables, files refer to them by number:
// a layer has a hundred thousand references to six thousand names.
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
	Stub    bool // it reads the .pyi file beside it
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

func number(numbers map[string]uint32, table *[]string, s string) uint32 {
	n, ok := numbers[s]
	if !ok {
		n = uint32(len(*table))
		numbers[s] = n
		*table = append(*table, s)
	}

	return n
}

// Encode is the cached form.
func (x Index) Encode() ([]byte, error) {
	var b bytes.Buffer
	err := gob.NewEncoder(&b).Encode(x)
	return b.Bytes(), err
}

// DecodeIndex reads the cached form; it checks all numbers.
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

// candidates are the files that rules want to drop, found by the names that a reference may have
// for them.
type candidates struct {
	byModule map[string][]int
	byPath   map[string]int
	byBase   map[string]bool
}

func newCandidates() candidates {
	return candidates{map[string][]int{}, map[string]int{}, map[string]bool{}}
}

func (c candidates) add(i int, site string) {
	if module, _, ok := pyimport.ModuleName(site); ok {
		c.byModule[module] = append(c.byModule[module], i)
	}

	c.byPath[site] = i
	c.byBase[path.Base(site)] = true
}

// inFolder lists the candidates directly in a folder, in the order of their names.
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

// targets are the candidates that each name of an index's tables stands for; most names stand for
// none.
type targets struct {
	index   Index
	modules [][]int
	strings []bool
}

func (c candidates) resolve(x Index) targets {
	t := targets{index: x, modules: make([][]int, len(x.Modules)), strings: make([]bool, len(x.Strings))}
	for i, m := range x.Modules {
		t.modules[i] = c.byModule[m]
	}

	for i, s := range x.Strings {
		t.strings[i] = c.byBase[path.Base(s)]
	}

	return t
}

// referred calls found for every candidate that the file refers to.
func (c candidates) referred(t targets, f FileRefs, found func(int)) {
	for _, n := range f.Modules {
		for _, i := range t.modules[n] {
			found(i)
		}
	}

	for _, n := range f.Strings {
		if !t.strings[n] {
			continue
		}

		// A literal is relative to the file's folder, to one above it, or to the site folder.
		for dir := path.Dir(f.Path); ; dir = path.Dir(dir) {
			if i, ok := c.byPath[path.Join(dir, t.index.Strings[n])]; ok {
				found(i)
			}

			if dir == "." {
				break
			}
		}
	}

	if f.Stub {
		if i, ok := c.byPath[strings.TrimSuffix(f.Path, ".py")+".pyi"]; ok {
			found(i)
		}
	}
}
