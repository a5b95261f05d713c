// Package workspace reads and checks a workspace: the folder of layer specs that a team keeps under
// version control.
//
//	layers/
//	  workspace.yaml            targets, budget of a stack; optional
//	  consumers.yaml            the functions that move to new versions of the layers; optional
//	  <layer>/requirements.txt  the distributions of the layer
//	  <layer>/layer.yaml        the settings of the layer; optional
//	  <layer>/probe.py          the layer's own functional script; optional
//
// Every setting has a default: a folder with one requirements.txt is a complete layer. Unknown keys
// are errors. Load reports all findings at once, with file and line.
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

// MaxLayers is the number of layers that a Lambda function may have.
const MaxLayers = 5

// Limits of the files that are read. The YAML library takes quadratic time on deep nesting, hence
// the lower limits for YAML files.
const (
	maxFileBytes = 1 << 20
	maxSpecBytes = 64 << 10
	maxNesting   = 32
)

// nesting is the depth of brackets. Brackets in strings count too; maxNesting leaves room for them.
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

// notText is the first line that is not UTF-8 or contains a NUL; 0 if all lines are text. The YAML
// library accepts such lines, but reports could not print them.
func notText(b []byte) int {
	for i, line := range bytes.Split(b, []byte("\n")) {
		if !utf8.Valid(line) || bytes.IndexByte(line, 0) >= 0 {
			return i + 1
		}
	}

	return 0
}

// DefaultTarget is the target if neither the workspace nor the command line names one.
const DefaultTarget = "python3.13-x86_64"

// Mode is a layer's bytecode setting. docs/layer-yaml.md describes the modes.
type Mode string

// The modes. A build replaces Auto by one of the others once it has measured the sizes.
const (
	Auto          Mode = "auto"
	UncheckedHash Mode = "unchecked-hash"
	Lean          Mode = "lean"
	Sourceless    Mode = "sourceless"
	NoBytecode    Mode = "none"
)

var modes = []string{string(Auto), string(UncheckedHash), string(Lean), string(Sourceless), string(NoBytecode)}

// CheckLayerName checks a layer name that a user gave.
func CheckLayerName(name string) error {
	if !layerName.MatchString(name) {
		return fmt.Errorf("%q is not a layer name: letters, digits, - and _, at most 100 characters", name)
	}

	return nil
}

// Workspace is a checked workspace.
type Workspace struct {
	Targets   []pydist.Target
	Total     measure.Bytes // budget of any stack of layers, unzipped
	Layers    []Layer       // each after those that it extends, otherwise by name
	Consumers []Consumer    // in the order of consumers.yaml
}

// Layer is the spec of one layer.
type Layer struct {
	Name         string
	Description  string
	Extends      []string
	Budget       measure.Budget
	Bytecode     Mode
	Best         bool     // compression: best
	Imports      []string // modules that functions import at their start, for measuring import time
	Policy       policy.Settings
	Allow        []policy.Choice // findings of the gate that the layer accepts
	Requirements pydist.Requirements
	Probe        string        // path of the layer's probe.py, relative to the workspace; "" for none
	Digest       digest.SHA256 // of layer.yaml and probe.py

	places map[string]string // see Where
}

// Finding is one mistake in a workspace.
type Finding struct {
	Where   string // file:line, or a file
	Message string
	Hint    string
}

func (f Finding) Error() string { return f.Where + ": " + f.Message }

// Findings are the mistakes of a workspace, sorted by place.
type Findings []Finding

func (f Findings) Error() string {
	lines := make([]string, len(f))
	for i := range f {
		lines[i] = f[i].Error()
	}

	return strings.Join(lines, "\n")
}

