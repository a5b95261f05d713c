package workspace

import (
	"encoding/json"
	"errors"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/layersmith/layersmith/internal/measure"
	"github.com/layersmith/layersmith/internal/policy"
)

// schema has the keywords of JSON Schema that docs/schema uses. Any other keyword fails the test.
type schema struct {
	Schema           string             `json:"$schema"`
	Title            string             `json:"title"`
	Description      string             `json:"description"`
	Type             any                `json:"type"`
	Properties       map[string]*schema `json:"properties"`
	Additional       json.RawMessage    `json:"additionalProperties"`
	PropertyNames    *schema            `json:"propertyNames"`
	Required         []string           `json:"required"`
	Items            *schema            `json:"items"`
	AnyOf            []*schema          `json:"anyOf"`
	OneOf            []*schema          `json:"oneOf"` // of an object: which one property is required
	Enum             []string           `json:"enum"`
	Examples         []any              `json:"examples"`
	Default          any                `json:"default"`
	Pattern          string             `json:"pattern"`
	MinLength        int                `json:"minLength"`
	MinItems         int                `json:"minItems"`
	MaxItems         int                `json:"maxItems"`
	UniqueItems      bool               `json:"uniqueItems"`
	ExclusiveMinimum *float64           `json:"exclusiveMinimum"`
}

func readSchema(t *testing.T, name string) *schema {
	t.Helper()
	f, err := os.Open("../../docs/schema/" + name + ".schema.json")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var s schema
	d := json.NewDecoder(f)
	d.DisallowUnknownFields()
	if err := d.Decode(&s); err != nil {
		t.Fatalf("read %s: %v", f.Name(), err)
	}

	if s.Schema != "https://json-schema.org/draft/2020-12/schema" {
		t.Errorf("%s is %q", f.Name(), s.Schema)
	}

	return &s
}

func (s *schema) is(kind string) bool {
	if list, ok := s.Type.([]any); ok {
		return slices.Contains(list, any(kind))
	}

	return s.Type == kind
}

// additional is the schema of free keys; nil if all keys are fixed.
func (s *schema) additional(t *testing.T) *schema {
	if string(s.Additional) == "false" {
		return nil
	}

	var a schema
	if err := json.Unmarshal(s.Additional, &a); err != nil {
		t.Fatalf("additionalProperties has to be false or a schema: %q", s.Additional)
	}

	return &a
}

// samples are values that the schema allows: its examples, and one of each form.
func (s *schema) samples(t *testing.T) []any {
	out := slices.Clone(s.Examples)
	for _, alternative := range s.AnyOf {
		if alternative.Pattern == "" || len(s.Examples) == 0 {
			out = append(out, alternative.samples(t)...)
		}
	}

	for _, e := range s.Enum {
		out = append(out, e)
	}

	switch {
	case s.is("boolean"):
		out = append(out, true, false)
	case s.is("number"):
		out = append(out, 1)
	case s.is("string") && len(out) == 0:
		out = append(out, "x")
	case s.is("array") && len(out) == 0:
		out = append(out, s.Items.samples(t)[:1])
	case s.is("object") && s.additional(t) == nil:
		out = append(out, s.complete(t))
	}

	if s.is("null") {
		out = append(out, nil)
	}

	return out
}

// choices are the properties that exclude each other: an object has exactly one of them.
func (s *schema) choices() (names []string) {
	for _, alternative := range s.OneOf {
		names = append(names, alternative.Required...)
	}

	return names
}

// complete is an object with all properties, and the first of choices.
func (s *schema) complete(t *testing.T) map[string]any {
	object := map[string]any{}
	for name, p := range s.Properties {
		if i := slices.Index(s.choices(), name); i <= 0 {
			object[name] = p.samples(t)[0]
		}
	}

	return object
}

