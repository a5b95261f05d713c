package engine

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/layersmith/layersmith/internal/measure"
	"github.com/layersmith/layersmith/internal/report"
	"github.com/layersmith/layersmith/internal/workspace"
)

// layers makes a workspace: "name", "name>below", "name:budget" or "name>below:budget", budgets
// unzipped.
func layers(total measure.Bytes, specs ...string) workspace.Workspace {
	w := workspace.Workspace{Total: total}
	for _, s := range specs {
		s, budget, _ := strings.Cut(s, ":")
		n, below, extends := strings.Cut(s, ">")
		l := workspace.Layer{Name: n}
		if extends {
			l.Extends = strings.Split(below, ",")
		}

		fmt.Sscan(budget, &l.Budget.Unzipped)
		w.Layers = append(w.Layers, l)
	}

	return w
}

func TestChooseBytecode(t *testing.T) {
	// units are layer/distribution=bytes; plain is what each layer weighs without.
	for name, c := range map[string]struct {
		ws    workspace.Workspace
		plain map[string]measure.Bytes
		units string
		want  string
	}{
		"all of it when it fits": {
			ws:    layers(1000, "a", "b"),
			units: "a/x=100 a/y=50 b/z=200",
			want:  "a/x a/y b/z",
		},
		"all of it when it fits to the byte": {
			ws:    layers(350, "a", "b"),
			units: "a/x=100 a/y=50 b/z=200",
			want:  "a/x a/y b/z",
		},
		"one byte too much costs the smallest": {
			ws:    layers(349, "a", "b"),
			units: "a/x=100 a/y=50 b/z=200",
			want:  "a/x b/z",
		},
		"a layer's budget is its own": {
			ws:    layers(1000, "a:120", "b"),
			units: "a/x=100 a/y=50 b/z=200",
			want:  "a/x b/z",
		},
		"a small one where a large one does not fit": {
			ws:    layers(1000, "a:60"),
			units: "a/x=100 a/y=50",
			want:  "a/y",
		},
		"what a layer weighs without counts": {
			ws:    layers(1000, "a:160"),
			plain: map[string]measure.Bytes{"a": 100},
			units: "a/x=100 a/y=50",
			want:  "a/y",
		},
		"nothing when it is too heavy without": {
			ws:    layers(1000, "a:90", "b"),
			plain: map[string]measure.Bytes{"a": 100},
			units: "a/x=1 b/z=200",
			want:  "b/z",
		},
		"nothing when the stack is too heavy without": {
			ws:    layers(100, "a", "b>a"),
			plain: map[string]measure.Bytes{"a": 60, "b": 60},
			units: "a/x=1 b/z=2",
			want:  "",
		},
		"the stack of layers that extend each other": {
			ws:    layers(300, "a", "b>a"),
			plain: map[string]measure.Bytes{"a": 100, "b": 100},
			units: "a/x=60 b/z=50",
			want:  "a/x",
		},
		"layers side by side are one stack too": {
			ws:    layers(300, "a", "b"),
			plain: map[string]measure.Bytes{"a": 100, "b": 100},
			units: "a/x=60 b/z=50",
			want:  "a/x",
		},
		"more layers than a function has are not": {
			ws:    layers(150, "a", "b", "c", "d", "e", "f"),
			units: "a/v=100 b/v=100 c/v=100 d/v=100 e/v=100 f/v=100",
			want:  "a/v b/v c/v d/v e/v f/v",
		},
		"equal ones by layer, then by distribution": {
			ws:    layers(200, "b", "a"),
			units: "b/x=100 a/y=100 a/x=100",
			want:  "a/x a/y",
		},
		"a layer that cannot have it does not hold back": {
			ws:    layers(1000, "a:10", "b:200"),
			units: "a/x=500 b/z=200",
			want:  "b/z",
		},
		"no bytecode": {ws: layers(1000, "a"), units: "", want: ""},
	} {
		t.Run(name, func(t *testing.T) {
			plain := map[string]measure.Size{}
			for _, l := range c.ws.Layers {
				plain[l.Name] = measure.Size{Unzipped: c.plain[l.Name]}
			}

			var units []bytecodeOf
			for _, f := range strings.Fields(c.units) {
				where, bytes, _ := strings.Cut(f, "=")
				l, d, _ := strings.Cut(where, "/")
				u := bytecodeOf{layer: l, distribution: d}
				fmt.Sscan(bytes, &u.size.Unzipped)
				units = append(units, u)
			}

			for range 2 { // in either order
				slices.Reverse(units)
				var got []string
				for u, ok := range fitBytecode(c.ws, plain, units) {
					if ok {
						got = append(got, u.layer+"/"+u.distribution)
					}
				}

				slices.Sort(got)
				if g := strings.Join(got, " "); g != c.want {
					t.Errorf("got %q, want %q", g, c.want)
				}
			}
		})
	}
}

