package workspace_test

import (
	"encoding/json"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/layersmith/layersmith/internal/policy"
	"github.com/layersmith/layersmith/internal/workspace"
)

// The files that docs/layer-yaml.md describes, each below a heading with its name.
var describedFiles = []string{"layer", "workspace", "consumers"}

// fileSection is what the page says about one file.
type fileSection struct {
	keys     map[string]string            // path of a key, such as budget.total -> its default
	values   map[string]map[string]string // key -> the rows of its tables of values or rules: name -> second cell
	examples []example
}

type example struct {
	key  string // the heading that it is below; "" for the whole file
	text string
}

var (
	fileHeading = regexp.MustCompile(`^## ([a-z]+)\.yaml$`)
	keyHeading  = regexp.MustCompile("^### `([a-z]+)`$")
	code        = regexp.MustCompile("^`([^`]+)`$")
)

// readPage reads the sections of docs/layer-yaml.md by file.
func readPage(t *testing.T) map[string]*fileSection {
	t.Helper()
	text, err := os.ReadFile("../../docs/layer-yaml.md")
	if err != nil {
		t.Fatal(err)
	}

	r := pageReader{files: map[string]*fileSection{}}
	for line := range strings.Lines(string(text)) {
		r.line(strings.TrimSuffix(line, "\n"))
	}

	return r.files
}

// pageReader is the state between two lines.
type pageReader struct {
	files   map[string]*fileSection
	file    *fileSection // nil outside of a file's section
	key     string       // of the last heading; "" for none
	table   string       // first cell of the current table's header; "" outside of tables
	yaml    *string      // the current example; nil outside of examples
	inBlock bool         // in a code block
}

func (r *pageReader) line(line string) {
	switch {
	case strings.HasPrefix(line, "```"):
		r.fence(line)
	case r.inBlock:
		if r.yaml != nil {
			*r.yaml += line + "\n"
		}
	case strings.HasPrefix(line, "#"):
		r.heading(line)
	case r.file == nil:
	case strings.HasPrefix(line, "|"):
		r.row(line)
	default:
		r.table = ""
		if text, ok := strings.CutPrefix(line, "Default: "); ok && r.key != "" {
			r.file.keys[r.key] = text
		}
	}
}

func (r *pageReader) fence(line string) {
	r.inBlock = !r.inBlock
	r.yaml = nil
	if line == "```yaml" && r.file != nil {
		r.file.examples = append(r.file.examples, example{key: r.key})
		r.yaml = &r.file.examples[len(r.file.examples)-1].text
	}
}

func (r *pageReader) heading(line string) {
	r.key = ""
	r.table = ""
	if m := keyHeading.FindStringSubmatch(line); m != nil && r.file != nil {
		r.key = m[1]
		r.file.keys[r.key] = ""
		return
	}

	if !strings.HasPrefix(line, "## ") {
		return
	}

	r.file = nil
	if m := fileHeading.FindStringSubmatch(line); m != nil {
		r.file = &fileSection{keys: map[string]string{}, values: map[string]map[string]string{}}
		r.files[m[1]] = r.file
	}
}

// row reads a row of a table whose header begins with key, value or rule.
func (r *pageReader) row(line string) {
	cells := strings.Split(strings.Trim(line, "|"), "|")
	for i := range cells {
		cells[i] = strings.TrimSpace(cells[i])
	}

	if r.table == "" {
		r.table = cells[0]
		return
	}

	name := code.FindStringSubmatch(cells[0])
	if name == nil {
		return
	}

	switch r.table {
	case "key":
		r.file.keys[r.key+"."+name[1]] = cells[len(cells)-1]
	case "value", "rule":
		if r.file.values[r.key] == nil {
			r.file.values[r.key] = map[string]string{}
		}

		r.file.values[r.key][name[1]] = cells[1]
	}
}

// node is the part of a JSON schema that the page must agree with.
type node struct {
	Properties    map[string]*node `json:"properties"`
	Required      []string         `json:"required"`
	Items         *node            `json:"items"`
	Additional    any              `json:"additionalProperties"`
	PropertyNames *node            `json:"propertyNames"`
	Enum          []string         `json:"enum"`
	Default       any              `json:"default"`
}

// schemaKey is one key of a schema, or of the entries of its lists and mappings.
type schemaKey struct {
	node     *node
	required bool
}

func readKeys(t *testing.T, file string) map[string]schemaKey {
	t.Helper()
	text, err := os.ReadFile("../../docs/schema/" + file + ".schema.json")
	if err != nil {
		t.Fatal(err)
	}

	var root node
	if err := json.Unmarshal(text, &root); err != nil {
		t.Fatal(err)
	}

	keys := map[string]schemaKey{}
	root.collect(t, "", keys)
	return keys
}

