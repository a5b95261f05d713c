package main

import (
	"bufio"
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"syscall"
	"time"
)

//go:embed layersmith_record.py
var recordSource string

const recordPlugin = "layersmith_record"

// What a test came to. What pytest calls errors of setup and teardown are errors; crashed is what a
// process did not live to report.
const (
	passed  = "passed"
	xpassed = "xpassed" // it was expected to fail
	failed  = "failed"
	erred   = "error"
	skipped = "skipped"
	xfailed = "xfailed"
	crashed = "crashed"
	absent  = "not collected"
	notRun  = "not run"
)

// outcome is what a test came to, and why where it did not pass.
type outcome struct {
	Result string `json:"result"`
	Why    string `json:"why,omitempty"`
}

// side is one run of pytest on one form of the layer.
type side struct {
	Tests   map[string]outcome `json:"tests"`
	Modules map[string]outcome `json:"modules"` // files that could not be collected, or that skip themselves
	Own     []string           `json:"own"`     // modules that came from the layer
	Foreign []string           `json:"foreign"` // modules that the layer has and that came from elsewhere
	Ended   bool               `json:"ended"`   // by itself, in time
	Exit    int                `json:"exit"`    // of pytest
	Seconds float64            `json:"seconds"`
	Output  string             `json:"output"` // the end of what pytest said
}

// bench is where an entry's tests run: always the same paths, whichever form of the layer lies
// there, so that nothing differs but the layer.
type bench struct {
	entry  entry
	dir    string // below it shipped/ and pruned/ wait; opt/ is the one that is tested
	python string // of the environment
	config string // of pytest
}

func (b bench) work() string { return filepath.Join(b.dir, "opt", "work") }

// root is what the names of tests are relative to.
func (b bench) root() string {
	if b.inWheel() {
		return filepath.Join(b.dir, "opt", "python")
	}

	return b.work()
}

// inWheel reports whether the tests lie in the layer; a source distribution may still have data for
// them.
func (b bench) inWheel() bool { return b.entry.Tests == "wheel" }

// run runs tests on a form of the layer: shipped or pruned. An error is of this machine, or an
// interrupt.
func (b bench) run(
	ctx context.Context,
	form string,
	tests []string,
	workers int,
	limit time.Duration,
) (out side, err error) {
	from := filepath.Join(b.dir, form)
	opt := filepath.Join(b.dir, "opt")
	if err := os.Rename(from, opt); err != nil {
		return out, err
	}

	defer func() { err = errors.Join(err, os.Rename(opt, from)) }()
	record := filepath.Join(b.dir, "record")
	home := filepath.Join(b.dir, "home")
	temp := filepath.Join(b.dir, "tmp")
	for _, dir := range []string{record, home, temp} {
		if err := errors.Join(os.RemoveAll(dir), os.MkdirAll(dir, 0o755)); err != nil {
			return out, err
		}
	}

	args := []string{
		"-P",
		"-m",
		"pytest",
		"-c",
		b.config,
		"--rootdir",
		b.root(),
		"-p",
		recordPlugin,
		"-p",
		"no:cacheprovider",
		"-q",
		"--tb=short",
		"--no-summary",
		"--continue-on-collection-errors",
	}
	if workers > 0 {
		args = append(args, "-n", strconv.Itoa(workers))
	}

	args = append(args, b.entry.Args...)
	var named []string
	for _, d := range b.entry.Deselect {
		if strings.Contains(d.Match, "/") {
			args = append(args, "--deselect", d.Match)
		} else {
			named = append(named, d.Match)
		}
	}

	if len(named) > 0 {
		args = append(args, "-k", "not ("+strings.Join(named, " or ")+")")
	}

	list := filepath.Join(b.dir, "tests.txt") // the names of thousands of tests are too long for a command line
	var lines strings.Builder
	for _, t := range tests {
		fmt.Fprintln(&lines, filepath.Join(b.root(), filepath.FromSlash(t)))
	}

	if err := os.WriteFile(list, []byte(lines.String()), 0o644); err != nil {
		return out, err
	}

	args = append(args, "@"+list)

	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	cmd := exec.CommandContext(limited, b.python, args...)
	cmd.Dir = b.work()
	cmd.Env = []string{
		"PATH=" + filepath.Dir(b.python) + ":/usr/local/bin:/usr/bin:/bin",
		"HOME=" + home,
		"TMPDIR=" + temp,
		"LANG=C.UTF-8",
		"PYTHONPATH=" + filepath.Join(opt, "python"),
		"PYTHONNOUSERSITE=1",
		"PYTHONDONTWRITEBYTECODE=1",
		"PYTHONHASHSEED=0",
		"HYPOTHESIS_STORAGE_DIRECTORY=" + filepath.Join(
			temp,
			"hypothesis",
		), // what failed on one side must not be tried first on the other
		"LAYERSMITH_RECORD=" + record,
		"LAYERSMITH_LAYER=" + filepath.Join(opt, "python"),
	}
	if workers > 1 {
		cmd.Env = append(cmd.Env, "OMP_NUM_THREADS=1", "OPENBLAS_NUM_THREADS=1")
	}

	for k, v := range b.entry.Env {
		cmd.Env = append(cmd.Env, k+"="+strings.ReplaceAll(v, "{work}", b.work()))
	}

	log, err := os.Create(filepath.Join(b.dir, form+".log"))
	if err != nil {
		return out, err
	}
	defer log.Close()
	cmd.Stdout = log
	cmd.Stderr = log
	// Tests start processes of their own; all of them are one group, and end with it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 2 * time.Second
	start := time.Now()
	err = cmd.Run()
	if cmd.Process != nil {
		syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // what a test left behind; there may be nothing
	}

	if ctx.Err() != nil {
		return out, ctx.Err()
	}

	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) && !errors.Is(err, exec.ErrWaitDelay) {
		return out, err
	}

	if out, err = readRecords(record); err != nil {
		return out, err
	}

	out.Seconds = time.Since(start).Seconds()
	out.Ended = limited.Err() == nil
	out.Exit = cmd.ProcessState.ExitCode()
	out.Output, err = tail(log.Name(), 4000)
	return out, err
}

