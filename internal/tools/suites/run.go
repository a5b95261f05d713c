package main

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

//go:embed layersmith_record.py
var recordSource string

const recordPlugin = "layersmith_record"

// Results of tests. Failures in setup and teardown are errors. crashed is a test in which the
// process ended.
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

// outcome is the result of a test, and the reason unless it passed.
type outcome struct {
	Result string `json:"result"`
	Why    string `json:"why,omitempty"`
}

// side is one run of pytest on one form of the layer.
type side struct {
	Tests     map[string]outcome `json:"tests"`   // by ID
	Modules   map[string]outcome `json:"modules"` // files that could not be collected, or that skip themselves
	Own       []string           `json:"own"`     // modules that were loaded from the layer
	Elsewhere []string           `json:"foreign"` // modules of the layer that were loaded from another place
	Ended     bool               `json:"ended"`   // within the time limit
	Exit      int                `json:"exit"`    // exit code of pytest
	Seconds   float64            `json:"seconds"`
	Output    string             `json:"output"` // the end of pytest's output
}

const (
	outputBytes = 4000            // of a side's Output
	killDelay   = 2 * time.Second // until the output of a killed process is given up
)

// bench is where an entry's tests run. The form of the layer that is tested is always at the same
// path, so that nothing differs but the layer.
type bench struct {
	entry  entry
	dir    string // has a folder for each form, and opt/, to which the tested one is renamed
	python string // of the virtual environment
	config string // of pytest
}

func (b bench) opt() string { return filepath.Join(b.dir, "opt") }

// work is the folder of the source distribution's files, in which pytest starts.
func (b bench) work() string { return filepath.Join(b.opt(), "work") }

// site is the layer's folder on sys.path.
func (b bench) site() string { return filepath.Join(b.opt(), "python") }

// root is the folder that test IDs are relative to.
func (b bench) root() string {
	if b.entry.Tests == "wheel" {
		return b.site()
	}

	return b.work()
}

// scratch are folders that are empty when pytest starts.
type scratch struct{ record, home, temp string }

func (b bench) scratch() (scratch, error) {
	s := scratch{
		record: filepath.Join(b.dir, "record"),
		home:   filepath.Join(b.dir, "home"),
		temp:   filepath.Join(b.dir, "tmp"),
	}
	for _, dir := range []string{s.record, s.home, s.temp} {
		if err := errors.Join(os.RemoveAll(dir), os.MkdirAll(dir, 0o755)); err != nil {
			return s, err
		}
	}

	return s, nil
}

// run runs tests on a form of the layer. An error is one of this machine, or an interrupt.
func (b bench) run(
	ctx context.Context, form string, tests []string, workers int, limit time.Duration,
) (out side, err error) {
	from := filepath.Join(b.dir, form)
	if err := os.Rename(from, b.opt()); err != nil {
		return out, err
	}

	defer func() { err = errors.Join(err, os.Rename(b.opt(), from)) }()

	dirs, err := b.scratch()
	if err != nil {
		return out, err
	}

	list := filepath.Join(b.dir, "tests.txt")
	if err := b.writeTests(list, tests); err != nil {
		return out, err
	}

	log, err := os.Create(filepath.Join(b.dir, form+".log"))
	if err != nil {
		return out, err
	}
	defer log.Close()

	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	cmd := exec.CommandContext(limited, b.python, append(b.arguments(workers), "@"+list)...)
	cmd.Dir = b.work()
	cmd.Env = b.environment(dirs, workers)
	cmd.Stdout = log
	cmd.Stderr = log

	start := time.Now()
	if err := runGroup(cmd); err != nil && ctx.Err() == nil {
		return out, err
	}

	if ctx.Err() != nil {
		return out, ctx.Err()
	}

	if out, err = readRecords(dirs.record); err != nil {
		return out, err
	}

	out.Seconds = time.Since(start).Seconds()
	out.Ended = limited.Err() == nil
	out.Exit = cmd.ProcessState.ExitCode()
	out.Output, err = tail(log.Name(), outputBytes)

	return out, err
}

// writeTests writes a file of arguments: a command line is too short for the IDs of thousands of
// tests.
func (b bench) writeTests(file string, tests []string) error {
	var lines strings.Builder
	for _, t := range tests {
		fmt.Fprintln(&lines, filepath.Join(b.root(), filepath.FromSlash(t)))
	}

	return os.WriteFile(file, []byte(lines.String()), 0o644)
}

