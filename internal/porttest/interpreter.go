package porttest

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/layersmith/layersmith/internal/engine"
	"github.com/layersmith/layersmith/internal/pydist"
)

// Interpreter is the suite of engine.Interpreter. open returns the target's interpreter, which ends
// a job after at most two seconds.
func Interpreter(t *testing.T, target pydist.Target, open func(t *testing.T) engine.Interpreter) {
	start := func(t *testing.T) interpreterTest { return interpreterTest{t, target, open} }
	runTests(t, start, []namedTest[interpreterTest]{
		{"Identity names implementation and version", interpreterTest.identity},
	})
	t.Run("Compile", func(t *testing.T) {
		runTests(t, start, []namedTest[interpreterTest]{
			{"bytecode has the target's unchecked header and the file's name below Root", interpreterTest.bytecode},
			{"no source gives no bytecode", interpreterTest.noSource},
			{"a source that does not compile is reported and left out", interpreterTest.badSources},
			{"the highest optimization drops docstrings and asserts", interpreterTest.optimization},
			{"bytecode does not depend on the other sources", interpreterTest.sameBytes},
			{"an error of Emit ends the call", interpreterTest.failingEmit},
			{"a source that cannot be read ends the call", interpreterTest.damagedSource},
			{"Compile can be canceled", interpreterTest.compileCanceled},
		})
	})
	t.Run("Probe", func(t *testing.T) {
		runTests(t, start, []namedTest[interpreterTest]{
			{"modules, metadata and scripts are tested in the mounted stack", interpreterTest.jobs},
			{"sys.path is Lambda's, without packages of this machine", interpreterTest.sysPath},
			{"a job has no variables of the user, and writes only to its temporary folder",
				interpreterTest.environment},
			{"a job that hangs is ended", interpreterTest.hangingJob},
			{"a process that a job leaves running is ended", interpreterTest.leftProcess},
			{"of huge output the last lines are kept", interpreterTest.hugeOutput},
			{"a crash is a failure", interpreterTest.crash},
			{"Probe can be canceled", interpreterTest.probeCanceled},
		})
	})
	t.Run("Import", func(t *testing.T) {
		runTests(t, start, []namedTest[interpreterTest]{
			{"the fastest round of all modules together is returned", interpreterTest.importTime},
			{"output of the modules is ignored", interpreterTest.importOutput},
			{"the error of a module that fails has its message", interpreterTest.importFails},
		})
	})
}

type interpreterTest struct {
	*testing.T
	target pydist.Target
	open   func(t *testing.T) engine.Interpreter
}

func (i interpreterTest) python() engine.Interpreter {
	i.Helper()
	return i.open(i.T)
}

// opt writes files to a folder like a mounted stack.
func (i interpreterTest) opt(files map[string]string) string {
	i.Helper()
	dir := i.TempDir()
	for name, content := range files {
		p := filepath.Join(dir, filepath.FromSlash(name))
		succeeds(i, os.MkdirAll(filepath.Dir(p), 0o755))
		succeeds(i, os.WriteFile(p, []byte(content), 0o644))
	}

	return dir
}

func (i interpreterTest) identity() {
	want := "cpython-" + i.target.PythonVersion() + "."
	if got := i.python().Identity(); !strings.HasPrefix(got, want) {
		i.Errorf("identity %q, want %s*", got, want)
	}
}

// importable is a stack of modules to import.
func (i interpreterTest) importable() string {
	i.Helper()
	return i.opt(map[string]string{
		"python/slow.py": "import time\ntime.sleep(0.05)\n",
		"python/loud.py": "import atexit\nprint('hello')\natexit.register(print, 'bye')\n",
		"python/bad.py":  "raise ValueError('at import')\n",
	})
}

func (i interpreterTest) importTime() {
	got := must(i.python().Import(i.Context(), i.importable(), []string{"slow", "json"}, 2))(i)
	if got.Seconds < 0.05 || got.Seconds > 2 || got.PeakBytes < 1<<20 || fmt.Sprint(got.Modules) != "[slow json]" {
		i.Errorf("got %+v", got)
	}
}

func (i interpreterTest) importOutput() {
	must(i.python().Import(i.Context(), i.importable(), []string{"loud"}, 1))(i)
}

func (i interpreterTest) importFails() {
	_, err := i.python().Import(i.Context(), i.importable(), []string{"bad"}, 1)
	if err == nil || !strings.Contains(err.Error(), "at import") {
		i.Errorf("error %v", err)
	}
}