// with is an object with this property and the required ones.
func (s *schema) with(t *testing.T, name string, value any) map[string]any {
	object := map[string]any{name: value}
	required := slices.Clone(s.Required)
	if choices := s.choices(); len(choices) > 0 && !slices.Contains(choices, name) {
		required = append(required, choices[0])
	}

	for _, r := range required {
		if r != name {
			object[r] = s.Properties[r].samples(t)[0]
		}
	}

	return object
}

// objects calls visit for every object with fixed keys. document wraps such an object in the rest
// of the document.
func (s *schema) objects(
	t *testing.T,
	at string,
	document func(any) any,
	visit func(at string, s *schema, document func(any) any),
) {
	for _, alternative := range s.AnyOf {
		alternative.objects(t, at, document, visit)
	}

	if s.Items != nil {
		s.Items.objects(t, at+"[]", func(v any) any { return document([]any{v}) }, visit)
	}

	if !s.is("object") {
		return
	}

	if a := s.additional(t); a != nil {
		key := "x"
		if s.PropertyNames != nil {
			key = s.PropertyNames.Enum[0]
		}

		a.objects(t, at+".*", func(v any) any { return document(map[string]any{key: v}) }, visit)
		return
	}

	visit(at, s, document)
	for name, p := range s.Properties {
		p.objects(t, at+"."+name, func(v any) any { return document(s.with(t, name, v)) }, visit)
	}
}

// load returns the findings of a document. It is written as JSON, which is YAML too.
func load(t *testing.T, file string, v any) Findings {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}

	files := map[string]string{
		"a/requirements.txt":                 "numpy\n",
		"core-data-science/requirements.txt": "numpy\n",
		"x/requirements.txt":                 "numpy\n",
	}
	name := map[string]string{
		"workspace": "workspace.yaml",
		"layer":     "a/layer.yaml",
		"consumers": "consumers.yaml",
	}[file]
	files[name] = string(b)
	_, err = Load(folder(files), "layers")
	var found Findings
	if err != nil && !errors.As(err, &found) {
		t.Fatal(err)
	}

	return found
}

var onlyHint = regexp.MustCompile(`^known: (.*)$`)

func TestSchemasAndLoaderAgree(t *testing.T) {
	for _, file := range []string{"workspace", "layer", "consumers"} {
		root := readSchema(t, file)
		root.objects(t, file, func(v any) any { return v }, func(at string, s *schema, document func(any) any) {
			t.Run(at, func(t *testing.T) {
				const unknown = "zzzzzzzzzzzzzzzzzzzzzzzzzz"
				found := load(t, file, document(s.with(t, unknown, 1)))
				if len(found) != 1 || found[0].Message != `unknown key "`+unknown+`"` {
					t.Fatalf("an unknown key: got %v", found)
				}

				known := onlyHint.FindStringSubmatch(found[0].Hint)
				if known == nil {
					t.Fatalf("the hint names no keys: %s", found[0].Hint)
				}

				if diff := cmp.Diff(known[1], strings.Join(slices.Sorted(maps.Keys(s.Properties)), ", ")); diff != "" {
					t.Errorf("keys (-loader +schema):\n%s", diff)
				}

				checkProperties(t, file, s, document)
				checkRequired(t, file, s, document)
				checkChoices(t, file, s, document)
			})
		})
		if found := load(t, file, root.complete(t)); len(found) > 0 {
			t.Errorf("everything at once: %v", found)
		}
	}
}

// checkProperties checks that each property is described, and that the loader accepts its samples.
func checkProperties(t *testing.T, file string, s *schema, document func(any) any) {
	for name, p := range s.Properties {
		if p.Description == "" || strings.TrimRight(p.Description, ".") == p.Description {
			t.Errorf("%s: its description must be sentences: %q", name, p.Description)
		}

		for _, v := range p.samples(t) {
			if found := load(t, file, document(s.with(t, name, v))); len(found) > 0 {
				t.Errorf("%s: %v, which the schema allows: %v", name, v, found)
			}
		}
	}
}

