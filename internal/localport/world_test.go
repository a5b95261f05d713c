//go:build linux

package localport

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/layersmith/layersmith/internal/probe"
)

// mounted is a stack of the given modules.
func mounted(t *testing.T, modules map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "python"), 0o755); err != nil {
		t.Fatal(err)
	}

	for name, source := range modules {
		if err := os.WriteFile(filepath.Join(dir, "python", name+".py"), []byte(source), 0o644); err != nil {
			t.Fatal(err)
		}
	}

	return dir
}

func aPython(t *testing.T) Python {
	t.Helper()
	p, _ := testPython(t)
	p.Temp = t.TempDir()
	return p
}

// askJobs runs jobs, and returns the detail of each.
func askJobs(t *testing.T, mount string, jobs ...probe.Job) []probe.Result {
	t.Helper()
	p := aPython(t)
	results, err := p.Probe(t.Context(), mount, jobs, func() {})
	if err != nil {
		t.Fatal(err)
	}

	return results
}

// What can be written on Lambda, and who a function is.
func TestTheWorldOfProbesIsLambdas(t *testing.T) {
	t.Parallel()
	if lacks, err := aPython(t).World(t.Context()); err != nil || lacks != "" {
		t.Skipf("this machine has no namespaces for it: %s, %v", lacks, err)
	}

	mount := mounted(t, map[string]string{"cached": `
import os
def folder():
    for base in (os.path.dirname(__file__), os.path.expanduser("~/.cache"), os.getcwd()):
        try:
            os.makedirs(os.path.join(base, "cache"))
            return base
        except OSError as error:
            last = error
    raise RuntimeError("cannot cache function: no locator available for %s: %s" % (__file__, last))
folder()
`, "temporary": "import tempfile\nopen(tempfile.mkstemp()[1], 'w').write('x')\nopen('/tmp/left', 'x')\n"})
	got := askJobs(t, mount,
		probe.Job{Kind: probe.Module, Name: "cached"},
		probe.Job{Kind: probe.Module, Name: "temporary"},
		probe.Job{Kind: probe.Module, Name: "temporary", Source: "again: /tmp is empty"},
		probe.Job{Kind: probe.Script, Name: "world", Source: `
import errno, os, socket
assert (os.getuid(), os.getgid()) == (993, 990), os.getuid()
assert "HOME" not in os.environ and os.getcwd() == "/var/task" == os.environ["LAMBDA_TASK_ROOT"]
assert os.environ["LANG"] == "en_US.UTF-8" and os.environ["TZ"] == ":UTC" and "TMPDIR" not in os.environ
for path in ("/opt/x", "/opt/python/x", "/var/task/x", "x", "/usr/x", "/etc/x", "/x"):
    try:
        open(path, "w")
        raise SystemExit(path + " can be written")
    except OSError as error:
        assert error.errno == errno.EROFS, error
assert not os.path.exists("/dev/shm") and not os.path.exists("/home/" + os.environ.get("USER", "root"))
server = socket.socket()
server.bind(("127.0.0.1", 0))
server.listen()
socket.create_connection(server.getsockname(), 5)
try:
    socket.create_connection(("192.0.2.1", 80), 2)
    raise SystemExit("there is a network")
except OSError:
    pass
`})
	for n, want := range []string{"no locator available for /opt/python/cached.py", "", "", ""} {
		if r := got[n]; r.OK != (want == "") || !strings.Contains(r.Detail, want) {
			t.Errorf("%s: %v, %s", r.Name, r.OK, r.Detail)
		}
	}

	if advice := got[0].Advice(); !strings.Contains(advice, "/tmp") {
		t.Errorf("advice %q", advice)
	}
}

// A library of this machine that Lambda has not does not help a job, however it is loaded.
func TestLibrariesOfThisMachineDoNotHelp(t *testing.T) {
	t.Parallel()
	found, _ := filepath.Glob("/usr/lib/*/libtinfo.so.6")
	if len(found) == 0 {
		t.Skip("no libtinfo.so.6")
	}

	mount := mounted(t, map[string]string{
		"hard":  "import ctypes\nctypes.CDLL('libtinfo.so.6')\n",
		"path":  "import ctypes\nctypes.CDLL('" + found[0] + "')\n",
		"soft":  "import ctypes\ntry:\n    ctypes.CDLL('libtinfo.so.6')\nexcept OSError:\n    pass\n",
		"fine":  "import ctypes\nctypes.CDLL('libm.so.6')\nctypes.CDLL('libz.so.1')\nimport ssl, sqlite3\n",
		"other": "",
	})
	var jobs []probe.Job
	for _, name := range []string{"fine", "hard", "other", "path", "soft"} {
		jobs = append(jobs, probe.Job{Kind: probe.Module, Name: name, Group: "one"})
	}

	plain := false
	if lacks, err := aPython(t).World(t.Context()); err != nil || lacks != "" {
		plain = true
	}

	for _, r := range askJobs(t, mount, jobs...) {
		needs := r.Name == "hard" || r.Name == "path" || r.Name == "soft" && plain
		if r.OK == needs || needs && !strings.HasPrefix(r.Library, "libtinfo.so.6") {
			t.Errorf("%s: OK %v, library %q, %s", r.Name, r.OK, r.Library, r.Detail)
		}
	}
}

// Modules of a group share a process. One that fails there, or ends it, is asked again alone.
func TestModulesOfAGroup(t *testing.T) {
	t.Parallel()
	mount := mounted(t, map[string]string{
		"a": "import sys\nsys.poisoned = True\n",
		"b": "import sys\nassert not hasattr(sys, 'poisoned')\n",
		"c": "import os\nos._exit(3)\n",
		"d": "import no_such_thing\n",
		"e": "import os\nos.abort()\n",
		"f": "import sys\nsys.exit(0)\n",
		"g": "x = 1\n",
	})
	var jobs []probe.Job
	for _, name := range strings.Fields("a b c d e f g") {
		jobs = append(jobs, probe.Job{Kind: probe.Module, Name: name, Group: "one"})
	}

	want := map[string]string{"c": "exit status 3", "d": "No module named 'no_such_thing'", "e": "signal: aborted"}
	for n, r := range askJobs(t, mount, jobs...) {
		if r.Name != jobs[n].Name || r.OK != (want[r.Name] == "") || !strings.Contains(r.Detail, want[r.Name]) {
			t.Errorf("%s: OK %v, %s", r.Name, r.OK, r.Detail)
		}
	}
}

// Without namespaces, jobs run all the same, and HOME cannot be written.
func TestThePlainWorld(t *testing.T) {
	t.Parallel()
	p := aPython(t)
	mount := mounted(t, map[string]string{"a": "import os\nassert not os.path.exists(os.path.expanduser('~'))\n"})
	r := &probing{
		Python: p, world: opened{world: world{level: plainWorld}}, mount: mount, done: func() {},
		jobs:    []probe.Job{{Kind: probe.Module, Name: "a"}, {Kind: probe.Module, Name: "b"}},
		results: make([]probe.Result, 2),
	}
	if err := r.run(t.Context(), unitsOf(r.jobs), nil); err != nil {
		t.Fatal(err)
	}

	if !r.results[0].OK || r.results[1].OK || !strings.Contains(r.results[1].Detail, "No module named 'b'") {
		t.Errorf("%+v", r.results)
	}
}
