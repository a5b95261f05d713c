// Package pyimport reads Python source without Python: which modules a file imports, and which of
// its string literals name files or folders. It answers one question for the optimizer: what does
// kept code refer to?
//
// The rules follow the Python language reference, sections 2.1 (lines and indentation), 2.3 to 2.5
// (names and literals, nested f-strings included) and 7.11 (the import statement), and PEP 328,
// 498, 562, 701 and 750:
//   - `import` and `from` begin an import only where a statement can begin: at the start of a logical line, after `;`
//     or after the `:` of a block on one line. Imports nested in functions, classes and branches count.
//   - A logical line goes on inside brackets and after a backslash. LF, CR LF and a lone CR end a line.
//   - Source is bytes. A byte of 0x80 or above is part of a name, whatever the declared encoding.
//   - importlib.import_module, __import__ and pytest.importorskip count when their first argument is one plain literal.
//     The other arguments are not read: leading dots start from the package of the importing module.
//   - A string that begins a statement is documentation and names no file.
//
// Not seen, on purpose: computed names, exec and eval, entry points, Python 2's implicit relative
// imports, names that are equal only after Unicode normalization, and encodings in which a byte
// below 0x80 can be part of another character (Shift JIS, UTF-16). Source that no Python accepts
// gives some answer in linear time, without an error: nothing imports such a file. All lists are in
// source order.
package pyimport

import (
	"fmt"
	"strings"
	"unicode"
)

// MaxSourceBytes limits one source file. The largest in common wheels are generated tables of a few
// MB.
const MaxSourceBytes = 32 << 20

// Scan is what one source file refers to.
type Scan struct {
	Imports     []Import
	Strings     []string // distinct literals that look like a file name or a relative path: "descr/iris.rst"
	PathParts   []string // distinct bare names given to path functions: os.path.join(d, "include"), d / "include"
	GetAttrLazy bool     // binds __getattr__ at module level (PEP 562): attributes may load submodules
	StubLoader  bool     // calls attach_stub(, as lazy_loader's users do: the .pyi beside it is read at run time
}

// Import is one `import a.b` (one per name of the list), one `from a import b, c`, or one dynamic
// import.
type Import struct {
	Level  int      // leading dots, 0 is absolute
	Module string   // dotted; empty for `from . import x`
	Names  []string // what a from-import names, `*` included; nil for `import a.b`
	Line   int      // of the statement's first token, or of the dynamic import's literal; the first line is 1
	// Guarded imports may be absent: they stand inside the body of a `try`, of `if TYPE_CHECKING`
	// or of `if __name__ == "__main__"`, at any depth.
	Guarded bool
	Dynamic bool // a call with a literal name, not a statement
}

// Source scans one Python source file. Its only error is a source of more than MaxSourceBytes.
func Source(src []byte) (Scan, error) {
	if len(src) > MaxSourceBytes {
		return Scan{}, fmt.Errorf("scan Python source: %d bytes, limit %d", len(src), MaxSourceBytes)
	}

	s := newScanner(src)
	s.statements()
	return s.out, nil
}

// Resolve returns the dotted names that the import may load when it stands in module: the module
// that it names, that module's parents, and for each name of a from-import the submodule that it
// would be. Of a relative import, packages around the importing module are left out, since they are
// loaded already, unless one is itself the module named:
//
//	import a.b         a, a.b
//	from a.b import c  a, a.b, a.b.c
//	from ..a import b  x.a, x.a.b      in x.y.z
//	from . import b    x.y, x.y.b      in x.y.z
//
// More dots than there are packages name nothing, as Python raises ImportError.
func (i Import) Resolve(module string, isPackage bool) []string {
	base := ""
	if i.Level > 0 {
		up := i.Level
		if isPackage {
			up-- // a package's own name is what one dot means in its __init__
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

// ancestor removes the last up parts of a dotted name. At least one has to be left.
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

// dotted reports whether no part of a dotted name is empty.
func dotted(name string) bool {
	return name != "" && name[0] != '.' && name[len(name)-1] != '.' && !strings.Contains(name, "..")
}

// ModuleName returns the name under which Python imports the file at a slash-separated path
// relative to a folder of sys.path. Besides .py files, extension modules count: .so, .abi3.so and
// .cpython-<tag>.so. ok is false for other files, and where a part is not an identifier, so that no
// import statement can name it ("numpy.libs/libgfortran.so").
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

func identifier(name string) bool {
	for i, r := range name {
		if r == '_' || unicode.IsLetter(r) || i > 0 && (unicode.IsDigit(r) || unicode.IsMark(r)) {
			continue
		}

		return false
	}

	return name != ""
}
