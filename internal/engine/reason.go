package engine

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/layersmith/layersmith/internal/measure"
	"github.com/layersmith/layersmith/internal/report"
	"github.com/layersmith/layersmith/internal/workspace"
)

// freshness compares a layer of the last build with its job of today.
type freshness struct {
	old    report.Report
	layer  report.Layer
	job    Job
	ws     workspace.Workspace
	states map[string]string // of the layers before it
}

// reason is why a layer has to be built again; "" when it has not.
func (f freshness) reason(tool, interpreter string) string {
	was := f.layer.Inputs
	is := f.job.inputs(interpreter)
	switch {
	case f.old.Tool != tool:
		return fmt.Sprintf("the tool changed: %s -> %s", f.old.Tool, tool)
	case was.Base == is.Base:
		return f.room()
	}

	if lock := changedWheels(was.Wheels, is.Wheels); lock != "" {
		return "lock: " + lock
	}

	switch {
	case was.LayerSpec != is.LayerSpec:
		return f.job.specFiles() + " changed"
	case was.Interpreter != is.Interpreter:
		return fmt.Sprintf("the interpreter changed: %s -> %s", orNo(was.Interpreter), orNo(is.Interpreter))
	case was.Policy != is.Policy, was.Compression != is.Compression, !maps.Equal(was.Transforms, is.Transforms):
		return "the rules of the tool changed"
	}

	for _, below := range f.ws.Below(f.layer.Name) {
		if f.states[below] != "up to date" {
			return fmt.Sprintf("the layer %s below changed", below)
		}
	}

	return "the tool or the layers below changed"
}

func (j Job) specFiles() string {
	if j.Spec.Probe != "" {
		return "layer.yaml or probe.py"
	}

	return "layer.yaml"
}

func orNo(interpreter string) string {
	if interpreter == "" {
		return "none"
	}

	return interpreter
}

// room is why the layer may have another amount of bytecode now, given its own inputs are the same:
// the budget of a stack changed, and not all bytecode fitted or fits. Other layers that changed are
// stale themselves.
func (f freshness) room() string {
	if f.layer.Inputs.Stacks == f.job.stacks {
		return ""
	}

	for _, st := range Judged(f.ws, f.old).Stacks {
		was, known := f.budget(st.Layers)
		switch {
		case !slices.Contains(st.Layers, f.layer.Name), known && was == st.Budget:
		case st.Verdict != measure.Within, f.layer.Bytecode.Partial:
			return fmt.Sprintf("budget.total changed to %s", st.Budget)
		}
	}

	return ""
}

// budget is the budget that a stack had in the last build.
func (f freshness) budget(layers []string) (measure.Bytes, bool) {
	for _, st := range f.old.Stacks {
		if strings.Join(st.Layers, " ") == strings.Join(layers, " ") {
			return st.Budget, true
		}
	}

	return 0, false
}

// changesNamed is how many changes of a lock a reason names.
const changesNamed = 3

// changedWheels are the differences between the wheels of a layer: "numpy 2.1 -> 2.2".
func changedWheels(was, is []report.Wheel) string {
	before := map[string]report.Wheel{}
	for _, w := range was {
		before[w.Name] = w
	}

	var out []string
	for _, w := range is {
		b, there := before[w.Name]
		delete(before, w.Name)
		switch {
		case !there:
			out = append(out, "+ "+w.Name+" "+w.Version)
		case b.Version != w.Version:
			out = append(out, w.Name+" "+b.Version+" -> "+w.Version)
		case b.SHA256 != w.SHA256:
			out = append(out, w.Name+" "+w.Version+" has another file")
		}
	}

	for _, name := range sortedKeys(before) {
		out = append(out, "- "+name)
	}

	if n := len(out) - changesNamed; n > 0 {
		out = append(out[:changesNamed], fmt.Sprintf("%d more", n))
	}

	return strings.Join(out, ", ")
}
