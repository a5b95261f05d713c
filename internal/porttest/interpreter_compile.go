package porttest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/layersmith/layersmith/internal/engine"
	"github.com/layersmith/layersmith/internal/pyc"
	"github.com/layersmith/layersmith/internal/ziptree"
)

// compileRoot is where Lambda mounts the sources.
const compileRoot = "/opt/python/"

func sourceFile(name, source string) ziptree.Entry {
	return ziptree.File(name, []byte(source), "test")
}

// compile returns the bytecode of each source that compiles, and the reason for each that does not.
func (i interpreterTest) compile(
	optimize int, sources ...ziptree.Entry,
) (compiled map[string][]byte, failed map[string]string) {
	i.Helper()
	compiled = map[string][]byte{}
	failed = map[string]string{}
	var mu sync.Mutex
	succeeds(i, i.python().Compile(i.Context(), engine.CompileJob{
		Sources:  sources,
		Root:     compileRoot,
		Optimize: optimize,
		Emit: func(name string, b []byte) error {
			mu.Lock()
			defer mu.Unlock()

			compiled[name] = b
			return nil
		},
		Failed: func(name, reason string) {
			mu.Lock()
			defer mu.Unlock()

			failed[name] = reason
		},
	}))

	return compiled, failed
}

// compileTo compiles with an Emit of its own.
func (i interpreterTest) compileTo(ctx context.Context, emit func() error, sources ...ziptree.Entry) error {
	return i.python().Compile(ctx, engine.CompileJob{
		Sources: sources,
		Root:    compileRoot,
		Emit:    func(string, []byte) error { return emit() },
		Failed:  func(string, string) {},
	})
}

func (i interpreterTest) bytecode() {
	compiled, failed := i.compile(0, sourceFile("p/__init__.py", "def f():\n    return 1\n"))
	b := compiled["p/__init__.py"]
	if err := pyc.CheckHeader(b, i.target); err != nil || len(failed) > 0 {
		i.Fatal(err, failed)
	}

	if !bytes.Contains(b, []byte(compileRoot+"p/__init__.py")) {
		i.Error("the code does not have the name that it has on Lambda")
	}

	if here, err := os.Getwd(); err == nil && bytes.Contains(b, []byte(here)) {
		i.Error("the code has a path of this machine")
	}
}

func (i interpreterTest) noSource() {
	if compiled, failed := i.compile(0); len(compiled)+len(failed) > 0 {
		i.Error(compiled, failed)
	}
}

func (i interpreterTest) badSources() {
	compiled, failed := i.compile(0,
		sourceFile("py2.py", "print 'x'\n"),
		sourceFile("nul.py", "a = 1\x00"),
		sourceFile("enc.py", "# coding: no-such\n"),
		sourceFile("utf8.py", "x = '\xff'\n"),
		sourceFile("deep.py", strings.Repeat("(", 5000)+strings.Repeat(")", 5000)),
		sourceFile("good.py", "x = 1\n"),
		sourceFile("empty.py", ""),
		sourceFile("wörd.py", "é = 1\n"),
	)
	if got, want := fmt.Sprint(slices.Sorted(maps.Keys(compiled))), "[empty.py good.py wörd.py]"; got != want {
		i.Errorf("compiled %s, want %s", got, want)
	}

	want := "[deep.py enc.py nul.py py2.py utf8.py]"
	if got := fmt.Sprint(slices.Sorted(maps.Keys(failed))); got != want {
		i.Errorf("failed %s, want %s", got, want)
	}

	if !strings.Contains(failed["py2.py"], "SyntaxError") {
		i.Errorf("reason %q, want a SyntaxError", failed["py2.py"])
	}
}

func (i interpreterTest) optimization() {
	source := sourceFile("m.py",
		"def f(x):\n    '''Some documentation.'''\n    assert x, 'some assertion'\n    return 2\n")
	for optimize, want := range map[int]struct{ docstring, assertion bool }{
		0: {docstring: true, assertion: true},
		1: {docstring: true},
		2: {},
	} {
		compiled, _ := i.compile(optimize, source)
		docstring := bytes.Contains(compiled["m.py"], []byte("documentation"))
		assertion := bytes.Contains(compiled["m.py"], []byte("assertion"))
		if docstring != want.docstring || assertion != want.assertion {
			i.Errorf("-O%d keeps docstrings: %v, asserts: %v; want %+v", optimize, docstring, assertion, want)
		}
	}
}

// sameBytes compiles a source together with others that share its constants and names. Which other
// sources are compiled in the same process depends on what the cache has, so that must not change
// the bytecode.
func (i interpreterTest) sameBytes() {
	source := sourceFile("m.py", `import collections
Codec = 'latin_1'
IncrementalEncoder = decoding_table = 3
def f(x, unusual_name=2.5):
    unusual_name += 1
    return x in {'alpha', 'beta', 'gamma', 'delta', 'epsilon', 1, 2.5, None, (1, 'zeta')}
class StreamWriter:
    charmap_encode = f
`)
	latin := sourceFile("a.py",
		"# -*- coding: iso8859-15 -*-\nunusual_name = 'alpha'\ncharmap_encode = 'zeta'\n")
	codec := sourceFile("b.py", "import encodings.iso8859_15\nStreamWriter = 1\n")
	names := sourceFile("m2.py", "unusual_name = Codec = 3")

	want, _ := i.compile(0, source)
	for name, sources := range map[string][]ziptree.Entry{
		"alone again":    {source},
		"after another":  {latin, source},
		"before another": {source, latin},
		"after three":    {codec, latin, names, source},
	} {
		if got, _ := i.compile(0, sources...); !bytes.Equal(got["m.py"], want["m.py"]) {
			i.Errorf("%s: %d other bytes", name, len(got["m.py"]))
		}
	}
}

func (i interpreterTest) failingEmit() {
	failure := errors.New("disk full")
	var sources []ziptree.Entry
	for n := range 500 {
		sources = append(sources, sourceFile("m"+strconv.Itoa(n)+".py", "x = '"+strings.Repeat("y", 5000)+"'\n"))
	}

	err := i.compileTo(i.Context(), func() error { return failure }, sources...)
	if !errors.Is(err, failure) {
		i.Fatalf("error %v, want %v", err, failure)
	}
}

func (i interpreterTest) damagedSource() {
	damaged := sourceFile("bad.py", "x = 1\n")
	damaged.CRC32 ^= 1
	err := i.compileTo(i.Context(), func() error { return nil }, damaged)
	if err == nil || !strings.Contains(err.Error(), "bad.py") {
		i.Fatalf("error %v, want one that names bad.py", err)
	}
}

func (i interpreterTest) compileCanceled() {
	sources := []ziptree.Entry{sourceFile("a.py", "x = 1\n")}
	for n := range 2000 {
		content := "x = 1\n" + strings.Repeat("y = [1, 2]\n", 100)
		sources = append(sources, sourceFile("m"+strconv.Itoa(n)+".py", content))
	}

	ctx, cancel := context.WithCancel(i.Context())
	err := i.compileTo(ctx, func() error { cancel(); return nil }, sources...)
	if err != context.Canceled { //nolint:errorlint // a fault around it would report a failure
		i.Fatalf("error %v, want context.Canceled", err)
	}
}
