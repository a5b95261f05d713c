// Package workspace reads and checks the layer specs: the folder that a team keeps under version
// control.
//
//	layers/
//	  workspace.yaml            targets, budget of a stack; may be absent
//	  consumers.yaml            which functions move to new versions of the layers; may be absent
//	  <layer>/requirements.txt  what the layer carries
//	  <layer>/layer.yaml        everything about it that is not a requirement; may be empty or absent
//	  <layer>/probe.py          the layer's own probe, if there is one
//
// Everything has a default: a folder with one requirements.txt is a complete layer. Keys are
// checked strictly; what is wrong is reported as findings with file and line, all of them at once.
package workspace

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"sort"
	"strings"
	"unicode/utf8"

	"github.com/layersmith/layersmith/internal/digest"
	"github.com/layersmith/layersmith/internal/measure"
	"github.com/layersmith/layersmith/internal/policy"
	"github.com/layersmith/layersmith/internal/pydist"
)

// MaxLayers is how many layers a Lambda function may have.
const MaxLayers = 5

// Limits of what is read. The YAML library takes quadratic time on deep nesting, hence those for
// specs.
const (
	maxFileBytes = 1 << 20
	maxSpecBytes = 64 << 10
	maxNesting   = 32
)

// nesting is how deep brackets go; one in a text counts too, which does no harm at this limit.
func nesting(b []byte) int {
	depth := 0
	deepest := 0
	for _, c := range b {
		switch c {
		case '[', '{':
			depth++
			deepest = max(deepest, depth)
		case ']', '}':
			depth--
		}
	}

	return deepest
}

// notText is the first line that is not UTF-8 or holds a NUL; 0 when all is text. What YAML takes
// of it would end as something else in reports.
func notText(b []byte) int {
	for i, line := range bytes.Split(b, []byte("\n")) {
		if !utf8.Valid(line) || bytes.IndexByte(line, 0) >= 0 {
			return i + 1
		}
	}

	return 0
}

// DefaultTarget is built when neither the workspace nor the command line names one.
const DefaultTarget = "python3.13-x86_64"

// Mode is how a layer carries bytecode.
type Mode string

// The modes; Auto becomes one of the others when the sizes are known.
const (
	Auto          Mode = "auto"
	UncheckedHash Mode = "unchecked-hash"
	Lean          Mode = "lean"
	Sourceless    Mode = "sourceless"
	NoBytecode    Mode = "none"
)

var modes = []string{string(Auto), string(UncheckedHash), string(Lean), string(Sourceless), string(NoBytecode)}

// CheckLayerName says what is wrong with the name of a layer; nil when nothing is.
func CheckLayerName(name string) error {
	if !layerName.MatchString(name) {
		return fmt.Errorf("%q is not a name for a layer: letters, digits, - and _, at most 100", name)
	}

	return nil
}

// Workspace is a checked workspace.
type Workspace struct {
	Targets   []pydist.Target
	Total     measure.Bytes // what any stack of layers may weigh, unzipped
	Layers    []Layer       // a layer comes after those it extends, otherwise by name
	Consumers []Consumer    // in the order of the file; none when there is no consumers.yaml
}

// Layer is one layer's spec.
type Layer struct {
	Name         string
	Description  string
	Extends      []string
	Budget       measure.Budget
	Bytecode     Mode
	Best         bool     // deflate everything again with the strongest effort
	Imports      []string // what a function imports at its start: what import time is measured on
	Policy       policy.Settings
	Allow        []policy.Choice // findings of the gate that the layer accepts
	Requirements pydist.Requirements
	Probe        string        // the layer's own probe script, relative to the workspace; "" when there is none
	Digest       digest.SHA256 // of layer.yaml and probe.py
}

// Finding is one thing that is wrong with a workspace.
type Finding struct {
	Where   string // file:line, or a file
	Message string
	Hint    string
}

func (f Finding) Error() string { return f.Where + ": " + f.Message }

// Findings are sorted by place.
type Findings []Finding

func (f Findings) Error() string {
	lines := make([]string, len(f))
	for i := range f {
		lines[i] = f[i].Error()
	}

	return strings.Join(lines, "\n")
}

