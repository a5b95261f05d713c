package test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/layersmith/layersmith/internal/cli"
)

// TestHealOfNumpy breaks a layer of real wheels in ways that the plan cannot foresee: a removed file
// of a tests folder is imported by a computed name, and the error for another one does not name it.
func TestHealOfNumpy(t *testing.T) {
	if testing.Short() {
		t.Skip("needs real wheels")
	}

	dir := t.TempDir()
	layers := filepath.Join(dir, "layers")
	const was = "# what every analysis needs\nbytecode: none   # small\n"
	for name, text := range map[string]string{
		"workspace.yaml":        "targets: [python3.13-x86_64]\n",
		"core/requirements.txt": "numpy==2.5.5\n",
		"core/layer.yaml":       was,
		"core/probe.py": `import importlib
import numpy

natype = importlib.import_module(".".join(["numpy", "_core", "te" + "sts", "_natype"]))
assert natype.pd_NA is not None
try:
    open(numpy.__path__[0] + "/_core/te" + "sts/data/astype_copy.pkl", "rb").close()
except OSError:
    raise SystemExit("something is missing") from None
`,
	} {
		file := filepath.Join(layers, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}

		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}

	dist := filepath.Join(dir, "dist")
	args := []string{"build", "--workspace", layers, "--output", dist, "--cache", cache(t), "--quiet"}
	var out, diagnostics bytes.Buffer
	if code := cli.Main(args, cli.Streams{Out: &out, Err: &diagnostics}); code != 0 {
		t.Fatalf("exit %d\n%s", code, diagnostics.String())
	}

	b, err := os.ReadFile(filepath.Join(layers, "core", "layer.yaml"))
	if err != nil {
		t.Fatal(err)
	}

	added, ok := strings.CutPrefix(string(b), was+"keep:\n")
	lines := strings.Split(strings.TrimSpace(added), "\n")
	if !ok || len(lines) != 2 || !strings.Contains(lines[0], `"numpy/_core/tests/_natype.py"`) ||
		!strings.Contains(lines[1], `"numpy/_core/tests/data/astype_copy.pkl"`) {
		t.Errorf("layer.yaml is\n%s", b)
	}

	for _, want := range []string{
		"healed: core kept numpy/_core/tests/_natype.py (",
		"healed: core kept numpy/_core/tests/data/astype_copy.pkl (",
	} {
		if !strings.Contains(diagnostics.String(), want) {
			t.Errorf("stderr has no %q:\n%s", want, diagnostics.String())
		}
	}

	// A strict build may not heal. With the files kept it succeeds.
	layersmith(t, append(args, "--strict", "--clean")...)
}
