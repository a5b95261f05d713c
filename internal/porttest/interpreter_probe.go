package porttest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/layersmith/layersmith/internal/probe"
)

func script(source string) probe.Job {
	return probe.Job{Kind: probe.Script, Name: "probe.py", Source: source}
}

func module(name string) probe.Job { return probe.Job{Kind: probe.Module, Name: name} }

func metadata(name string) probe.Job { return probe.Job{Kind: probe.Metadata, Name: name} }

// probe runs jobs and checks that there is one result for each.
func (i interpreterTest) probe(mount string, jobs ...probe.Job) []probe.Result {
	i.Helper()
	var done atomic.Int32
	results := must(i.python().Probe(i.Context(), mount, jobs, func() { done.Add(1) }))(i)
	if len(results) != len(jobs) || int(done.Load()) != len(jobs) {
		i.Fatalf("%d results, %d done for %d jobs", len(results), done.Load(), len(jobs))
	}

	for n, r := range results {
		if r.Kind != jobs[n].Kind || r.Name != jobs[n].Name {
			i.Fatalf("result %d is of %s %s, want %s %s", n, r.Kind, r.Name, jobs[n].Kind, jobs[n].Name)
		}

		if strings.Contains(r.Detail, mount) {
			i.Errorf("%s %s: the detail has a path of this machine: %s", r.Kind, r.Name, r.Detail)
		}
	}

	return results
}

// probeScript runs one script without any layer.
func (i interpreterTest) probeScript(source string) probe.Result {
	i.Helper()
	return i.probe(i.opt(nil), script(source))[0]
}

func (i interpreterTest) passes(r probe.Result) {
	i.Helper()
	if !r.OK || r.Detail != "" {
		i.Errorf("%s %s: OK %v, %s", r.Kind, r.Name, r.OK, r.Detail)
	}
}

// fails expects a failure whose detail contains a text.
func (i interpreterTest) fails(r probe.Result, detail string) {
	i.Helper()
	if r.OK || !strings.Contains(r.Detail, detail) {
		i.Errorf("%s %s: OK %v, %q; want a failure with %q", r.Kind, r.Name, r.OK, r.Detail, detail)
	}
}

func (i interpreterTest) jobs() {
	mount := i.opt(map[string]string{
		"python/good.py":                             "x = 7\n",
		"python/bad.py":                              "import no_such_thing\n",
		"python/deep/sub/__init__.py":                "",
		"python/deep/__init__.py":                    "",
		"python/demo-1.0.dist-info/METADATA":         "Metadata-Version: 2.1\nName: demo\nVersion: 1.0\n",
		"python/demo-1.0.dist-info/RECORD":           "good.py,,\ndemo-1.0.dist-info/METADATA,,\n",
		"python/demo-1.0.dist-info/entry_points.txt": "[console_scripts]\nrun = good:x\n",
		"python/torn-1.0.dist-info/METADATA":         "Metadata-Version: 2.1\nName: torn\nVersion: 1.0\n",
		"python/torn-1.0.dist-info/RECORD":           "gone.py,,\n",
		"python/dead-1.0.dist-info/METADATA":         "Metadata-Version: 2.1\nName: dead\nVersion: 1.0\n",
		"python/dead-1.0.dist-info/RECORD":           "",
		"python/dead-1.0.dist-info/entry_points.txt": "[console_scripts]\nrun = good:no_such\n",
	})

	tests := []struct {
		job    probe.Job
		detail string // of the failure; "" for a job that passes
	}{
		{module("good"), ""},
		{module("bad"), "no_such_thing"},
		{module("deep.sub"), ""},
		{metadata("demo"), ""},
		{metadata("torn"), "gone.py"},
		{metadata("absent"), "absent"},
		{metadata("dead"), "no_such"},
		{script("import good\nassert good.x == 7\nassert __name__ == '__main__'\n"), ""},
		{script("import good\nassert good.x == 8, 'x is %d' % good.x\n"), "x is 7"},
		{script("this is (\n"), "SyntaxError"},
		{script("raise SystemExit(3)\n"), "3"},
	}
	var jobs []probe.Job
	for _, test := range tests {
		jobs = append(jobs, test.job)
	}

	results := i.probe(mount, jobs...)
	for n, test := range tests {
		if test.detail == "" {
			i.passes(results[n])
		} else {
			i.fails(results[n], test.detail)
		}
	}

	good := results[0]
	if good.Seconds <= 0 || good.PeakBytes < 1<<20 {
		i.Errorf("took %v s, %d bytes", good.Seconds, good.PeakBytes)
	}

	i.fails(results[1], "/opt/python/bad.py")
}

