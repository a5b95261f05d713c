// Package test builds the three layers of this repository from real wheels of the index that uv is
// configured for.
package test

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/layersmith/layersmith/internal/cli"
	"github.com/layersmith/layersmith/internal/digest"
	"github.com/layersmith/layersmith/internal/report"
	"github.com/layersmith/layersmith/internal/testenv/host"
	"github.com/layersmith/layersmith/internal/tools/onelayer"
)

func TestMain(m *testing.M) { os.Exit(host.Main(m)) }

// root is the repository.
func root(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}

	return dir
}

// layersmith runs the command line and fails the test unless it succeeds.
func layersmith(t *testing.T, args ...string) string {
	t.Helper()
	var out, diagnostics bytes.Buffer
	if code := cli.Main(args, cli.Streams{Out: &out, Err: &diagnostics}); code != 0 {
		t.Fatalf("layersmith %s: exit %d\n%s%s", strings.Join(args, " "), code, out.String(), diagnostics.String())
	}

	return out.String()
}

func workspaceCopy(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "layers")
	if err := os.CopyFS(dir, os.DirFS(filepath.Join(root(t), "layers"))); err != nil {
		t.Fatal(err)
	}

	return dir
}

// cache is the user's own, so that wheels are downloaded once.
func cache(t *testing.T) string {
	t.Helper()
	dir, err := onelayer.Cache()
	if err != nil {
		t.Fatal(err)
	}

	return dir
}

// most are the largest sizes in bytes, zipped and unzipped, with bytecode. The lock is committed, so
// only our own changes and patch releases of the interpreter change them.
var most = map[string][2]int64{
	"core-data-science": {26_800_000, 84_500_000},
	"ml-libraries":      {45_200_000, 135_800_000},
	"aws-utilities":     {7_250_000, 13_000_000},
}

func TestTheThreeLayers(t *testing.T) {
	if testing.Short() {
		t.Skip("short: needs real wheels")
	}

	ws := workspaceCopy(t)
	out := t.TempDir()
	text := layersmith(t, "build", "--workspace", ws, "--output", out, "--cache", cache(t), "--strict", "--clean",
		"--json")
	var r report.Report
	if err := json.Unmarshal([]byte(text), &r); err != nil {
		t.Fatal(err)
	}

	if len(r.Layers) != len(most) {
		t.Fatalf("%d layers, want %d", len(r.Layers), len(most))
	}

	for _, l := range r.Layers {
		checkReport(t, l)
		checkZip(t, filepath.Join(out, l.Zip.Name), l)
	}

	again := layersmith(t, "build", "--workspace", ws, "--output", out, "--cache", cache(t))
	if !strings.Contains(again, "nothing changed") {
		t.Errorf("the second build says\n%s", again)
	}

	if strings.Contains(text, "://") {
		t.Error("the report has an address in it")
	}
}

// checkReport checks sizes, verdict, probe and bytecode of a layer.
func checkReport(t *testing.T, l report.Layer) {
	t.Helper()
	if limit := most[l.Name]; int64(l.Zip.Bytes) > limit[0] || int64(l.After.Unzipped) > limit[1] {
		t.Errorf("%s: %d zipped, %d unzipped; want at most %d, %d",
			l.Name, l.Zip.Bytes, l.After.Unzipped, limit[0], limit[1])
	}

	if l.Verdict != "within" || len(l.Gate) > 0 {
		t.Errorf("%s: verdict %s, gate %v", l.Name, l.Verdict, l.Gate)
	}

	p := l.Probe
	if p.Status != report.ProbePassed || p.Scripts < 5 || p.Modules < 5 || len(p.Skipped) > 0 {
		t.Errorf("%s: probe %+v", l.Name, p)
	}

	for _, f := range p.Failures {
		t.Logf("%s: %s %s fails unpruned too: %s", l.Name, f.Kind, f.Name, f.Detail)
	}

	if l.Bytecode.Mode != "unchecked-hash" || l.Bytecode.Partial {
		t.Errorf("%s: bytecode %+v", l.Name, l.Bytecode)
	}
}

