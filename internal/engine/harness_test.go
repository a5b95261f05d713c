package engine_test

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/layersmith/layersmith/internal/digest"
	"github.com/layersmith/layersmith/internal/engine"
	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/lock"
	"github.com/layersmith/layersmith/internal/memport"
	"github.com/layersmith/layersmith/internal/pydist"
	"github.com/layersmith/layersmith/internal/report"
	"github.com/layersmith/layersmith/internal/workspace"
)

func wantFault(t *testing.T, err error, code fault.Code, text string) {
	t.Helper()
	var f *fault.Error
	if !errors.As(err, &f) || f.Code != code || !strings.Contains(err.Error(), text) {
		t.Fatalf("error %v (%v), want %v with %q", err, fault.CodeOf(err), code, text)
	}
}

// factory builds a workspace whose layers carry synthetic wheels.
type factory struct {
	ws      workspace.Workspace
	read    func(string) ([]byte, error)
	lock    lock.Lock
	wheels  *memport.Wheels
	cache   *memport.Cache
	outputs *memport.Outputs
	python  *machine
}

// newFactory has layers of one distribution each. wheels maps the name of both to the files of the
// wheel, as name=content; files are those of the workspace.
func newFactory(t *testing.T, wheels map[string][]string, files ...string) *factory {
	t.Helper()
	f := &factory{
		wheels:  &memport.Wheels{},
		cache:   &memport.Cache{},
		outputs: &memport.Outputs{},
		python:  &machine{target: testTarget(t), growth: 1},
	}
	var dists []lock.Distribution
	closures := map[string][]pydist.Name{}
	for _, n := range slices.Sorted(maps.Keys(wheels)) {
		files = append(files, n+"/requirements.txt="+n+"\n")
		content := wheelOf(t, n, "1.0", wheels[n]...)
		f.wheels.Add(wheelName(n, "1.0"), content)
		dists = append(dists, locked(t, n, "1.0", content))
		closures[n] = []pydist.Name{name(t, n)}
	}

	f.ws, f.read = load(t, files...)
	f.lock = must[lock.Lock](t)(lock.New(testTarget(t), digest.Of(nil), dists, closures))
	return f
}

func (f *factory) build() engine.Build {
	return engine.Build{
		Tool:     "layersmith test",
		Wheels:   f.wheels,
		Cache:    f.cache,
		Python:   f.python,
		Mounts:   f.python,
		Outputs:  f.outputs,
		Progress: silent{},
	}
}

func (f *factory) input(layers ...string) engine.BuildInput {
	return engine.BuildInput{Workspace: f.ws, Lock: f.lock, Layers: layers, ReadFile: f.read}
}

func (f *factory) run(t *testing.T, layers ...string) (report.Report, bool) {
	t.Helper()
	rep, changed, err := f.build().Run(context.Background(), f.input(layers...))
	if err != nil {
		t.Fatal(err)
	}

	return rep, changed
}

func read(t *testing.T, f *factory, name string) []byte {
	return must[[]byte](t)(f.outputs.Read(context.Background(), name))
}
