package functions_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/layersmith/layersmith/internal/digest"
	"github.com/layersmith/layersmith/internal/release"
	"github.com/layersmith/layersmith/internal/testenv/functions"
	"github.com/layersmith/layersmith/internal/testenv/host"
	"github.com/layersmith/layersmith/internal/testenv/runtimeapi"
	"github.com/layersmith/layersmith/internal/tools/onelayer"
	"github.com/layersmith/layersmith/internal/workflow"
)

// root is the repository. folder has the programs; TestMain makes and removes it.
var root, folder string

func TestMain(m *testing.M) {
	code, err := func() (int, error) {
		var err error
		if root, err = filepath.Abs(filepath.Join("..", "..")); err != nil {
			return 1, err
		}

		if folder, err = os.MkdirTemp("", "functions-*"); err != nil {
			return 1, err
		}

		defer os.RemoveAll(folder)
		return host.Main(m), nil
	}()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	}

	os.Exit(code)
}

// built builds the programs once for all tests.
var built = sync.OnceValues(func() (functions.Programs, error) {
	return functions.Build(context.Background(), root, folder)
})

// stack is the programs and an empty account.
func stack(t *testing.T) functions.Stack {
	t.Helper()
	if testing.Short() {
		t.Skip("short: builds all functions")
	}

	p, err := built()
	if err != nil {
		t.Fatal(err)
	}

	a, err := functions.NewAccount()
	if err != nil {
		t.Fatal(err)
	}

	t.Cleanup(a.Close)
	return functions.Stack{Programs: p, Account: a}
}

// start starts a function of the stack.
func start(
	t *testing.T,
	s functions.Stack,
	function string,
	timeout time.Duration,
	env map[string]string,
) *runtimeapi.Function {
	t.Helper()
	f, err := s.Start(t.Context(), function, timeout, env)
	if err != nil {
		t.Fatal(err)
	}

	t.Cleanup(func() { f.Close() })
	return f
}

// call is one invocation that must succeed.
func call[Out any](t *testing.T, f *runtimeapi.Function, in any) Out {
	t.Helper()
	out, _, err := functions.Invoke[Out](f, in)
	if err != nil {
		t.Fatal(err)
	}

	return out
}

func cache(t *testing.T) string {
	t.Helper()
	dir, err := onelayer.Cache()
	if err != nil {
		t.Fatal(err)
	}

	return dir
}

// copyOf copies a workspace, so that a build may write its lock.
func copyOf(t *testing.T, files fs.FS) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "layers")
	if err := os.CopyFS(dir, files); err != nil {
		t.Fatal(err)
	}

	return dir
}

// builtLocally runs `layersmith build` on a locked workspace and returns the digest of each zip by
// layer.
func builtLocally(t *testing.T, s functions.Stack, workspace string) map[string]digest.SHA256 {
	t.Helper()
	out := t.TempDir()
	c := exec.CommandContext(t.Context(), s.CLI(), "build", "--workspace", workspace, "--output", out,
		"--cache", cache(t), "--no-probe", "--quiet")
	c.Dir = t.TempDir()
	if text, err := c.CombinedOutput(); err != nil {
		t.Fatalf("layersmith build: %v\n%s", err, text)
	}

	zips, err := filepath.Glob(filepath.Join(out, "*.zip"))
	if err != nil {
		t.Fatal(err)
	}

	sums := map[string]digest.SHA256{}
	for _, z := range zips {
		b, err := os.ReadFile(z)
		if err != nil {
			t.Fatal(err)
		}

		sums[strings.TrimSuffix(filepath.Base(z), "-python3.13-x86_64.zip")] = digest.Of(b)
	}

	return sums
}