var layerName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{0,99}$`)

// Load reads a workspace. root is how fsys is called in messages ("layers"). The error is Findings
// when files are wrong.
func Load(fsys fs.FS, root string) (Workspace, error) {
	l := loader{fsys: fsys, root: root, extends: map[string]string{}}
	w := Workspace{Total: measure.Bytes(measure.MaxUnzippedBytes)}
	l.workspaceFile(&w)
	dirs, err := fs.ReadDir(fsys, ".")
	if err != nil {
		return Workspace{}, fmt.Errorf("read workspace %s: %w", root, err)
	}

	for _, d := range dirs {
		if !d.IsDir() || strings.HasPrefix(d.Name(), ".") {
			continue
		}

		_, reqErr := fs.Stat(fsys, d.Name()+"/requirements.txt")
		_, yamlErr := fs.Stat(fsys, d.Name()+"/layer.yaml")
		if reqErr != nil && yamlErr != nil {
			continue // some other folder, wheels say
		}

		if !layerName.MatchString(d.Name()) {
			l.find(
				path.Join(root, d.Name()),
				"not a name for a layer",
				"use letters, digits, - and _, at most 100: Lambda's own rule",
			)
			continue
		}

		if reqErr != nil {
			l.find(path.Join(root, d.Name()), "requirements.txt is missing", "add it, or remove layer.yaml")
			continue
		}

		w.Layers = append(w.Layers, l.layer(d.Name()))
	}

	if len(w.Layers) == 0 && len(l.found) == 0 {
		l.find(root, "no layer in it", "run: layersmith init pandas, or add a folder with requirements.txt")
	}

	l.order(&w)
	l.consumersFile(&w)
	if len(l.found) > 0 {
		sort.SliceStable(l.found, func(i, j int) bool { return less(l.found[i].Where, l.found[j].Where) })
		return Workspace{}, slices.Compact(l.found)
	}

	return w, nil
}

// less orders places by file, then by line as a number.
func less(a, b string) bool {
	split := func(s string) (string, int) {
		i := strings.LastIndexByte(s, ':')
		n := 0
		if i < 0 {
			return s, 0
		}

		fmt.Sscan(s[i+1:], &n)
		return s[:i], n
	}
	fa, la := split(a)
	fb, lb := split(b)
	if fa != fb {
		return fa < fb
	}

	return la < lb
}

// Layer finds a layer by name.
func (w Workspace) Layer(name string) (Layer, bool) {
	for _, l := range w.Layers {
		if l.Name == name {
			return l, true
		}
	}

	return Layer{}, false
}

// Names are those of all layers, in order.
func (w Workspace) Names() []string {
	names := make([]string, len(w.Layers))
	for i, l := range w.Layers {
		names[i] = l.Name
	}

	return names
}

// Below returns the layers that a layer extends, directly or not, lowest first.
func (w Workspace) Below(name string) []string {
	above := map[string]bool{}
	var walk func(string)
	walk = func(n string) {
		l, _ := w.Layer(n)
		for _, e := range l.Extends {
			if !above[e] {
				above[e] = true
				walk(e)
			}
		}
	}
	walk(name)
	var below []string
	for _, l := range w.Layers {
		if above[l.Name] {
			below = append(below, l.Name)
		}
	}

	return below
}

type loader struct {
	fsys    fs.FS
	root    string
	found   Findings
	extends map[string]string // layer -> where it says what it extends
}

func (l *loader) find(where, message, hint string) {
	l.found = append(l.found, Finding{where, message, hint})
}

func (l *loader) read(name string) ([]byte, bool) {
	b, err := fs.ReadFile(l.fsys, name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, false
	case err != nil:
		l.find(path.Join(l.root, name), err.Error(), "")
		return nil, false
	case strings.HasSuffix(name, ".yaml") && len(b) > maxSpecBytes:
		l.find(path.Join(l.root, name), fmt.Sprintf("%d bytes, limit %d", len(b), maxSpecBytes), "")
		return nil, false
	case strings.HasSuffix(name, ".yaml") && nesting(b) > maxNesting:
		l.find(path.Join(l.root, name), fmt.Sprintf("nested %d deep, limit %d", nesting(b), maxNesting), "")
		return nil, false
	case len(b) > maxFileBytes:
		l.find(path.Join(l.root, name), fmt.Sprintf("%d bytes, limit %d", len(b), maxFileBytes), "")
		return nil, false
	case strings.HasSuffix(name, ".yaml") && notText(b) > 0:
		l.find(fmt.Sprintf("%s:%d", path.Join(l.root, name), notText(b)), "not UTF-8 text", "save it as UTF-8")
		return nil, false
	}

	return b, true
}

func (l *loader) workspaceFile(w *Workspace) {
	def, _ := pydist.ParseTarget(DefaultTarget)
	w.Targets = []pydist.Target{def}
	b, ok := l.read("workspace.yaml")
	if !ok {
		return
	}

	d := document{loader: l, file: path.Join(l.root, "workspace.yaml")}
	d.walk(b, keys{
		"targets": func(v value) {
			w.Targets = nil
			items := v.list()
			if items != nil && len(items) == 0 {
				v.wrong("no target in it", "name one: "+DefaultTarget)
			}

			for _, t := range items {
				s, ok := t.scalar()
				if !ok {
					continue
				}

				target, err := pydist.ParseTarget(s)
				switch {
				case err != nil:
					t.wrong(err.Error(), "")
				case slices.Contains(w.Targets, target):
					t.wrong(fmt.Sprintf("the target %s is there twice", target), "")
				default:
					w.Targets = append(w.Targets, target)
				}
			}
		},
		"budget": func(v value) {
			v.object(keys{"total": func(v value) { w.Total = v.bytes(measure.MaxUnzippedBytes) }})
		},
	})
}

func (l *loader) layer(name string) Layer {
	layer := Layer{
		Name:     name,
		Bytecode: Auto,
		Policy:   policy.Settings{Rules: map[string]policy.Switch{}, Modules: map[string][]string{}},
	}
	spec, _ := l.read(name + "/layer.yaml")
	d := document{loader: l, file: path.Join(l.root, name, "layer.yaml")}
	d.walk(spec, keys{
		"description": func(v value) { layer.Description = v.text() },
		"extends": func(v value) {
			layer.Extends = v.texts()
			l.extends[name] = fmt.Sprintf("%s:%d", d.file, v.line)
		},
		"budget": func(v value) {
			v.object(keys{
				"unzipped": func(v value) { layer.Budget.Unzipped = v.bytes(measure.MaxUnzippedBytes) },
				"zipped":   func(v value) { layer.Budget.Zipped = v.bytes(measure.MaxUnzippedBytes) },
			})
		},
		"bytecode":    func(v value) { layer.Bytecode = Mode(v.oneOf(modes)) },
		"compression": func(v value) { layer.Best = v.oneOf([]string{"fast", "best"}) == "best" },
		"imports":     func(v value) { layer.Imports = v.modules() },
		"services":    func(v value) { layer.Policy.Services = v.texts() },
		"languages": func(v value) {
			layer.Policy.Languages = v.texts()
		},
		"modules": func(v value) {
			v.entries(func(pkg string, v value) { layer.Policy.Modules[pkg] = v.texts() })
		},
		"rules": func(v value) {
			v.entries(func(id string, v value) {
				book, err := policy.Builtin()
				if err != nil {
					v.wrong(err.Error(), "")
					return
				}

				known := policy.IDs(book)
				if !slices.Contains(known, id) {
					v.wrong(fmt.Sprintf("unknown rule %q", id), suggest(id, known))
					return
				}

				var s policy.Switch
				enabled := false
				if !v.object(keys{
					"enabled": func(v value) {
						s.Enabled = v.boolean()
						enabled = true
					},
					"reason": func(v value) { s.Reason = v.text() },
				}) {
					return
				}

				if !enabled {
					v.wrong("enabled is missing", "add enabled: true or enabled: false")
				}

				if s.Reason == "" {
					v.wrong("reason is missing", "say why: the report prints it")
				}

				layer.Policy.Rules[id] = s
			})
		},
		"keep":  func(v value) { layer.Policy.Keep = v.choices() },
		"drop":  func(v value) { layer.Policy.Drop = v.choices() },
		"allow": func(v value) { layer.Allow = v.choices() },
	})
	h := digest.NewHasher()
	h.Write(spec)
	if probe, ok := l.read(name + "/probe.py"); ok {
		layer.Probe = name + "/probe.py"
		h.Write([]byte{0})
		h.Write(probe)
	}

	layer.Digest = h.Sum()
	reqs, err := pydist.ParseRequirements(
		name+"/requirements.txt",
		func(f string) ([]byte, error) { return fs.ReadFile(l.fsys, f) },
	)
	if err != nil {
		var at *pydist.PositionError
		if errors.As(err, &at) {
			where := path.Join(l.root, at.File)
			if at.Line > 0 {
				where += fmt.Sprintf(":%d", at.Line)
			}

			l.find(where, at.Msg, at.Hint)
		} else {
			l.find(path.Join(l.root, name, "requirements.txt"), err.Error(), "")
		}
	} else if len(reqs.Direct) == 0 {
		l.find(path.Join(l.root, name, "requirements.txt"), "no requirement in it", "name at least one distribution")
	}

	layer.Requirements = reqs
	return layer
}

// order checks extends and sorts the layers so that each comes after what it extends.
func (l *loader) order(w *Workspace) {
	for _, layer := range w.Layers {
		for _, e := range layer.Extends {
			if _, ok := w.Layer(e); !ok {
				l.find(l.extends[layer.Name], fmt.Sprintf("extends %q, which is not a layer", e), suggest(e, w.Names()))
			}
		}
	}

	var sorted []Layer
	state := map[string]int{} // 1 being visited, 2 done
	var visit func(layer Layer, way []string)
	visit = func(layer Layer, way []string) {
		way = append(way, layer.Name)
		switch state[layer.Name] {
		case 2:
			return
		case 1:
			way = way[slices.Index(way, layer.Name):]
			l.find(l.extends[layer.Name], "extends itself: "+strings.Join(way, " -> "), "take one of them out")
			return
		}

		state[layer.Name] = 1
		for _, e := range layer.Extends {
			if below, ok := w.Layer(e); ok {
				visit(below, way)
			}
		}

		state[layer.Name] = 2
		sorted = append(sorted, layer)
	}
	for _, layer := range w.Layers {
		visit(layer, nil)
	}

	w.Layers = sorted
	for _, layer := range w.Layers {
		below := w.Below(layer.Name)
		if n := len(below) + 1; n > MaxLayers && !slices.Contains(below, layer.Name) {
			l.find(
				l.extends[layer.Name],
				fmt.Sprintf("needs %d layers with those it extends; a Lambda function may have %d", n, MaxLayers),
				"join some of them",
			)
		}
	}
}
