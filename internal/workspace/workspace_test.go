package workspace

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/layersmith/layersmith/internal/measure"
	"github.com/layersmith/layersmith/internal/policy"
)

// folder is a workspace of these files.
// Hints of many findings, as lines.
const (
	keysHint = "  hint: docs/layer-yaml.md shows each key with an example\n"
	yamlHint = "  hint: correct that line; YAML is indented by spaces, and brackets and quotes are closed\n"
	sizeHint = "  hint: a spec has a few lines: move data into files of its own\n"
)

func folder(files map[string]string) fstest.MapFS {
	fsys := fstest.MapFS{}
	for name, text := range files {
		fsys[name] = &fstest.MapFile{Data: []byte(text)}
	}

	return fsys
}

// layers adds requirements.txt to each layer that has none.
func layers(files map[string]string) fstest.MapFS {
	fsys := folder(files)
	for name := range files {
		if dir, _, ok := strings.Cut(name, "/"); ok && fsys[dir+"/requirements.txt"] == nil {
			fsys[dir+"/requirements.txt"] = &fstest.MapFile{Data: []byte("numpy\n")}
		}
	}

	return fsys
}

// lines prints findings as the command line does.
func lines(err error) string {
	var found Findings
	if !errors.As(err, &found) {
		return fmt.Sprint(err)
	}

	var b strings.Builder
	for _, f := range found {
		b.WriteString(f.Error() + "\n")
		if f.Hint != "" {
			b.WriteString("  hint: " + f.Hint + "\n")
		}
	}

	return b.String()
}

const (
	layerKeys = "allow, budget, bytecode, compression, description, drop, extends, imports, keep, languages, " +
		"modules, rules, services"
	why      = "  hint: say why: the report prints it\n"
	nameHint = "  hint: use letters, digits, - and _, at most 100 characters\n"
)