// chain pushes a workspace and runs the stages from Intake to Measure, on warm processes as in
// Lambda. It returns the items of both maps.
func chain(t *testing.T, s functions.Stack, workspace, run string) (pruned, measured []workflow.Item) {
	t.Helper()
	if err := s.Push(os.DirFS(workspace)); err != nil {
		t.Fatal(err)
	}

	if err := s.Begin(t.Context(), run); err != nil {
		t.Fatal(err)
	}

	if err := s.Artifacts(t.Context(), run, cache(t)); err != nil {
		t.Fatal(err)
	}

	selected, err := s.Select(t.Context(), run)
	if err != nil {
		t.Fatal(err)
	}

	if !selected.Changed {
		t.Fatalf("select says that nothing changed: %s", selected.Summary)
	}

	prune := start(t, s, "prune", 5*time.Minute, nil)
	measure := start(t, s, "measure", 5*time.Minute, nil)
	for _, item := range selected.Layers {
		pruned = append(pruned, call[workflow.Item](t, prune, workflow.LayerInput{Run: run, Layer: item}))
	}

	for _, item := range pruned {
		measured = append(measured,
			call[workflow.Item](t, measure, workflow.StackInput{Run: run, Layer: item, Layers: pruned}))
	}

	return pruned, measured
}

// sameBytes compares the zips in the store with those of a local build.
func sameBytes(t *testing.T, s functions.Stack, want map[string]digest.SHA256, pruned []workflow.Item) {
	t.Helper()
	if len(pruned) != len(want) || len(want) == 0 {
		t.Fatalf("%d layers pruned, %d built locally", len(pruned), len(want))
	}

	for _, item := range pruned {
		doc, zipped, err := s.Pruned(item)
		if err != nil {
			t.Fatal(err)
		}

		got := digest.Of(zipped)
		if got != want[item.Layer] || got != doc.Zip.SHA256 || int64(len(zipped)) != doc.Zip.Size ||
			doc.Zip.Key != "pruned/"+got.String()+".zip" {
			t.Errorf("%s: the store has %d bytes with sha256 %s at %s, a local build gives %s",
				item.Layer, len(zipped), got, doc.Zip.Key, want[item.Layer])
		}
	}
}

// The three layers of this repository, from their upload to their measurement, through the real
// functions: the bytes that would be published are those of a local build.
func TestFunctionsGiveTheBytesOfALocalBuild(t *testing.T) {
	s := stack(t)
	workspace := copyOf(t, os.DirFS(filepath.Join(root, "layers")))
	pruned, measured := chain(t, s, workspace, "real")
	sameBytes(t, s, builtLocally(t, s, workspace), pruned)

	for i, item := range measured {
		checkMeasured(t, s, pruned[i], item)
	}

	t.Run("a stage that is tried again gives the same item", func(t *testing.T) {
		again := start(t, s, "prune", 5*time.Minute, nil)
		measure := start(t, s, "measure", 5*time.Minute, nil)
		selected, err := s.Select(t.Context(), "real")
		if err != nil {
			t.Fatal(err)
		}

		smallest := slices.IndexFunc(selected.Layers, func(i workflow.Item) bool { return i.Layer == "aws-utilities" })
		got := call[workflow.Item](t, again, workflow.LayerInput{Run: "real", Layer: selected.Layers[smallest]})
		if got != pruned[smallest] {
			t.Errorf("%+v, first %+v", got, pruned[smallest])
		}

		got = call[workflow.Item](t, measure, workflow.StackInput{Run: "real", Layer: pruned[smallest], Layers: pruned})
		if got != measured[smallest] {
			t.Errorf("%+v, first %+v", got, measured[smallest])
		}
	})
	t.Run("a deadline is a fault, not a kill", func(t *testing.T) {
		selected, err := s.Select(t.Context(), "real")
		if err != nil {
			t.Fatal(err)
		}

		largest := slices.IndexFunc(selected.Layers, func(i workflow.Item) bool { return i.Layer == "ml-libraries" })
		for function, in := range map[string]any{
			"prune":   workflow.LayerInput{Run: "real", Layer: selected.Layers[largest]},
			"measure": workflow.StackInput{Run: "real", Layer: pruned[largest], Layers: pruned},
		} {
			// lambdamain keeps half a second, and the stage gets a tenth of what it needs or less.
			f := start(t, s, function, 600*time.Millisecond, nil)
			wantFault(t, function, failure(t, f, in), "TimedOut", "give the function more memory")
		}
	})
	t.Run("no file is left behind", func(t *testing.T) {
		temp := t.TempDir()
		f := start(t, s, "prune", 5*time.Minute, map[string]string{"TMPDIR": temp})
		selected, err := s.Select(t.Context(), "real")
		if err != nil {
			t.Fatal(err)
		}

		smallest := slices.IndexFunc(selected.Layers, func(i workflow.Item) bool { return i.Layer == "aws-utilities" })
		call[workflow.Item](t, f, workflow.LayerInput{Run: "real", Layer: selected.Layers[smallest]})
		if left, err := os.ReadDir(temp); err != nil || len(left) > 0 {
			t.Errorf("/tmp holds %v, %v", left, err)
		}
	})
}

