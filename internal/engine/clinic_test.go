package engine_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/layersmith/layersmith/internal/digest"
	"github.com/layersmith/layersmith/internal/engine"
	"github.com/layersmith/layersmith/internal/lock"
	"github.com/layersmith/layersmith/internal/probe"
	"github.com/layersmith/layersmith/internal/pydist"
	"github.com/layersmith/layersmith/internal/report"
)

// healedAt is the date in the reasons that clinics write.
var healedAt = time.Date(2026, 11, 23, 23, 0, 0, 0, time.UTC)

// clinic is a factory whose builds heal.
type clinic struct {
	*factory
	written map[string]string // layer.yaml files, as they were written last
	writes  int
	told    []string
	limit   int
}

// newClinic has layers as newFactory makes them.
func newClinic(t *testing.T, wheels map[string][]string, files ...string) *clinic {
	return &clinic{factory: newFactory(t, wheels, files...), written: map[string]string{}}
}

// newAlphaClinic has one layer alpha with a probe.py.
func newAlphaClinic(t *testing.T, wheel []string, files ...string) *clinic {
	return newClinic(t, map[string][]string{"alpha": wheel}, append(files, "alpha/probe.py=import alpha\n")...)
}

func (c *clinic) heal() (report.Report, bool, error) {
	b := c.build()
	b.Heal = &engine.Heal{
		Now:   func() time.Time { return healedAt },
		Runs:  c.limit,
		Write: c.write,
		Told: func(layer string, h report.Healed) {
			c.told = append(c.told, report.HealedText(layer, h, "layers/"+h.File))
		},
	}
	return c.healWith(b, c.input())
}

func (c *clinic) write(name string, text []byte) error {
	c.written[name] = string(text)
	c.writes++
	return nil
}

func (c *clinic) healWith(b engine.Build, in engine.BuildInput) (report.Report, bool, error) {
	in.ReadFile = func(name string) ([]byte, error) {
		if text, ok := c.written[name]; ok {
			return []byte(text), nil
		}

		return c.read(name)
	}
	return b.Run(context.Background(), in)
}

// scriptRuns counts the runs of probe.py.
func (c *clinic) scriptRuns() int {
	n := 0
	for _, p := range c.python.probed {
		if p == "script probe.py" {
			n++
		}
	}

	return n
}

// needs makes scripts fail unless all of these files are mounted. says is the traceback for the
// first file that is missing.
func needs(says func(missing string) string, files ...string) func(probe.Job, func(string) bool) string {
	return func(j probe.Job, has func(string) bool) string {
		if j.Kind != probe.Script {
			return ""
		}

		for _, f := range files {
			if !has("python/" + f) {
				return says(f)
			}
		}

		return ""
	}
}

// silently does not name the file.
func silently(string) string {
	return `Traceback
  File "/tmp/script.py", line 1, in <module>
RuntimeError: something is missing`
}

func byPath(f string) string {
	return `Traceback
  File "/opt/python/alpha/core.py", line 7, in load
FileNotFoundError: [Errno 2] No such file or directory: '/opt/python/` + f + "'"
}

func byModule(f string) string {
	module := strings.TrimSuffix(strings.TrimSuffix(f, "/__init__.py"), ".py")
	return "ModuleNotFoundError: No module named '" + strings.ReplaceAll(module, "/", ".") + "'"
}

// many is the package alpha with stubs, and n modules and n other files in its tests.
func many(n int) []string {
	files := []string{
		"alpha/__init__.py=x = 1\n",
		"alpha/a.pyi=x: int\n",
		"alpha/b.pyi=y: int\n",
		"alpha/sub/tests/__init__.py=import unittest\n",
		"alpha/sub/tests/data.txt=data\n",
		"alpha/sub/tests/more.txt=more\n",
	}
	for i := range n {
		files = append(files, fmt.Sprintf("alpha/tests/test_%03d.py=t = %d\n", i, i),
			fmt.Sprintf("alpha/tests/deep%d/x.txt=d\n", i%7*1000+i))
	}

	return files
}

// keepList is the list that healing writes into layer.yaml for files that probe.py needs. where is
// the place in the layer that the error names: atCore or "".
func keepList(where string, matches ...string) string {
	list := "keep:\n"
	for _, m := range matches {
		list += `  - { match: "` + m + `", reason: "script probe.py fails without it` + where + healedMark
	}

	return list
}

const (
	atCore     = " (alpha/core.py:7)"
	healedMark = `; healed 2026-11-23" }` + "\n"
)

// seeing is a machine that notes the folder of its last probe.
type seeing struct {
	*machine
	mount string
}

func (s *seeing) Probe(ctx context.Context, mount string, jobs []probe.Job, done func()) ([]probe.Result, error) {
	s.mount = mount
	return s.machine.Probe(ctx, mount, jobs, done)
}

// stacked has a layer beta that extends alpha. Each carries the distribution of its name.
func stacked(t *testing.T, files ...string) *clinic {
	c := newClinic(t,
		map[string][]string{
			"alpha": many(30),
			"beta":  {"beta/__init__.py=import alpha\n", "beta/tests/conftest.py=", "beta/tests/x.txt=x\n"},
		},
		append(files, "beta/layer.yaml=extends: alpha\n", "beta/probe.py=import beta\n")...)
	closures := map[string][]pydist.Name{
		"alpha": {name(t, "alpha")},
		"beta":  {name(t, "beta"), name(t, "alpha")},
	}
	c.lock = must[lock.Lock](t)(lock.New(testTarget(t), digest.Of(nil), c.lock.Distributions, closures))
	return c
}
