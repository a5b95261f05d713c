package prune

import (
	"bytes"
	"context"
	"encoding/gob"
	"fmt"
	"maps"
	"path"
	"slices"
	"sort"
	"strings"

	"github.com/layersmith/layersmith/internal/pyimport"
	"github.com/layersmith/layersmith/internal/sharedobj"
	"github.com/layersmith/layersmith/internal/ziptree"
)

// LinksVersion belongs to the key of cached Links.
const LinksVersion = "links-1"

// Links tell which libraries the files of one wheel load, and how. Every ELF file is inflated for
// them, so they are only read for layers where a rule asks.
type Links struct {
	Objects []Object // sorted by Path
	Loaders []Loader // sorted by Path
	Words   []string // what names of libraries may be made of, see words; of a wheel with loaders. Sorted
}

// Object is an ELF file that a loader can load.
type Object struct {
	Path    string // relative to the site folder
	Soname  string
	Needed  []string
	Names   []string // names of libraries that occur in it, of dlopen for example; without Soname and Needed
	Program bool     // has an interpreter, or is no library
	Module  bool     // defines PyInit_...: Python can import it
}

// Loader is a Python source that calls a function which loads libraries by name.
type Loader struct {
	Path      string
	Versioned bool // it has ".so." in it: it may compute the name of a version
}

// NewLinks reads the ELF files and Python sources among the entries of a wheel. Files that no
// loader could read are left out, and so are damaged ones, which are refused where they are used.
// The only error is that of the context.
func NewLinks(ctx context.Context, entries []ziptree.Entry, binaries Binaries) (Links, error) {
	var l Links
	programs := binaries.byPath()
	words := map[string]bool{}
	for _, e := range entries {
		if err := ctx.Err(); err != nil {
			return Links{}, err
		}

		if p, ok := programs[e.Name]; ok && p.Linux() && p.Loadable() {
			l.addObject(e)
		} else if strings.HasSuffix(e.Name, ".py") {
			l.addSource(e, words)
		}
	}

	if len(l.Loaders) > 0 {
		l.Words = slices.Sorted(maps.Keys(words))
	}

	sort.Slice(l.Objects, func(i, j int) bool { return l.Objects[i].Path < l.Objects[j].Path })
	sort.Slice(l.Loaders, func(i, j int) bool { return l.Loaders[i].Path < l.Loaders[j].Path })
	return l, nil
}

func (b Binaries) byPath() map[string]sharedobj.Program {
	m := make(map[string]sharedobj.Program, len(b.Files))
	for _, f := range b.Files {
		m[f.Path] = f.Program
	}

	return m
}

func (l *Links) addObject(e ziptree.Entry) {
	b, err := e.Bytes(maxTransformedBytes)
	if err != nil {
		return
	}

	f, err := sharedobj.Read(b)
	if err != nil {
		return
	}

	o := Object{Path: e.Name, Soname: f.Soname, Program: f.Interp != "" || f.Type == sharedobj.TypeExec}
	for _, n := range f.Needed {
		o.Needed = append(o.Needed, path.Base(n))
	}

	o.Names = slices.DeleteFunc(libraryNames(b), func(n string) bool {
		return n == o.Soname || slices.Contains(o.Needed, n)
	})
	o.Module = bytes.Contains(b, []byte("PyInit_"))
	l.Objects = append(l.Objects, o)
}

// libraryNames returns the distinct last path elements in a file that contain ".so", sorted.
func libraryNames(b []byte) []string {
	const maxName = 128 // longer ones are no file names of this kind
	var names []string
	for at := 0; ; {
		i := bytes.Index(b[at:], []byte(".so"))
		if i < 0 {
			break
		}

		from := at + i
		to := from + len(".so")
		for from > 0 && inLibraryName(b[from-1]) && to-from < maxName {
			from--
		}

		for to < len(b) && inLibraryName(b[to]) && to-from < maxName {
			to++
		}

		at = to
		if rest := b[from:to]; isLibraryName(string(rest)) {
			names = append(names, string(rest))
		}
	}

	slices.Sort(names)
	return slices.Compact(names)
}

func inLibraryName(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' ||
		c == '_' || c == '-' || c == '+' || c == '.'
}

// isLibraryName reports whether a name is that of a shared library: x.so, or x.so.1.2.
func isLibraryName(name string) bool {
	stem, version, found := strings.Cut(name, ".so")
	return found && stem != "" && (version == "" || version[0] == '.')
}

// loading are parts of the names of functions that load a library: ctypes.CDLL, PyDLL, WinDLL,
// cdll.LoadLibrary, cffi's dlopen, ctypes.util.find_library, numpy.ctypeslib.load_library.
var loading = [][]byte{
	[]byte("CDLL"), []byte("PyDLL"), []byte("LoadLibrary"), []byte("dlopen"), []byte("find_library"),
	[]byte("load_library"),
}

func (l *Links) addSource(e ziptree.Entry, words map[string]bool) {
	src, err := e.Bytes(pyimport.MaxSourceBytes)
	if err != nil {
		return
	}

	addWords(words, src)
	if slices.ContainsFunc(loading, func(name []byte) bool { return bytes.Contains(src, name) }) {
		l.Loaders = append(l.Loaders, Loader{Path: e.Name, Versioned: bytes.Contains(src, []byte(".so."))})
	}
}

// addWords adds what stands in a source between characters that names of libraries do not have, up
// to ".so": of "libx.so.1" it is libx.
func addWords(words map[string]bool, src []byte) {
	const maxWord = 60
	for from := 0; from < len(src); from++ {
		to := from
		for to < len(src) && inLibraryName(src[to]) {
			to++
		}

		word := src[from:to]
		if i := bytes.Index(word, []byte(".so")); i > 0 {
			word = word[:i]
		}

		if n := len(word); n > 0 && n <= maxWord && !words[string(word)] {
			words[string(word)] = true
		}

		from = to
	}
}

// Encode returns the cached form (gob).
func (l Links) Encode() ([]byte, error) { return encode(l) }

// DecodeLinks reads the cached form.
func DecodeLinks(b []byte) (l Links, err error) {
	if err := gob.NewDecoder(bytes.NewReader(b)).Decode(&l); err != nil {
		return Links{}, fmt.Errorf("read index of libraries: %w", err)
	}

	return l, nil
}
