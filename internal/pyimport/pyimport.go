// Package pyimport scans Python source without an interpreter: which modules a file imports, and
// which of its string literals name files or folders. Pruning uses it to keep what kept code refers
// to.
//
// The rules follow the Python language reference, sections 2.1 (lines and indentation), 2.3 to 2.5
// (names and literals, nested f-strings included) and 7.11 (the import statement), and PEP 328,
// 498, 562, 701 and 750:
//   - `import` and `from` begin an import only where a statement can begin: at the start of a
//     logical line, after `;` or after the `:` of a block on one line. Imports nested in functions,
//     classes and branches count.
//   - A logical line continues inside brackets and after a backslash. LF, CR LF and a lone CR end a
//     line.
//   - Source is bytes. A byte of 0x80 or above is part of a name in every encoding.
//   - importlib.import_module, __import__ and pytest.importorskip count if their first argument is
//     one plain literal. Other arguments are ignored: leading dots are relative to the package of
//     the importing module.
//   - A string that begins a statement is documentation and names no file.
//
// Of a computed name the package is known if a literal has it: "plug.%s" % x, f"plug.{x}" and
// "plug." + x give plug.
//
// Deliberately not supported: names that are computed otherwise, exec and eval, entry points,
// Python 2's implicit relative imports, names that are equal only after Unicode normalization, and encodings in which a
// byte below 0x80 can be part of another character (Shift JIS, UTF-16). Invalid source gives some
// result in linear time and no error, because Python cannot import such a file anyway. All lists
// are in source order.
package pyimport

import (
	"fmt"
	"strings"
	"unicode"
)

// MaxSourceBytes limits one source file. The largest files in common wheels are generated tables of
// a few MB.
const MaxSourceBytes = 32 << 20

// Scan holds the references of one source file.
type Scan struct {
	Imports     []Import
	Strings     []string // distinct literals that look like a file name or a relative path: "descr/iris.rst"
	PathParts   []string // distinct bare names given to path functions: os.path.join(d, "include"), d / "include"
	GetAttrLazy bool     // binds __getattr__ at module level (PEP 562): attributes may load submodules
	Computed    []string // distinct packages of names that are computed: "plug" of "plug.%s" % x; ".sub" is relative
	Named       []string // distinct literals that are dotted names: "plug.backends.sql", ".sql"
	WalksPath   bool     // calls iter_modules or walk_packages, which find modules by their files
	StubLoader  bool     // calls lazy_loader's attach_stub, which reads the .pyi file next to the source at run time
}

// Import is one `import a.b` (one per name of the list), one `from a import b, c`, or one dynamic
// import.
type Import struct {
	Level  int      // number of leading dots, 0 for an absolute import
	Module string   // dotted; empty for `from . import x`
	Names  []string // imported names of a from-import, may be `*`; nil for `import a.b`
	Line   int      // of the statement's first token, or of the dynamic import's literal; the first line is 1
	// Guarded imports may be absent: they are inside a `try`, an `if TYPE_CHECKING` or an
	// `if __name__ == "__main__"`, at any depth.
	Guarded bool
	Dynamic bool // a call such as import_module("a"), not a statement
}

// Source scans one Python source file. The only error is more than MaxSourceBytes.
func Source(src []byte) (Scan, error) {
	if len(src) > MaxSourceBytes {
		return Scan{}, fmt.Errorf("scan Python source: %d bytes, limit %d", len(src), MaxSourceBytes)
	}

	s := newScanner(src)
	s.statements()
	return s.out, nil
}

// Resolve returns the dotted names that the import may load in the importing module: the module it
// names, that module's parents, and for each name of a from-import the submodule of that name. For
// a relative import, the parent packages of the importing module are left out, because they are
// already loaded, unless one is the named module:
//
//	import a.b         a, a.b
//	from a.b import c  a, a.b, a.b.c
//	from ..a import b  x.a, x.a.b      in x.y.z
//	from . import b    x.y, x.y.b      in x.y.z
//
// An import with more dots than parent packages resolves to nothing; Python raises ImportError.
func (i Import) Resolve(module string, isPackage bool) []string {
	base := ""
	if i.Level > 0 {
		up := i.Level
		if isPackage {
			up-- // in __init__, one dot is the package itself
		}

		var ok bool
		if base, ok = ancestor(module, up); !ok {
			return nil
		}
	}

	if i.Module != "" && !dotted(i.Module) || i.Module == "" && base == "" {
		return nil
	}

	named := join(base, i.Module)
	out := make([]string, 0, strings.Count(i.Module, ".")+1+len(i.Names))
	if i.Module != "" {
		first := len(named) - len(i.Module)
		for at := first; at < len(named); at++ {
			if named[at] == '.' {
				out = append(out, named[:at])
			}
		}
	}

	out = append(out, named)
	for _, name := range i.Names {
		if name != "*" && dotted(name) {
			out = append(out, named+"."+name)
		}
	}

	return out
}

// ancestor removes the last parts of a dotted name, as many as up. At least one part must remain.
func ancestor(module string, up int) (string, bool) {
	if !dotted(module) {
		return "", false
	}

	for ; up > 0; up-- {
		at := strings.LastIndexByte(module, '.')
		if at < 0 {
			return "", false
		}

		module = module[:at]
	}

	return module, true
}

func join(base, name string) string {
	if base == "" || name == "" {
		return base + name
	}

	return base + "." + name
}

// dotted reports whether every part of a dotted name is non-empty.
func dotted(name string) bool {
	return name != "" && name[0] != '.' && name[len(name)-1] != '.' && !strings.Contains(name, "..")
}

// ModuleName returns the module name of a file. The path is slash-separated and relative to a
// folder on sys.path. Modules are .py files and extension modules: .so, .abi3.so and
// .cpython-<tag>.so. ok is false for other files and if a part is not an identifier, because then
// no import statement can name the file ("numpy.libs/libgfortran.so").
func ModuleName(file string) (module string, isPackage, ok bool) {
	stem, found := strings.CutSuffix(file, ".py")
	if !found {
		if stem, found = strings.CutSuffix(file, ".so"); !found {
			return "", false, false
		}

		tagAt := strings.LastIndexByte(stem, '.')
		if tagAt > strings.LastIndexByte(stem, '/') {
			if tag := stem[tagAt+1:]; tag == "abi3" || strings.HasPrefix(tag, "cpython-") {
				stem = stem[:tagAt]
			}
		}
	}

	parts := strings.Split(stem, "/")
	if parts[len(parts)-1] == "__init__" {
		parts = parts[:len(parts)-1]
		isPackage = true
	}

	for _, part := range parts {
		if !identifier(part) {
			return "", false, false
		}
	}

	if len(parts) == 0 {
		return "", false, false
	}

	return strings.Join(parts, "."), isPackage, true
}

// identifier reports whether a name is a Python identifier, approximately for letters outside
// ASCII.
func identifier(name string) bool {
	for i, r := range name {
		if r == '_' || unicode.IsLetter(r) || i > 0 && (unicode.IsDigit(r) || unicode.IsMark(r)) {
			continue
		}

		return false
	}

	return name != ""
}
