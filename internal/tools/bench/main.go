// Bench measures the example workspace and other tools side by side in one run, and writes
// docs/benchmarks.md.
//
// All figures are those of whole processes as the kernel accounts for them: user and system CPU,
// wall time, and the largest resident set. All tools run with warm caches. Each command runs
// several times and the median counts. Absolute times depend on the machine; compare ratios.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/layersmith/layersmith/internal/report"
	"github.com/layersmith/layersmith/internal/tools/page"
)

func main() {
	var b bench
	flag.IntVar(&b.rounds, "rounds", 3, "how often each command runs; the median counts")
	out := flag.String("out", "docs/benchmarks.md", "file to write")
	functions := flag.Bool("functions", false, "measure only the functions, and replace their section in the file")
	flag.Parse()

	measure := b.all
	if *functions {
		measure = func() (string, error) { return b.onlyFunctions(*out) }
	}

	text, err := measure()
	if err == nil {
		err = os.WriteFile(*out, []byte(text), 0o644)
	}

	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}

	fmt.Print(text)
}

type bench struct {
	page.Page
	rounds int
	temp   string
	binary string
	cache  string // of wheels and packs, warm
	full   string // output of a full build, with its report
}

// Example layers, by the names that the page has for them.
var short = map[string]string{"core-data-science": "a", "ml-libraries": "b", "aws-utilities": "c"}

// all measures everything and returns the page.
func (b *bench) all() (string, error) {
	var err error
	if b.temp, err = os.MkdirTemp("", "layersmith-bench-"); err != nil {
		return "", err
	}

	defer os.RemoveAll(b.temp)

	if b.binary, err = filepath.Abs("bin/layersmith"); err != nil {
		return "", err
	}

	b.cache = filepath.Join(b.temp, "cache")
	b.full = filepath.Join(b.temp, "full")
	for _, tool := range []string{"uv", "zip"} {
		if _, err := exec.LookPath(tool); err != nil {
			return "", fmt.Errorf("%s is not on PATH: install it (apt-get install %s)", tool, tool)
		}
	}

	// The first build fills the store of wheels, and probes.
	if _, err := b.layersmith("build", "--workspace", "layers", "--output", b.full, "--strict"); err != nil {
		return "", err
	}

	r, err := readReport(b.full)
	if err != nil {
		return "", err
	}

	sizes := map[string]map[string]report.Layer{}
	for _, mode := range modes {
		if sizes[mode], err = b.sizes(mode); err != nil {
			return "", err
		}
	}

	b.head(r)
	b.sizeTable(r, sizes)
	b.importTable(r)
	if err := b.speedTable(r); err != nil {
		return "", err
	}

	if err := b.functionTables(); err != nil {
		return "", err
	}

	return b.String(), nil
}

func (b *bench) head(r report.Report) {
	b.Paragraph("# Benchmarks")
	b.Line("Written by `make bench` on %s: %s, %d processors, %s/%s, %s. Target %s.",
		time.Now().Format(time.DateOnly), cpuModel(), runtime.NumCPU(), runtime.GOOS, runtime.GOARCH, runtime.Version(),
		r.Target)
	b.Line("Absolute times are this machine's, which is shared and noisy; ratios were measured side by side in one "+
		"run (median of %d).", b.rounds)
	b.Paragraph("Layers: a = core-data-science, b = ml-libraries above a's numpy, c = aws-utilities. MB = 10^6 " +
		"bytes, zip / unzipped.")
}

// verdict writes which targets were missed, or that they are met.
func (b *bench) verdict(missed []string, met string) {
	if len(missed) > 0 {
		b.Line("Missed: %s.", strings.Join(missed, "; "))
	} else {
		b.Line("%s", met)
	}
}

// modes of bytecode.
var modes = []string{"none", "unchecked-hash", "lean", "sourceless"}

// megabytes is a size of a layer in MB (10^6 bytes).
type megabytes struct{ zip, unzipped float64 }

func (m megabytes) String() string { return fmt.Sprintf("%.1f / %.1f", m.zip, m.unzipped) }

// targets are the sizes of the design, by mode and layer.
var targets = map[string]map[string]megabytes{
	"none":           {"a": {22.2, 70.8}, "b": {36.8, 111.2}, "c": {5.9, 9.9}},
	"unchecked-hash": {"a": {27.6, 84.5}, "b": {46.3, 135.8}, "c": {7.3, 13.0}},
	"sourceless":     {"a": {22.9, 66.5}, "b": {37.8, 103.3}, "c": {6.3, 9.6}},
}

// sizeTable writes the sizes of the layers: sizes has those of each mode by name.
func (b *bench) sizeTable(r report.Report, sizes map[string]map[string]report.Layer) {
	b.Paragraph("## Sizes")
	b.Header(new(page.Columns).Left("layer", "wheels as installed", "no bytecode").Left(modes[1:]...))
	var missed []string
	for _, l := range r.Layers {
		name := short[l.Name]
		cells := []any{name + " " + l.Name, page.Size(l.Before)}
		for _, mode := range modes {
			s := sizes[mode][l.Name]
			cell := page.MB(s.Zip.Bytes, 2) + " / " + page.MB(s.After.Unzipped, 1)
			if t, ok := targets[mode][name]; ok {
				if float64(s.Zip.Bytes)/1e6 > t.zip || float64(s.After.Unzipped)/1e6 > t.unzipped {
					missed = append(missed, fmt.Sprintf("%s %s: %s against %s", name, mode, cell, t))
				}

				cell += fmt.Sprintf(" (target %s)", t)
			}

			cells = append(cells, cell)
		}

		b.Row(cells...)
	}

	b.Line("")
	b.verdict(missed, "All targets are met.")
	b.Line("")
}

func (b *bench) importTable(r report.Report) {
	b.Paragraph("## Import time")
	b.Paragraph("Fastest of three fresh processes, on the mounted stack; targets 3x, 2.5x and 1.9x.")
	b.Header(new(page.Columns).Left("layer", "imports", "without bytecode", "with", "ratio", "peak memory"))
	for _, l := range r.Layers {
		i := l.Probe.Import
		if i == nil {
			continue
		}

		b.Line("| %s | %s | %.2f s | %.2f s | %.1fx | %s MB |", short[l.Name], strings.Join(i.Modules, ", "),
			i.WithoutSeconds, i.WithSeconds, i.WithoutSeconds/i.WithSeconds, page.MB(i.PeakBytes, 0))
	}

	b.Line("")
}

// sizes builds the example workspace with a mode of bytecode and returns the layers by name.
func (b *bench) sizes(mode string) (map[string]report.Layer, error) {
	workspace, err := b.workspace(mode)
	if err != nil {
		return nil, err
	}

	out := filepath.Join(b.temp, "sizes-"+mode)
	if _, err := b.layersmith("build", "--workspace", workspace, "--output", out, "--no-probe"); err != nil {
		return nil, err
	}

	r, err := readReport(out)
	if err != nil {
		return nil, err
	}

	byName := map[string]report.Layer{}
	for _, l := range r.Layers {
		byName[l.Name] = l
	}

	return byName, nil
}

func readReport(dir string) (r report.Report, err error) {
	b, err := os.ReadFile(filepath.Join(dir, "report.json"))
	if err == nil {
		err = json.Unmarshal(b, &r)
	}

	return r, err
}

func cpuModel() string {
	b, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(b)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
			return strings.TrimSpace(value)
		}
	}

	return "unknown processor"
}
