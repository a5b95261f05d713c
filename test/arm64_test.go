package test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/layersmith/layersmith/internal/report"
)

// A layer for another architecture is probed if its interpreter can be emulated. The layer has
// stripped C, Fortran and Rust.
func TestArm64IsProbedUnderEmulation(t *testing.T) {
	if testing.Short() {
		t.Skip("short: needs real wheels")
	}

	python := filepath.Join(root(t), ".tools", "arm64", "bin", "python3.13")
	if _, err := os.Stat(python); err != nil {
		t.Skipf("NOT RUN: there is no interpreter for arm64 (.ci/tools/install says why): %v", err)
	}

	dir := t.TempDir()
	for name, text := range map[string]string{
		"workspace.yaml":        "targets: [python3.13-arm64]\n",
		"main/requirements.txt": "numpy==2.3.4\npydantic==2.12.3\npyyaml==6.0.3\n",
	} {
		file := filepath.Join(dir, "layers", name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}

		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}

	out := layersmith(t, "build", "--workspace", filepath.Join(dir, "layers"), "--output", filepath.Join(dir, "dist"),
		"--cache", cache(t), "--python", python, "--no-heal", "--strict", "--json")
	var r report.Report
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		t.Fatal(err)
	}

	l := r.Layers[0]
	if p := l.Probe; p.Status != report.ProbePassed || p.Modules < 10 || p.Scripts < 5 || len(p.Failures) > 0 {
		t.Errorf("probe %+v", p)
	}

	if l.Removed["elf-strip"].Unzipped < 1e6 {
		t.Errorf("removed %+v: nothing was stripped", l.Removed)
	}
}