var layerName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{0,99}$`)

// Load reads a workspace. root is the name of fsys in messages ("layers"). Mistakes in its files
// are returned as Findings.
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
			continue // no layer, for example a folder of wheels
		}

		where := path.Join(root, d.Name())
		if !layerName.MatchString(d.Name()) {
			l.find(where, "not a layer name", "use letters, digits, - and _, at most 100 characters")
			continue
		}

		if reqErr != nil {
			l.find(where, "requirements.txt is missing", "add it, or remove layer.yaml")
			continue
		}

		w.Layers = append(w.Layers, l.layer(d.Name()))
	}

	if len(w.Layers) == 0 && len(l.found) == 0 {
		l.find(root, "there are no layers", "run: layersmith init pandas, or add a folder with requirements.txt")
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

// Layer returns a layer by name.
func (w Workspace) Layer(name string) (Layer, bool) {
	for _, l := range w.Layers {
		if l.Name == name {
			return l, true
		}
	}

	return Layer{}, false
}

// Names returns the names of all layers, in their order.
func (w Workspace) Names() []string {
	names := make([]string, len(w.Layers))
	for i, l := range w.Layers {
		names[i] = l.Name
	}

	return names
}

// Below returns the layers that a layer extends, directly or indirectly, lowest first.
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
	extends map[string]string // layer -> place of its key extends
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
		l.find(path.Join(l.root, name), err.Error(), hintFile)
		return nil, false
	case strings.HasSuffix(name, ".yaml") && len(b) > maxSpecBytes:
		l.find(path.Join(l.root, name), fmt.Sprintf("%d bytes, limit %d", len(b), maxSpecBytes), hintSize)
		return nil, false
	case strings.HasSuffix(name, ".yaml") && nesting(b) > maxNesting:
		l.find(path.Join(l.root, name), fmt.Sprintf("nested %d deep, limit %d", nesting(b), maxNesting), hintYAML)
		return nil, false
	case len(b) > maxFileBytes:
		l.find(path.Join(l.root, name), fmt.Sprintf("%d bytes, limit %d", len(b), maxFileBytes), hintSize)
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
		"targets": func(v value) { w.Targets = v.targets() },
		"budget": func(v value) {
			v.object("total: 225 MiB", keys{
				"total": func(v value) { w.Total = v.bytes(measure.MaxUnzippedBytes) },
			})
		},
	})
}

func (v value) targets() []pydist.Target {
	items := v.list()
	if items != nil && len(items) == 0 {
		v.wrong("targets is empty", "add one: "+DefaultTarget)
	}

	var targets []pydist.Target
	for _, t := range items {
		s, ok := t.scalar()
		if !ok {
			continue
		}

		target, err := pydist.ParseTarget(s)
		switch {
		case err != nil:
			t.wrong(err.Error(), "write "+DefaultTarget+", or another runtime and architecture")
		case slices.Contains(targets, target):
			t.wrong(fmt.Sprintf("target %s is listed twice", target), "remove one of them")
		default:
			targets = append(targets, target)
		}
	}

	return targets
}

// layer reads the files of one layer.
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
			v.object("unzipped: 140 MB", keys{
				"unzipped": func(v value) { layer.Budget.Unzipped = v.bytes(measure.MaxUnzippedBytes) },
				"zipped":   func(v value) { layer.Budget.Zipped = v.bytes(measure.MaxUnzippedBytes) },
			})
		},
		"bytecode":    func(v value) { layer.Bytecode = Mode(v.oneOf(modes)) },
		"compression": func(v value) { layer.Best = v.oneOf([]string{"fast", "best"}) == "best" },
		"imports": func(v value) {
			layer.Imports = v.modules()
			for _, m := range layer.Imports {
				layer.note("imports", m, v)
			}
		},
		"services":  func(v value) { layer.Policy.Services = layer.noted("services", v) },
		"languages": func(v value) { layer.Policy.Languages = layer.noted("languages", v) },
		"modules": func(v value) {
			v.entries("scipy: [linalg]", func(pkg string, v value) {
				layer.note("modules", pkg, v)
				layer.Policy.Modules[pkg] = layer.noted("modules "+pkg, v)
			})
		},
		"rules": func(v value) {
			v.entries("docs: "+switchExample, func(id string, v value) {
				layer.note("rules", id, v)
				v.rule(id, layer.Policy.Rules)
			})
		},
		"keep":  func(v value) { layer.Policy.Keep = layer.choices("keep", v) },
		"drop":  func(v value) { layer.Policy.Drop = layer.choices("drop", v) },
		"allow": func(v value) { layer.Allow = layer.choices("allow", v) },
	})
	probe, ok := l.read(name + "/probe.py")
	if ok {
		layer.Probe = name + "/probe.py"
	}

	l.withoutList(layer)
	layer.Digest = layer.digestOf(spec, probe)
	layer.Requirements = l.requirements(name)
	return layer
}

const switchExample = "{ enabled: true, reason: ... }"

// rule reads the switch of one rule.
func (v value) rule(id string, switches map[string]policy.Switch) {
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
	if !v.object(strings.Trim(switchExample, "{} "), keys{
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
		v.wrong("reason is missing", reasonHint)
	}

	switches[id] = s
}

func (l *loader) requirements(name string) pydist.Requirements {
	file := name + "/requirements.txt"
	reqs, err := pydist.ParseRequirements(file, func(f string) ([]byte, error) { return ReadFile(l.fsys, f) })
	var at *pydist.PositionError
	switch {
	case errors.As(err, &at):
		where := path.Join(l.root, at.File)
		if at.Line > 0 {
			where += fmt.Sprintf(":%d", at.Line)
		}

		l.find(where, at.Msg, at.Hint)
	case err != nil:
		l.find(path.Join(l.root, file), err.Error(), hintFile)
	case len(reqs.Direct) == 0:
		l.find(path.Join(l.root, file), "there are no requirements", "add at least one distribution")
	}

	return reqs
}

// order checks extends, and sorts the layers so that each comes after those that it extends.
func (l *loader) order(w *Workspace) {
	for _, layer := range w.Layers {
		for _, e := range layer.Extends {
			if _, ok := w.Layer(e); !ok {
				l.find(l.extends[layer.Name], fmt.Sprintf("extends %q, which is not a layer", e), suggest(e, w.Names()))
			}
		}
	}

	w.Layers = l.sorted(*w)
	for _, layer := range w.Layers {
		below := w.Below(layer.Name)
		if n := len(below) + 1; n > MaxLayers && !slices.Contains(below, layer.Name) {
			l.find(
				l.extends[layer.Name],
				fmt.Sprintf("needs %d layers with those it extends; a Lambda function may have %d", n, MaxLayers),
				"merge some of the layers",
			)
		}
	}
}

// sorted returns the layers in topological order, by depth-first search, and finds cycles.
func (l *loader) sorted(w Workspace) []Layer {
	const (
		visiting = 1
		done     = 2
	)
	var out []Layer
	state := map[string]int{}
	var visit func(layer Layer, way []string)
	visit = func(layer Layer, way []string) {
		way = append(way, layer.Name)
		switch state[layer.Name] {
		case done:
			return
		case visiting:
			cycle := way[slices.Index(way, layer.Name):]
			l.find(l.extends[layer.Name], "extends itself: "+strings.Join(cycle, " -> "), "remove one of these")
			return
		}

		state[layer.Name] = visiting
		for _, e := range layer.Extends {
			if below, ok := w.Layer(e); ok {
				visit(below, way)
			}
		}

		state[layer.Name] = done
		out = append(out, layer)
	}
	for _, layer := range w.Layers {
		visit(layer, nil)
	}

	return out
}