func TestChooseBytecodeRespectsZippedBudgets(t *testing.T) {
	ws := layers(1000, "a")
	ws.Layers[0].Budget.Zipped = 120
	x := bytecodeOf{"a", "x", measure.Size{Unzipped: 90, Zipped: 100}}
	y := bytecodeOf{"a", "y", measure.Size{Unzipped: 50, Zipped: 30}}
	with := fitBytecode(ws, map[string]measure.Size{}, []bytecodeOf{x, y})
	if !with[x] || with[y] {
		t.Errorf("got %v", with)
	}
}

func TestChooseBytecodeOfManyLayersIsQuick(t *testing.T) {
	ws := workspace.Workspace{Total: 1000}
	var units []bytecodeOf
	for i := range 60 {
		n := fmt.Sprintf("layer%02d", i)
		ws.Layers = append(ws.Layers, workspace.Layer{Name: n})
		for d := range 30 {
			units = append(units, bytecodeOf{n, fmt.Sprint(d), measure.Size{Unzipped: measure.Bytes(40 + d)}})
		}
	}

	start := time.Now()
	fitBytecode(ws, map[string]measure.Size{}, units)
	if d := time.Since(start); d > 5*time.Second {
		t.Errorf("it took %v", d)
	}
}

func TestStackNames(t *testing.T) {
	for want, ws := range map[string]workspace.Workspace{
		"a":                layers(1, "a"),
		"a+b":              layers(1, "a", "b>a"),
		"a, b, a+b":        layers(1, "a", "b"),
		"a+b, a+c, a+b+c":  layers(1, "a", "b>a", "c>a"),
		"a+b+c":            layers(1, "a", "b>a", "c>b"),
		"a, b, c, d, e, f": layers(1, "a", "b", "c", "d", "e", "f"),
	} {
		var got []string
		for _, s := range stackNames(ws) {
			got = append(got, strings.Join(s, "+"))
		}

		if g := strings.Join(got, ", "); g != want {
			t.Errorf("got %q, want %q", g, want)
		}
	}
}

func TestStacksAreJudgedWhenTheyAreComplete(t *testing.T) {
	ws := layers(250, "a", "b>a", "c>a")
	weighs := func(n string, b measure.Bytes) report.Layer {
		return report.Layer{Name: n, After: measure.Size{Unzipped: b}}
	}
	var got []string
	for _, s := range Stacks(ws, []report.Layer{weighs("a", 100), weighs("b", 100)}) {
		got = append(got, fmt.Sprintf("%s %d %s", strings.Join(s.Layers, "+"), s.Unzipped, s.Verdict))
	}

	for _, s := range Stacks(ws, []report.Layer{weighs("a", 100), weighs("b", 100), weighs("c", 151)}) {
		got = append(got, fmt.Sprintf("%s %d %s", strings.Join(s.Layers, "+"), s.Unzipped, s.Verdict))
	}

	want := "a+b 200 within; a+b 200 within; a+c 251 over budget; a+b+c 351 over budget"
	if g := strings.Join(got, "; "); g != want {
		t.Errorf("got %q, want %q", g, want)
	}
}