// checkMeasured checks the document and the summary of a measured layer.
func checkMeasured(t *testing.T, s functions.Stack, pruned, item workflow.Item) {
	t.Helper()
	b, err := s.S3.Get(functions.Store, item.Doc.Key)
	var m release.Measured
	if err := errors.Join(err, release.Decode(b, &m)); err != nil {
		t.Fatal(err)
	}

	if m.Pruned != pruned.Doc || m.Report.Verdict != "within" || len(m.Report.Gate) > 0 {
		t.Errorf("%s: made from %v, verdict %s, gate %v", item.Layer, m.Pruned, m.Report.Verdict, m.Report.Gate)
	}

	if !strings.HasSuffix(item.Summary, " MB, within") {
		t.Errorf("%s: summary %q", item.Layer, item.Summary)
	}

	if item.Layer == "ml-libraries" && !slices.Equal(m.Built.Below, []string{"core-data-science"}) {
		t.Errorf("%s extends %v", item.Layer, m.Built.Below)
	}
}

// A small workspace of pure Python in each form that a layer may have.
func TestEveryFormOfALayerIsTheSameBytes(t *testing.T) {
	s := stack(t)
	for name, spec := range map[string]string{
		"as it comes":         "",
		"sourceless":          "bytecode: sourceless\n",
		"lean":                "bytecode: lean\n",
		"without bytecode":    "bytecode: none\n",
		"compressed best":     "compression: best\n",
		"sourceless and best": "bytecode: sourceless\ncompression: best\n",
		"with choices": "drop: [{ match: dateutil/zoneinfo/**, reason: we have a database of our own }]\n" +
			"keep: [{ match: idna/py.typed, reason: we like it }]\n",
		"a bytecode file less": "drop: [{ match: idna/__pycache__/core.*, reason: we would like to see }]\n",
	} {
		t.Run(name, func(t *testing.T) {
			a, err := functions.NewAccount()
			if err != nil {
				t.Fatal(err)
			}

			t.Cleanup(a.Close)
			s := functions.Stack{Programs: s.Programs, Account: a}
			workspace := filepath.Join(t.TempDir(), "layers")
			write(t, workspace, map[string]string{
				"workspace.yaml":         "targets: [python3.13-x86_64]\n",
				"small/requirements.txt": "idna==3.10\npython-dateutil==2.9.0.post0\n",
				"small/layer.yaml":       spec,
			})
			want := builtLocally(t, s, workspace) // leaves the lock in the workspace
			pruned, _ := chain(t, s, workspace, "small")
			sameBytes(t, s, want, pruned)
		})
	}
}

func write(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		file := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}

		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// failure is one invocation that must not succeed.
func failure(t *testing.T, f *runtimeapi.Function, in any) runtimeapi.Response {
	t.Helper()
	_, r, err := functions.Invoke[any](f, in)
	if err == nil || r.ErrorType == "" {
		t.Fatalf("answer %s, error %v; want a fault", r.Payload, err)
	}

	return r
}