func (i interpreterTest) sysPath() {
	sitePackages := "python/lib/" + i.target.Runtime() + "/site-packages/"
	mount := i.opt(map[string]string{
		"python/a.py":         "",
		sitePackages + "b.py": "",
		"a.py":                "raise ValueError('not this one')\n",
		"own.py":              "",
	})
	const noPackagesOfThisMachine = `import sys
bad = [p for p in sys.path if p.endswith('-packages') and '/python/lib/' not in p]
assert not bad, bad
`
	results := i.probe(mount, module("b"), script(noPackagesOfThisMachine), module("a"), module("own"), module("pip"))
	pip := results[4]
	for _, r := range results[:4] {
		i.passes(r)
	}

	i.fails(pip, "pip")
}

func (i interpreterTest) environment() {
	i.Setenv("PORTTEST_SECRET", "x")
	i.Setenv("PYTHONSTARTUP", "/nowhere")
	mount := i.opt(map[string]string{"python/a.py": "x = 1\n"})

	i.passes(i.probe(mount, script(`import os, tempfile, a
assert 'PORTTEST_SECRET' not in os.environ
tempfile.mkdtemp()
for key in ('AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY', 'MPLCONFIGDIR', 'PYTHONSTARTUP'):
    assert key not in os.environ, key
def refused(path):
    try:
        os.makedirs(path)
    except OSError:
        return True
assert refused(os.path.expanduser('~/g')), 'HOME can be written'
`))[0])

	if _, err := os.Stat(filepath.Join(mount, "python", "__pycache__")); err == nil {
		i.Error("the job wrote bytecode into the mount")
	}
}

func (i interpreterTest) hangingJob() {
	start := time.Now()
	results := i.probe(i.opt(nil), script("import time\ntime.sleep(60)\n"), script("pass"))
	i.fails(results[0], "did not end within")
	i.passes(results[1])
	if d := time.Since(start); d > 10*time.Second {
		i.Errorf("it took %v", d)
	}
}

func (i interpreterTest) leftProcess() {
	r := i.probeScript(`import os, time
pid = os.fork()
if pid == 0:
    time.sleep(60)
    os._exit(0)
raise SystemExit(str(pid))
`)
	pid := must(strconv.Atoi(r.Detail))(i)
	for range 100 {
		if isGone(pid) {
			return
		}

		time.Sleep(20 * time.Millisecond)
	}

	i.Errorf("process %d still runs", pid)
}

// isGone reports whether a process has ended, even if its parent has not collected it yet.
func isGone(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return true
	}

	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))

	return err == nil && strings.Contains(string(b), ") Z ")
}

func (i interpreterTest) hugeOutput() {
	r := i.probeScript(`import sys
for i in range(200000):
    sys.stderr.write('y' * 99 + '\n')
sys.stdout.write('z' * 20_000_000)
raise SystemExit('the end')
`)
	i.fails(r, "the end")
	if len(r.Detail) > 100_000 {
		i.Errorf("the detail has %d bytes", len(r.Detail))
	}
}

func (i interpreterTest) crash() {
	i.fails(i.probeScript("import os\nos.abort()\n"), "")
}

func (i interpreterTest) probeCanceled() {
	ctx, cancel := context.WithTimeout(i.Context(), 300*time.Millisecond)
	defer cancel()

	jobs := []probe.Job{script("import time\ntime.sleep(60)\n")}
	_, err := i.python().Probe(ctx, i.opt(nil), jobs, func() {})
	if !errors.Is(err, context.DeadlineExceeded) {
		i.Fatalf("error %v, want context.DeadlineExceeded", err)
	}
}