// arguments are those of Python, without the tests.
func (b bench) arguments(workers int) []string {
	args := []string{
		"-P", "-m", "pytest",
		"-c", b.config,
		"--rootdir", b.root(),
		"-p", recordPlugin,
		"-p", "no:cacheprovider",
		"-q", "--tb=short", "--no-summary", "--continue-on-collection-errors",
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

	return args
}

// environment is that of pytest: nothing of the user's own.
func (b bench) environment(dirs scratch, workers int) []string {
	env := []string{
		"PATH=" + filepath.Dir(b.python) + ":/usr/local/bin:/usr/bin:/bin",
		"HOME=" + dirs.home,
		"TMPDIR=" + dirs.temp,
		"LANG=C.UTF-8",
		"PYTHONPATH=" + b.site(),
		"PYTHONNOUSERSITE=1",
		"PYTHONDONTWRITEBYTECODE=1",
		"PYTHONHASHSEED=0",
		// Hypothesis tries examples that failed first: those of one side must not reach the other.
		"HYPOTHESIS_STORAGE_DIRECTORY=" + filepath.Join(dirs.temp, "hypothesis"),
		"LAYERSMITH_RECORD=" + dirs.record,
		"LAYERSMITH_LAYER=" + b.site(),
	}
	if workers > 1 {
		env = append(env, "OMP_NUM_THREADS=1", "OPENBLAS_NUM_THREADS=1")
	}

	for k, v := range b.entry.Env {
		env = append(env, k+"="+strings.ReplaceAll(v, "{work}", b.work()))
	}

	return env
}

// runGroup runs a command as a process group and kills the group at the end, with all processes
// that tests started. An exit code is no error.
func runGroup(cmd *exec.Cmd) error {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = killDelay

	err := cmd.Run()
	if cmd.Process != nil {
		syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // an error: the group is empty
	}

	var exit *exec.ExitError
	if errors.As(err, &exit) || errors.Is(err, exec.ErrWaitDelay) {
		return nil
	}

	return err
}

// tail is the end of a file.
func tail(name string, bytes int) (string, error) {
	b, err := os.ReadFile(name)
	return string(b[max(0, len(b)-bytes):]), err
}

// records is what the plugin wrote in all processes.
type records struct {
	side    side
	started map[string]bool // tests
	own     map[string]bool // modules, as in side
	other   map[string]bool
}

// readRecords reads the files of the plugin in a folder.
func readRecords(dir string) (side, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.jsonl"))
	if err != nil {
		return side{}, err
	}

	r := records{
		side:    side{Tests: map[string]outcome{}, Modules: map[string]outcome{}},
		started: map[string]bool{},
		own:     map[string]bool{},
		other:   map[string]bool{},
	}
	for _, name := range files {
		if err := r.read(name); err != nil {
			return side{}, fmt.Errorf("read %s: %w", name, err)
		}
	}

	for id := range r.started {
		if r.side.Tests[id].Result == notRun {
			r.side.Tests[id] = outcome{Result: crashed, Why: "the process ended"}
		}
	}

	r.side.Own = slices.Sorted(maps.Keys(r.own))
	r.side.Elsewhere = slices.Sorted(maps.Keys(r.other))

	return r.side, nil
}

// read reads the file of one process. The last line may be incomplete if the process was killed.
func (r *records) read(name string) error {
	b, err := os.ReadFile(name)
	if err != nil {
		return err
	}

	for line := range bytes.Lines(b) {
		if !bytes.HasSuffix(line, []byte("\n")) {
			break
		}

		var fields record
		if err := json.Unmarshal(line, &fields); err != nil || len(fields) == 0 {
			return fmt.Errorf("%q: %w", line, err)
		}

		r.add(fields)
	}

	return nil
}

// record is a line of the plugin: a word that names its kind, and values.
type record []any

// text is a value, "" if there is none.
func (r record) text(i int) string {
	if i >= len(r) {
		return ""
	}

	s, _ := r[i].(string)
	return s
}

// flag is a value, false if there is none.
func (r record) flag(i int) bool { return i < len(r) && r[i] == true }

func (r *records) add(line record) {
	id := line.text(1)
	switch line.text(0) {
	case "collected":
		if _, known := r.side.Tests[id]; !known {
			r.side.Tests[id] = outcome{Result: notRun}
		}
	case "module":
		r.side.Modules[id] = outcome{Result: line.text(2), Why: line.text(3)}
	case "started":
		r.started[id] = true
	case "report":
		p := phase{when: line.text(2), result: line.text(3), xfail: line.flag(4), why: line.text(5)}
		r.side.Tests[id] = p.after(r.side.Tests[id])
	case "loaded":
		if line.flag(3) {
			r.own[id] = true
		} else {
			r.other[id+" from "+line.text(2)] = true
		}
	}
}

// phase is pytest's report of one phase of a test.
type phase struct {
	when   string // setup, call or teardown, in this order
	result string // passed, failed or skipped
	xfail  bool   // the test is expected to fail
	why    string
}

// after is the outcome of a test after a phase, given the one before it.
func (p phase) after(before outcome) outcome {
	call := p.when == "call"
	switch {
	case p.result == failed && call:
		return outcome{failed, p.why}
	case p.result == failed:
		return outcome{erred, p.when + ": " + p.why}
	case p.result == skipped && p.xfail:
		return outcome{xfailed, p.why}
	case p.result == skipped:
		return outcome{skipped, p.why}
	case call && p.xfail:
		return outcome{xpassed, ""}
	case call:
		return outcome{passed, ""}
	}

	return before
}