// collect adds the keys below a node by path. Entries of a list, and those of a mapping with free
// keys, have no path of their own: rules.enabled, keep.match.
func (n *node) collect(t *testing.T, path string, keys map[string]schemaKey) {
	t.Helper()
	for name, property := range n.Properties {
		keys[path+name] = schemaKey{property, slices.Contains(n.Required, name)}
		property.collect(t, path+name+".", keys)
	}

	if n.Items != nil {
		n.Items.collect(t, path, keys)
	}

	if _, free := n.Additional.(map[string]any); free {
		text, err := json.Marshal(n.Additional)
		if err != nil {
			t.Fatal(err)
		}

		var entry node
		if err := json.Unmarshal(text, &entry); err != nil {
			t.Fatal(err)
		}

		entry.collect(t, path, keys)
	}
}

func TestPageDescribesTheKeysOfTheSchemas(t *testing.T) {
	t.Parallel()
	page := readPage(t)
	if diff := cmp.Diff(slices.Sorted(slices.Values(describedFiles)), slices.Sorted(maps.Keys(page))); diff != "" {
		t.Fatalf("files (-want +page):\n%s", diff)
	}

	for _, file := range describedFiles {
		keys := readKeys(t, file)
		if diff := cmp.Diff(slices.Sorted(maps.Keys(keys)), slices.Sorted(maps.Keys(page[file].keys))); diff != "" {
			t.Errorf("keys of %s.yaml (-schema +page):\n%s", file, diff)
			continue
		}

		for path, key := range keys {
			checkDefault(t, file+".yaml: "+path, key, page[file].keys[path])
			checkValues(t, file+".yaml: "+path, key.node, page[file].values[path])
		}
	}
}

// checkDefault checks what the page says about a key that is left out.
func checkDefault(t *testing.T, at string, key schemaKey, text string) {
	t.Helper()
	value, _ := key.node.Default.(string)
	switch {
	case text == "":
		t.Errorf("%s: the page gives no default", at)
	case value != "" && !strings.Contains(text, "`"+value+"`"):
		t.Errorf("%s: the default is %s, the page says: %s", at, value, text)
	case key.required != (text == "required"):
		t.Errorf("%s: required by the schema: %v, the page says: %s", at, key.required, text)
	}
}

// checkValues checks that a key's table lists the values that the schema allows.
func checkValues(t *testing.T, at string, n *node, described map[string]string) {
	t.Helper()
	allowed := n.Enum
	if n.PropertyNames != nil {
		allowed = n.PropertyNames.Enum
	}

	listed := slices.Sorted(maps.Keys(described))
	if diff := cmp.Diff(slices.Sorted(slices.Values(allowed)), listed); diff != "" {
		t.Errorf("%s: values (-schema +page):\n%s", at, diff)
	}
}

func TestPageSaysWhichRulesAreOn(t *testing.T) {
	t.Parallel()
	book, err := policy.Builtin()
	if err != nil {
		t.Fatal(err)
	}

	want := map[string]string{}
	for _, r := range book {
		switch {
		case r.Select != nil:
			want[r.ID] = "on with `" + r.Select.From + "`"
		case r.Default:
			want[r.ID] = "on"
		default:
			want[r.ID] = "off"
		}
	}

	if diff := cmp.Diff(want, readPage(t)["layer"].values["rules"]); diff != "" {
		t.Errorf("rules (-code +page):\n%s", diff)
	}
}

func TestExamplesOfThePageLoad(t *testing.T) {
	t.Parallel()
	page := readPage(t)
	for _, file := range describedFiles {
		shown := map[string]bool{}
		for _, e := range page[file].examples {
			shown[e.key] = true
			if _, err := workspace.Load(exampleWorkspace(file, e.text), "layers"); err != nil {
				t.Errorf("%s.yaml:\n%s\n%v", file, e.text, err)
			}

			if e.key != "" && !strings.HasPrefix(e.text, e.key+":") {
				t.Errorf("%s.yaml: the example below %s does not show it:\n%s", file, e.key, e.text)
			}
		}

		for path := range page[file].keys {
			if !strings.Contains(path, ".") && !shown[path] {
				t.Errorf("%s.yaml: %s has no example", file, path)
			}
		}
	}
}

// exampleWorkspace is a workspace with the layers that the examples name, and one example.
func exampleWorkspace(file, text string) fstest.MapFS {
	names := map[string]string{
		"layer":     "ml-libraries/layer.yaml",
		"workspace": "workspace.yaml",
		"consumers": "consumers.yaml",
	}

	return fstest.MapFS{
		"core-data-science/requirements.txt": {Data: []byte("pandas\n")},
		"aws-utilities/requirements.txt":     {Data: []byte("boto3\n")},
		"ml-libraries/requirements.txt":      {Data: []byte("scikit-learn\n")},
		names[file]:                          {Data: []byte(text)},
	}
}