// checkRequired checks that the loader requires what the schema requires.
func checkRequired(t *testing.T, file string, s *schema, document func(any) any) {
	for _, name := range s.Required {
		object := s.complete(t)
		delete(object, name)
		if found := load(t, file, document(object)); len(found) == 0 {
			t.Errorf("%s is required by the schema and not by the loader", name)
		}
	}
}

// checkChoices checks that the loader refuses none and all of the properties that exclude each
// other.
func checkChoices(t *testing.T, file string, s *schema, document func(any) any) {
	choices := s.choices()
	if len(choices) == 0 {
		return
	}

	none := s.complete(t)
	all := s.complete(t)
	for _, name := range choices {
		delete(none, name)
		all[name] = s.Properties[name].samples(t)[0]
	}

	for what, object := range map[string]any{"none": none, "all": all} {
		if found := load(t, file, document(object)); len(found) == 0 {
			t.Errorf("the schema wants one of %v, the loader accepts %s", choices, what)
		}
	}
}

func TestSchemasListWhatTheCodeKnows(t *testing.T) {
	layer := readSchema(t, "layer")
	space := readSchema(t, "workspace")
	consumer := readSchema(t, "consumers").Properties["consumers"].Items
	health := consumer.Properties["health"]
	defaultWindow, ok := windowSeconds(health.Properties["window"].Default.(string))
	if !ok || defaultWindow != defaultWindowSeconds {
		t.Errorf("the schema's default window has %d s, the code's %d", defaultWindow, defaultWindowSeconds)
	}

	if list := consumer.Properties["layers"].AnyOf[1]; list.MaxItems != MaxLayers {
		t.Errorf("the schema allows %d layers, the code %d", list.MaxItems, MaxLayers)
	}

	book, err := policy.Builtin()
	if err != nil {
		t.Fatal(err)
	}

	for what, pair := range map[string][2][]string{
		"rules":          {policy.IDs(book), layer.Properties["rules"].PropertyNames.Enum},
		"bytecode modes": {modes, layer.Properties["bytecode"].Enum},
		"default mode":   {{string(Auto)}, {layer.Properties["bytecode"].Default.(string)}},
		"module names":   {{moduleName.String()}, {layer.Properties["imports"].AnyOf[0].Pattern}},
		"functions":      {{functionPattern.String()}, {consumer.Properties["function"].Pattern}},
		"aliases":        {{aliasPattern.String()}, {consumer.Properties["alias"].Pattern}},
		"windows":        {{windowPattern.String()}, {health.Properties["window"].Pattern}},
	} {
		if diff := cmp.Diff(pair[0], pair[1]); diff != "" {
			t.Errorf("%s (-code +schema):\n%s", what, diff)
		}
	}

	if !strings.Contains(space.Properties["targets"].Description, DefaultTarget) {
		t.Errorf("the schema does not say that the default target is %s", DefaultTarget)
	}

	size := regexp.MustCompile(layer.Properties["budget"].Properties["zipped"].AnyOf[0].Pattern)
	for _, s := range []string{
		"140 MB", "225MiB", "1,000 kB", "1.5 GB", "1 GiB", "262144000", "12 B", " 3 KB ", "",
		"MB", "1 mb", "-1 MB", "one MB", "1 MB 2",
	} {
		if _, err := measure.ParseBytes(s); (err == nil) != size.MatchString(s) {
			t.Errorf("size %q: the schema says %v, the code %v", s, size.MatchString(s), err)
		}
	}

	target := regexp.MustCompile(space.Properties["targets"].Items.Pattern)
	for _, s := range []string{
		DefaultTarget, "python3.12-arm64", "python3.13", "python3.13-mips", "nodejs-arm64",
		"python3.13-x86_64 ",
	} {
		found := load(t, "workspace", map[string]any{"targets": []string{s}})
		if (len(found) == 0) != target.MatchString(s) {
			t.Errorf("target %q: the schema says %v, the loader %v", s, target.MatchString(s), found)
		}
	}
}
