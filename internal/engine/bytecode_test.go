package engine_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/measure"
	"github.com/layersmith/layersmith/internal/report"
	"github.com/layersmith/layersmith/internal/workspace"
)

// Bytecode also adds lines to RECORD, which count too.
func TestAutoBytecodeStaysWithinTheBudget(t *testing.T) {
	var files []string
	for i := range 40 {
		source := strings.Repeat("x = 1\n", 5)
		files = append(files, fmt.Sprintf("alpha/a_module_with_a_long_name_%02d.py=%s", i, source))
	}

	files = append(files, "alpha/__init__.py=")
	full, _ := newFactory(t, map[string][]string{"alpha": files}).run(t)
	after := full.Layers[0].After.Unzipped
	code := full.Layers[0].Bytecode.Size.Unzipped
	if code == 0 {
		t.Fatal("no bytecode at all")
	}

	for _, budget := range []measure.Bytes{after, after - 1, after - 500, after - 1500, after - 3000, after - code} {
		f := newFactory(t, map[string][]string{"alpha": files},
			fmt.Sprintf("alpha/layer.yaml=budget:\n  unzipped: %d B\n", int64(budget)))
		rep, _, err := f.build().Run(context.Background(), f.input())
		if err != nil {
			t.Errorf("budget %d of %d: %v", budget, after, err)
			continue
		}

		l := rep.Layers[0]
		all := l.Bytecode.Mode == string(workspace.UncheckedHash)
		if l.After.Unzipped > budget || budget == after && !all {
			t.Errorf("budget %d: %d bytes, bytecode %s", budget, l.After.Unzipped, l.Bytecode.Mode)
		}
	}
}

func TestSourcelessLayersAreCountedWithoutTheirSources(t *testing.T) {
	source := strings.Repeat("x = 1\n", 500)
	build := func(total measure.Bytes) report.Report {
		f := newFactory(t,
			map[string][]string{"alpha": {"alpha/__init__.py=" + source}, "beta": {"beta/__init__.py=" + source}},
			"alpha/layer.yaml=bytecode: sourceless\n")
		f.ws.Total = total
		rep, _ := f.run(t)
		return rep
	}
	all := build(measure.MaxUnzippedBytes)
	var sum measure.Bytes
	for _, l := range all.Layers {
		sum += l.After.Unzipped
	}

	for total, want := range map[measure.Bytes]string{sum + 100: "unchecked-hash", sum - 1: "none"} {
		if got := build(total).Layers[1].Bytecode.Mode; got != want {
			t.Errorf("total %d of %d: bytecode %s, want %s", total, sum, got, want)
		}
	}
}

func TestBytecodeIsCompiledOnce(t *testing.T) {
	f := newFactory(t, map[string][]string{"alpha": {"alpha/__init__.py=x = 1\n", "alpha/bad.py=syntax error\n"}})
	rep, _ := f.run(t)
	if got := fmt.Sprint(rep.Layers[0].Notes); !strings.Contains(got, "alpha/bad.py: kept without bytecode") {
		t.Errorf("notes %s", got)
	}

	n := len(f.python.compiled)
	in := f.input()
	in.Rebuild = true
	if _, _, err := f.build().Run(context.Background(), in); err != nil || n != 2 || len(f.python.compiled) != n {
		t.Errorf("compiled %v, %v", f.python.compiled, err)
	}
}

func TestWithoutInterpreter(t *testing.T) {
	for mode, want := range map[string]fault.Code{
		"auto":           "",
		"none":           "",
		"unchecked-hash": fault.ToolMissing,
		"lean":           fault.ToolMissing,
		"sourceless":     fault.ToolMissing,
	} {
		f := newFactory(t, map[string][]string{"alpha": {"alpha.py=x = 1\n"}}, "alpha/layer.yaml=bytecode: "+mode+"\n")
		b := f.build()
		b.Python = nil
		b.NoPython = "there is none"
		rep, _, err := b.Run(context.Background(), f.input())
		if want != "" {
			wantFault(t, err, want, "there is none")
			continue
		}

		if err != nil {
			t.Errorf("%s: %v", mode, err)
			continue
		}

		l := rep.Layers[0]
		if l.Probe.Status != report.NotProbed || l.Probe.Reason != "there is none" || l.Bytecode.Mode != "none" {
			t.Errorf("%s: %+v", mode, l)
		}
	}
}