// checkZip compares a zip with its report. The upper layer must not have numpy.
func checkZip(t *testing.T, file string, l report.Layer) {
	t.Helper()
	z, err := zip.OpenReader(file)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	var unzipped int64
	for _, f := range z.File {
		unzipped += int64(f.UncompressedSize64)
		if l.Name == "ml-libraries" && strings.HasPrefix(f.Name, "python/numpy/") {
			t.Fatalf("%s carries %s, which is in the layer below", l.Name, f.Name)
		}
	}

	if unzipped != int64(l.After.Unzipped) || len(z.File) != l.After.Files {
		t.Errorf("%s: the zip has %d files, %d bytes; the report says %d, %d",
			l.Name, len(z.File), unzipped, l.After.Files, l.After.Unzipped)
	}
}

// Two builds in different folders, one with an empty cache, on one processor and on all of them,
// give the same bytes.
func TestSameBytesEverywhere(t *testing.T) {
	if testing.Short() {
		t.Skip("short: needs real wheels")
	}

	one := t.TempDir()
	two := t.TempDir()
	layersmith(t, "build", "--workspace", workspaceCopy(t), "--output", one, "--cache", cache(t), "--no-probe",
		"--quiet")
	fresh := t.TempDir()
	if err := os.Symlink(filepath.Join(cache(t), "wheels"), filepath.Join(fresh, "wheels")); err != nil {
		t.Fatal(err)
	}

	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	layersmith(t, "build", "--workspace", workspaceCopy(t), "--output", two, "--cache", fresh, "--no-probe",
		"--quiet", "--offline", "--paranoid")
	names, err := filepath.Glob(filepath.Join(one, "*.zip"))
	if err != nil || len(names) != len(most) {
		t.Fatalf("%v, %v", names, err)
	}

	for _, a := range names {
		b := filepath.Join(two, filepath.Base(a))
		if x, y := sum(t, a), sum(t, b); x != y {
			t.Errorf("%s: %s and %s", filepath.Base(a), x, y)
		}
	}
}

// A plan that is pruned later, as in an account, gives the bytes of a local build.
func TestPlanThenPruneIsBuild(t *testing.T) {
	if testing.Short() {
		t.Skip("short: needs real wheels")
	}

	ws := workspaceCopy(t)
	out := t.TempDir()
	common := []string{"--workspace", ws, "--output", out, "--cache", cache(t)}
	layersmith(t, append([]string{"build", "aws-utilities", "--no-probe", "--quiet"}, common...)...)
	layersmith(t, append([]string{"build", "aws-utilities", "--plan", "--quiet"}, common...)...)
	pruned := filepath.Join(t.TempDir(), "pruned.zip")
	artifact := filepath.Join(out, "aws-utilities-python3.13-x86_64.artifact.zip")
	prune := []string{"prune", artifact, "--layer", "aws-utilities", "--out", pruned, "--no-probe", "--quiet"}
	layersmith(t, append(prune, common...)...)
	if a, b := sum(t, filepath.Join(out, "aws-utilities-python3.13-x86_64.zip")), sum(t, pruned); a != b {
		t.Errorf("build gives %s, plan and prune %s", a, b)
	}
}

func sum(t *testing.T, file string) digest.SHA256 {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	d, _, err := digest.Reader(f)
	if err != nil {
		t.Fatal(err)
	}

	return d
}

// No committed file may name this machine's package index, or a path of this machine.
func TestNothingNamesARegistryOrAMachine(t *testing.T) {
	files, err := exec.Command("git", "-C", root(t), "ls-files", "-z").Output()
	if err != nil {
		t.Fatal(err)
	}

	for _, name := range strings.Split(strings.TrimRight(string(files), "\x00"), "\x00") {
		b, err := os.ReadFile(filepath.Join(root(t), name))
		if errors.Is(err, fs.ErrNotExist) {
			continue // deleted, not committed yet
		}

		if err != nil {
			t.Fatal(err)
		}

		for _, bad := range []string{"files." + "pythonhosted", "/packages" + "/py3/", "/root" + "/"} {
			if bytes.Contains(b, []byte(bad)) {
				t.Errorf("%s contains %q", name, bad)
			}
		}
	}
}