func tail(name string, n int) (string, error) {
	b, err := os.ReadFile(name)
	return string(b[max(0, len(b)-n):]), err
}

// readRecords reads what the plugin wrote down in all processes.
func readRecords(dir string) (side, error) {
	out := side{Tests: map[string]outcome{}, Modules: map[string]outcome{}}
	files, err := filepath.Glob(filepath.Join(dir, "*.jsonl"))
	if err != nil {
		return out, err
	}

	started := map[string]bool{}
	own := map[string]bool{}
	foreign := map[string]bool{}
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			return out, err
		}

		r := bufio.NewReader(bytes.NewReader(b))
		for {
			line, err := r.ReadBytes('\n')
			if errors.Is(err, io.EOF) {
				break // and what a process did not finish to write
			}

			if err != nil {
				return out, err
			}

			var fields []any
			if err := json.Unmarshal(line, &fields); err != nil || len(fields) == 0 {
				return out, fmt.Errorf("read %s: %q: %w", name, line, err)
			}

			text := func(i int) string {
				if i < len(fields) {
					s, _ := fields[i].(string)
					return s
				}

				return ""
			}
			is := func(i int) bool { yes, _ := fields[min(i, len(fields)-1)].(bool); return yes }
			switch id := text(1); text(0) {
			case "collected":
				if _, known := out.Tests[id]; !known {
					out.Tests[id] = outcome{Result: notRun}
				}
			case "module":
				out.Modules[id] = outcome{Result: text(2), Why: text(3)}
			case "started":
				started[id] = true
			case "report":
				out.Tests[id] = add(out.Tests[id], text(2), text(3), is(4), text(5))
			case "loaded":
				if is(3) {
					own[id] = true
				} else {
					foreign[id+" from "+text(2)] = true
				}
			}
		}
	}

	for id := range started {
		if out.Tests[id].Result == notRun {
			out.Tests[id] = outcome{Result: crashed, Why: "the process ended"}
		}
	}

	out.Own = keys(own)
	out.Foreign = keys(foreign)
	return out, nil
}

// add takes a phase's report to what is known of the test: setup, call and teardown come in this
// order, and what is worse wins.
func add(o outcome, when, result string, xfail bool, why string) outcome {
	switch {
	case result == failed && when == "call":
		return outcome{failed, why}
	case result == failed:
		return outcome{erred, when + ": " + why}
	case result == skipped && xfail:
		return outcome{xfailed, why}
	case result == skipped:
		return outcome{skipped, why}
	case when == "call" && xfail:
		return outcome{xpassed, ""}
	case when == "call":
		return outcome{passed, ""}
	}

	return o
}

func keys(m map[string]bool) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}

	sort.Strings(out)
	return out
}