func TestLoadSaysWhatIsWrongWithALayer(t *testing.T) {
	for sentence, tt := range map[string]struct{ yaml, want string }{
		"an unknown key, nearly a known one": {
			"description: x\nservice: [s3]\n",
			"layers/a/layer.yaml:2: unknown key \"service\"\n  hint: did you mean \"services\"?\n",
		},
		"an unknown key, far from all": {
			"zzzzzzzzzzzzzz: 1\n",
			"layers/a/layer.yaml:1: unknown key \"zzzzzzzzzzzzzz\"\n  hint: known: " + layerKeys + "\n",
		},
		"an unknown key in an object": {
			"budget:\n  unziped: 1 MB\n",
			"layers/a/layer.yaml:2: unknown key \"unziped\"\n  hint: did you mean \"unzipped\"?\n",
		},
		"a duplicate key": {
			"description: x\ndescription: y\n",
			"layers/a/layer.yaml:2: not YAML: mapping key \"description\" already defined at [1:1]\n" + yamlHint,
		},
		"an unknown rule": {
			"rules:\n  test: { enabled: true, reason: x }\n",
			"layers/a/layer.yaml:2: unknown rule \"test\"\n  hint: did you mean \"tests\"?\n",
		},
		"a rule without reason": {
			"rules:\n  tests: { enabled: false }\n",
			"layers/a/layer.yaml:2: reason is missing\n" + why,
		},
		"a rule without anything": {
			"rules:\n  tests:\n",
			"layers/a/layer.yaml:2: enabled is missing\n  hint: add enabled: true or enabled: false\n" +
				"layers/a/layer.yaml:2: reason is missing\n" + why,
		},
		"a rule that is only true": {
			"rules:\n  tests: true\n",
			"layers/a/layer.yaml:2: expected a mapping, for example { enabled: true, reason: ... }\n" + keysHint,
		},
		"a rule that is enabled: yes": {
			"rules:\n  tests: { enabled: yes, reason: x }\n",
			"layers/a/layer.yaml:2: expected true or false\n" + keysHint,
		},
		"a keep without reason": {
			"keep:\n  - { match: \"a/**\" }\n",
			"layers/a/layer.yaml:2: reason is missing\n" + why,
		},
		"a keep with an empty reason": {
			"keep:\n  - match: \"a/**\"\n    reason: \"\"\n",
			"layers/a/layer.yaml:2: reason is missing\n" + why,
		},
		"a drop without match": {
			"drop:\n  - { reason: x }\n",
			"layers/a/layer.yaml:2: pattern is empty\n  hint: write a glob such as pandas/tests/**\n",
		},
		"a drop of an absolute path": {
			"drop:\n  - { match: /opt/python/a, reason: x }\n",
			"layers/a/layer.yaml:2: pattern \"/opt/python/a\": starts with /; patterns are relative to the folder " +
				"that is on sys.path\n  hint: write a glob such as pandas/tests/**\n",
		},
		"a drop that is no glob": {
			"drop:\n\n  - { match: \"a/[b\", reason: x }\n",
			"layers/a/layer.yaml:3: pattern \"a/[b\": not a valid glob\n  hint: write a glob such as pandas/tests/**\n",
		},
		"an allow that is no list": {
			"allow: { match: a, reason: b }\n",
			"layers/a/layer.yaml:1: expected a list\n" + keysHint,
		},
		"a keep that is text": {
			"keep: [ \"a/**\" ]\n",
			"layers/a/layer.yaml:1: expected a mapping, for example { match: \"x/**\", reason: ... }\n" + keysHint,
		},
		"a list where text is":  {"description: [x]\n", "layers/a/layer.yaml:1: expected text\n" + keysHint},
		"nothing where text is": {"description:\n", "layers/a/layer.yaml:1: expected text\n" + keysHint},
		"an object where a list is": {
			"services: { s3: true }\n",
			"layers/a/layer.yaml:1: expected text\n" + keysHint,
		},
		"an object in a list": {
			"services:\n  - s3\n  - { a: b }\n",
			"layers/a/layer.yaml:3: expected text\n" + keysHint,
		},
		"a number where an object is": {
			"budget: 140 MB\n",
			"layers/a/layer.yaml:1: expected a mapping, for example { unzipped: 140 MB }\n" + keysHint,
		},
		"modules as a list": {
			"modules: [scipy]\n",
			"layers/a/layer.yaml:1: expected a mapping, for example { scipy: [linalg] }\n" + keysHint,
		},
		"a size without meaning": {
			"budget: { unzipped: much }\n",
			"layers/a/layer.yaml:1: \"much\" is not a size\n  hint: write it as 140 MB or 225 MiB\n",
		},
		"a negative size": {
			"budget: { zipped: -1 MB }\n",
			"layers/a/layer.yaml:1: \"-1 MB\" is not a size\n  hint: write it as 140 MB or 225 MiB\n",
		},
		"a size with an unknown unit": {
			"budget: { zipped: 1 mb }\n",
			"layers/a/layer.yaml:1: \"1 mb\" is not a size\n  hint: write it as 140 MB or 225 MiB\n",
		},
		"a list where a size is": {
			"budget: { zipped: [1] }\n",
			"layers/a/layer.yaml:1: expected text\n" + keysHint,
		},
		"more than Lambda allows": {
			"budget:\n  unzipped: 251 MiB\n",
			"layers/a/layer.yaml:2: 263.2 MB is 1.0 MB more than Lambda allows, 262.1 MB\n" +
				"  hint: write at most 250 MiB\n",
		},
		"an unknown mode": {
			"bytecode: leen\n",
			"layers/a/layer.yaml:1: \"leen\"; known: auto, unchecked-hash, lean, sourceless, none\n  hint: did you " +
				"mean \"lean\"?\n",
		},
		"a mode that is a list": {"bytecode: [lean]\n", "layers/a/layer.yaml:1: expected text\n" + keysHint},
		"a module that is a path": {
			"imports: [sklearn/ensemble]\n",
			"layers/a/layer.yaml:1: \"sklearn/ensemble\" is not a module name\n  hint: write it as in an " +
				"import statement: sklearn.ensemble\n",
		},
		"an unknown layer below": {
			"description: x\nextends: [b, aa]\n",
			"layers/a/layer.yaml:2: extends \"b\", which is not a layer\n  hint: known: a\nlayers/a/layer.yaml:2: " +
				"extends \"aa\", which is not a layer\n  hint: did you mean \"a\"?\n",
		},
		"itself below": {
			"extends: a\n",
			"layers/a/layer.yaml:1: extends itself: a -> a\n  hint: remove one of these\n",
		},
		"not YAML": {
			"description: [\n",
			"layers/a/layer.yaml:1: not YAML: sequence end token ']' not found\n" + yamlHint,
		},
		"a tab": {
			"budget:\n\tzipped: 1 MB\n",
			"layers/a/layer.yaml:2: not YAML: found character '\t' that cannot start any token\n" + yamlHint,
		},
		"text alone": {
			"numpy\n",
			"layers/a/layer.yaml:1: expected a mapping, for example { key: value }\n" + keysHint,
		},
		"two documents": {
			"description: x\n---\ndescription: y\n",
			"layers/a/layer.yaml: more than one YAML document\n  hint: keep only the first\n",
		},
		"an alias": {
			"description: &x text\nextends: *x\n",
			"layers/a/layer.yaml:2: YAML aliases are not supported\n  hint: repeat the value\n",
		},
		"a merge key": {
			"budget:\n  <<: { zipped: 1 MB }\n",
			"layers/a/layer.yaml:2: unknown key \"<<\"\n  hint: known: unzipped, zipped\n",
		},
		"several things, in the order of lines": {
			"bytecode: x\nservces: [s3]\nbudget:\n  zipped: 0\ndescription: x\n\n\n\n\nlanguags: de\n",
			"layers/a/layer.yaml:1: \"x\"; known: auto, unchecked-hash, lean, sourceless, none\n  hint: known: auto, " +
				"unchecked-hash, lean, sourceless, none\nlayers/a/layer.yaml:2: unknown key \"servces\"\n  hint: did " +
				"you mean \"services\"?\nlayers/a/layer.yaml:4: \"0\" is not a size\n  hint: write it as 140 MB or " +
				"225 MiB\nlayers/a/layer.yaml:10: unknown key \"languags\"\n  hint: did you mean \"languages\"?\n",
		},
	} {
		t.Run(sentence, func(t *testing.T) {
			_, err := Load(layers(map[string]string{"a/layer.yaml": tt.yaml}), "layers")
			if diff := cmp.Diff(tt.want, lines(err)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestLoadSaysWhatIsWrongWithAWorkspace(t *testing.T) {
	long := strings.Repeat("x", 101)
	for sentence, tt := range map[string]struct {
		files fstest.MapFS
		want  string
	}{
		"an unknown key": {
			layers(map[string]string{"a/layer.yaml": "", "workspace.yaml": "target: [python3.13-x86_64]\n"}),
			"layers/workspace.yaml:1: unknown key \"target\"\n  hint: did you mean \"targets\"?\n",
		},
		"an unknown architecture": {
			layers(map[string]string{
				"a/layer.yaml":   "",
				"workspace.yaml": "targets:\n  - python3.13-arm64\n  - python3.13-mips\n",
			}),
			"layers/workspace.yaml:3: target \"python3.13-mips\": unknown architecture; known: arm64, x86_64\n" +
				"  hint: write python3.13-x86_64, or another runtime and architecture\n",
		},
		"a target in two forms": {
			layers(map[string]string{"a/layer.yaml": "", "workspace.yaml": "targets: [[python3.13-arm64]]\n"}),
			"layers/workspace.yaml:1: expected text\n" + keysHint,
		},
		"a target that is there": {
			layers(map[string]string{
				"a/layer.yaml":   "",
				"workspace.yaml": "targets: [python3.13-arm64, python3.13-arm64]\n",
			}),
			"layers/workspace.yaml:1: target python3.13-arm64 is listed twice\n  hint: remove one of them\n",
		},
		"no target": {
			layers(map[string]string{"a/layer.yaml": "", "workspace.yaml": "targets: []\n"}),
			"layers/workspace.yaml:1: targets is empty\n  hint: add one: python3.13-x86_64\n",
		},
		"targets that are no list": {
			layers(map[string]string{"a/layer.yaml": "", "workspace.yaml": "targets: python3.13-x86_64\n"}),
			"layers/workspace.yaml:1: expected a list\n" + keysHint,
		},
		"a budget over the limit": {
			layers(map[string]string{"a/layer.yaml": "", "workspace.yaml": "budget: { total: 1 GB }\n"}),
			"layers/workspace.yaml:1: 1000.0 MB is 737.9 MB more than Lambda allows, 262.1 MB\n" +
				"  hint: write at most 250 MiB\n",
		},
		"no layer": {
			folder(map[string]string{"readme.md": "", "wheels/a.whl": ""}),
			"layers: there are no layers\n  hint: run: layersmith init pandas, or add a folder with requirements.txt\n",
		},
		"no layer, a bad workspace": {
			folder(map[string]string{"workspace.yaml": "targts: []\n"}),
			"layers/workspace.yaml:1: unknown key \"targts\"\n  hint: did you mean \"targets\"?\n",
		},
		"a name that Lambda refuses": {
			folder(map[string]string{
				"a b/requirements.txt":     "numpy",
				long + "/requirements.txt": "numpy",
				"-c/layer.yaml":            "",
			}),
			"layers/-c: not a layer name\n" + nameHint +
				"layers/a b: not a layer name\n" + nameHint +
				"layers/" + long + ": not a layer name\n" + nameHint,
		},
		"a layer without requirements": {
			folder(map[string]string{"a/layer.yaml": ""}),
			"layers/a: requirements.txt is missing\n  hint: add it, or remove layer.yaml\n",
		},
		"empty requirements": {
			folder(map[string]string{"a/requirements.txt": "# nothing\n"}),
			"layers/a/requirements.txt: there are no requirements\n  hint: add at least one distribution\n",
		},
		"a requirement that is none": {
			folder(map[string]string{"a/requirements.txt": "numpy\n-e ./mine\n"}),
			"layers/a/requirements.txt:2: -e: an editable install refers to a folder, which has no hash and " +
				"cannot be reproduced\n  hint: build a wheel (uv build --wheel) and name the .whl file\n",
		},
		"an included requirement": {
			folder(map[string]string{"a/requirements.txt": "numpy\n-r ../common.txt\n", "common.txt": "\n--pre\n"}),
			"layers/common.txt:2: --pre: allows pre-releases of every package\n  hint: name the pre-release in its " +
				"specifier, such as example>=2.0rc1\n",
		},
		"a file that is too large": {
			layers(map[string]string{"a/layer.yaml": strings.Repeat("#", 64<<10) + "\n"}),
			"layers/a/layer.yaml: 65537 bytes, limit 65536\n" + sizeHint,
		},
		"brackets that nest too deep": {
			layers(map[string]string{"a/layer.yaml": "x: " + strings.Repeat("[", 33)}),
			"layers/a/layer.yaml: nested 33 deep, limit 32\n" + yamlHint,
		},
		"a cycle, and who leads into it": {
			layers(map[string]string{
				"a/layer.yaml": "extends: b",
				"b/layer.yaml": "# x\nextends: [c]",
				"c/layer.yaml": "extends: [d]",
				"d/layer.yaml": "extends: b",
			}),
			"layers/b/layer.yaml:2: extends itself: b -> c -> d -> b\n  hint: remove one of these\n",
		},
		"six layers in one function": {
			layers(map[string]string{
				"a/layer.yaml": "",
				"b/layer.yaml": "extends: a",
				"c/layer.yaml": "extends: b",
				"d/layer.yaml": "extends: c",
				"e/layer.yaml": "extends: d",
				"f/layer.yaml": "extends: [a, e]",
			}),
			"layers/f/layer.yaml:1: needs 6 layers with those it extends; a Lambda function may have 5\n" +
				"  hint: merge some of the layers\n",
		},
		"several files, in their order": {
			layers(map[string]string{"b/layer.yaml": "x: 1", "a/layer.yaml": "\n\ny: 1", "workspace.yaml": "z: 1"}),
			"layers/a/layer.yaml:3: unknown key \"y\"\n  hint: known: " + layerKeys + "\nlayers/b/layer.yaml:1: " +
				"unknown key \"x\"\n  hint: known: " + layerKeys + "\nlayers/workspace.yaml:1: unknown key \"z\"\n  " +
				"hint: known: budget, targets\n",
		},
	} {
		t.Run(sentence, func(t *testing.T) {
			_, err := Load(tt.files, "layers")
			if diff := cmp.Diff(tt.want, lines(err)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// A folder that cannot be read is an error, not a finding.
func TestLoadOfAFolderThatIsNotThere(t *testing.T) {
	_, err := Load(brokenFS{}, "layers")
	if want := "read workspace layers: it is gone"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

type brokenFS struct{}

func (brokenFS) Open(name string) (fs.File, error) {
	if name == "." {
		return nil, errors.New("it is gone")
	}

	return nil, fs.ErrNotExist
}

func TestEverythingHasADefault(t *testing.T) {
	for sentence, files := range map[string]map[string]string{
		"requirements alone":  {"a/requirements.txt": "numpy>=2\n"},
		"an empty layer.yaml": {"a/requirements.txt": "numpy>=2\n", "a/layer.yaml": ""},
		"comments only": {
			"a/requirements.txt": "numpy>=2\n",
			"a/layer.yaml":       "# later\n",
			"workspace.yaml":     "# later\n",
		},
		"empty objects and lists": {
			"a/requirements.txt": "numpy>=2\n",
			"a/layer.yaml":       "budget:\nrules: {}\nkeep: []\nservices: []\n",
			"workspace.yaml":     "{}",
		},
		"folders that are none": {
			"a/requirements.txt":      "numpy>=2\n",
			"wheels/a.whl":            "",
			".cache/requirements.txt": "",
			"dist/report.json":        "",
		},
	} {
		t.Run(sentence, func(t *testing.T) {
			w, err := Load(folder(files), "layers")
			if err != nil {
				t.Fatal(lines(err))
			}

			if len(w.Targets) != 1 || w.Targets[0].String() != DefaultTarget || w.Total != measure.MaxUnzippedBytes ||
				!slices.Equal(w.Names(), []string{"a"}) {
				t.Errorf("got %v", w)
			}

			l, _ := w.Layer("a")
			if l.Bytecode != Auto || l.Budget != (measure.Budget{}) || l.Extends != nil || l.Probe != "" ||
				len(l.Requirements.Direct) != 1 ||
				len(l.Policy.Rules)+len(l.Policy.Keep)+len(l.Policy.Services) > 0 {
				t.Errorf("got %+v", l)
			}
		})
	}
}

func TestLoadReadsEverything(t *testing.T) {
	w, err := Load(folder(map[string]string{
		"workspace.yaml":        "targets: [python3.13-x86_64, python3.12-arm64]\nbudget: { total: 225 MiB }\n",
		"ml/requirements.txt":   "scikit-learn\n",
		"ml/probe.py":           "import sklearn\n",
		"base/requirements.txt": "numpy\n",
		"ml/layer.yaml": "\ufeff%YAML 1.2\r\n---\r\n" + `description: >-
  scikit-learn
  and joblib
extends: &below base
budget: { unzipped: 140 MB, zipped: !!str "50,000,000" }
bytecode: sourceless
imports: sklearn.ensemble
services: [s3, 3]
languages: de
modules: { scipy: [linalg], "sklearn": ensemble }
rules:
  sklearn-datasets: { enabled: true, reason: no sample data }
  tests: { enabled: false, reason: we run them }
keep:
- match: "scipy/stats/tests/data/**"
  reason: |
    our probe reads it
drop: [{ match: "*.txt", reason: not read }]
allow: [{ match: "a.so", reason: the function brings libGL }]
`,
	}), "layers")
	if err != nil {
		t.Fatal(lines(err))
	}

	if w.Total != 225<<20 || len(w.Targets) != 2 || w.Targets[1].String() != "python3.12-arm64" {
		t.Errorf("got %v, %v", w.Total, w.Targets)
	}

	if diff := cmp.Diff([]string{"base", "ml"}, w.Names()); diff != "" {
		t.Error(diff)
	}

	l, ok := w.Layer("ml")
	if !ok || l.Digest.IsZero() || l.Requirements.Direct[0].File != "ml/requirements.txt" {
		t.Errorf("got %v", l)
	}

	l.Digest = w.Layers[0].Digest
	l.Requirements.Direct = nil
	l.Requirements.Files = nil
	want := Layer{
		Name:        "ml",
		Description: "scikit-learn and joblib",
		Extends:     []string{"base"},
		Budget:      measure.Budget{Unzipped: 140_000_000, Zipped: 50_000_000},
		Bytecode:    Sourceless,
		Imports:     []string{"sklearn.ensemble"},
		Probe:       "ml/probe.py",
		Digest:      w.Layers[0].Digest,
		Allow:       []policy.Choice{{Match: "a.so", Reason: "the function brings libGL"}},
		Policy: policy.Settings{
			Rules: map[string]policy.Switch{
				"sklearn-datasets": {Enabled: true, Reason: "no sample data"},
				"tests":            {Reason: "we run them"},
			},
			Keep: []policy.Choice{{Match: "scipy/stats/tests/data/**", Reason: "our probe reads it"}},
			Drop: []policy.Choice{{Match: "*.txt", Reason: "not read"}},
			Services: []string{
				"s3",
				"3",
			},
			Languages: []string{"de"},
			Modules:   map[string][]string{"scipy": {"linalg"}, "sklearn": {"ensemble"}},
		},
	}
	l.places = nil // tested by TestWhere
	if got, want := fmt.Sprintf("%+v", l), fmt.Sprintf("%+v", want); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}

	if _, ok := w.Layer("other"); ok {
		t.Error("found a layer that is not there")
	}
}

func TestLayersComeAfterThoseTheyExtend(t *testing.T) {
	w, err := Load(
		layers(
			map[string]string{
				"a/layer.yaml": "extends: [z, m]",
				"m/layer.yaml": "extends: y",
				"y/layer.yaml": "",
				"z/layer.yaml": "extends: y",
				"b/layer.yaml": "",
			},
		),
		"layers",
	)
	if err != nil {
		t.Fatal(lines(err))
	}

	if diff := cmp.Diff([]string{"y", "z", "m", "a", "b"}, w.Names()); diff != "" {
		t.Error(diff)
	}

	for name, want := range map[string][]string{"a": {"y", "z", "m"}, "m": {"y"}, "y": nil, "b": nil} {
		if diff := cmp.Diff(want, w.Below(name)); diff != "" {
			t.Errorf("below %s: %s", name, diff)
		}
	}
}

func TestDigestIsThatOfSpecAndProbe(t *testing.T) {
	of := func(files map[string]string) string {
		w, err := Load(layers(files), "layers")
		if err != nil {
			t.Fatal(lines(err))
		}

		return w.Layers[0].Digest.String()
	}
	seen := map[string]string{}
	for name, files := range map[string]map[string]string{
		"nothing":           {"a/layer.yaml": ""},
		"a spec":            {"a/layer.yaml": "description: x\n"},
		"a probe":           {"a/layer.yaml": "", "a/probe.py": "description: x\n"},
		"an empty probe":    {"a/layer.yaml": "", "a/probe.py": ""},
		"a spec and probe":  {"a/layer.yaml": "description: x\n", "a/probe.py": "import a\n"},
		"a spec with probe": {"a/layer.yaml": "description: x\n", "a/probe.py": "import b\n"},
	} {
		d := of(files)
		if other, ok := seen[d]; ok {
			t.Errorf("%s and %s have one digest", name, other)
		}

		seen[d] = name
	}

	if of(
		map[string]string{"a/layer.yaml": "description: x\n"},
	) != of(
		map[string]string{"a/layer.yaml": "description: x\n", "workspace.yaml": "# y"},
	) {
		t.Error("the digest of a layer depends on another file")
	}
}

func FuzzLoad(f *testing.F) {
	f.Add(
		"targets: [python3.13-x86_64]\nbudget: { total: 225 MiB }\n",
		"extends: [b]\nbudget: {unzipped: 1 MB}\nrules: {tests: {enabled: true, reason: x}}\nkeep:\n - {match: a, "+
			"reason: b}\n",
		"numpy\n",
	)
	f.Add("? a\n: b\n", "&a a: *a\n<<: *b\n", "-r x\n")
	f.Add("%YAML 1.2\n---\n{}\n...\n", "description: |+\n  a\n\n- a\n", "a==1 \\\n")
	f.Add("!!map {a: !!null }", "modules: {a: [b, !x c]}\nimports: .inf\nservices: 0x10\n", "")
	f.Fuzz(func(t *testing.T, space, layer, requirements string) {
		if strings.Count(
			layer,
			"[",
		)+strings.Count(
			space,
			"[",
		)+strings.Count(
			layer,
			"{",
		)+strings.Count(
			space,
			"{",
		) > 200 {
			return // the parser takes quadratic time
		}

		files := map[string]string{
			"workspace.yaml":     space,
			"a/layer.yaml":       layer,
			"a/requirements.txt": requirements,
			"b/requirements.txt": "numpy\n",
			"b/layer.yaml":       "extends: a\n",
		}
		w, err := Load(folder(files), "layers")
		if err == nil {
			if len(w.Targets) == 0 || len(w.Layers) != 2 || w.Total <= 0 || w.Total > measure.MaxUnzippedBytes {
				t.Fatalf("accepted %v", w)
			}

			return
		}

		var found Findings
		if !errors.As(err, &found) || len(found) == 0 {
			t.Fatalf("got %v", err)
		}

		for _, finding := range found {
			if !strings.HasPrefix(finding.Where, "layers") || finding.Message == "" {
				t.Errorf("a finding without place or message: %+v", finding)
			}
		}

		_, again := Load(folder(maps.Clone(files)), "layers")
		if lines(err) != lines(again) {
			t.Errorf("two readings differ:\n%s\n%s", lines(err), lines(again))
		}
	})
}
