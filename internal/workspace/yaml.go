package workspace

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"sort"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"github.com/layersmith/layersmith/internal/measure"
	"github.com/layersmith/layersmith/internal/policy"
)

// keys are the known keys of a mapping, each with the function that reads its value.
type keys map[string]func(value)

// document is a YAML file whose mistakes become findings.
type document struct {
	*loader
	file string
}

// value is a node of a document, with the line for findings.
type value struct {
	doc  *document
	node ast.Node
	line int
}

var yamlPosition = regexp.MustCompile(`(?s)^\[(\d+):\d+\] (.*?)(\n.*)?$`)

func (d *document) walk(b []byte, k keys) {
	f, err := parser.ParseBytes(bytes.TrimPrefix(b, []byte("\ufeff")), 0)
	if err != nil {
		where := d.file
		message := err.Error()
		if m := yamlPosition.FindStringSubmatch(message); m != nil {
			where = d.file + ":" + m[1]
			message = m[2]
		}

		d.find(where, "not YAML: "+message, hintYAML)
		return
	}

	var bodies []ast.Node
	for _, doc := range f.Docs {
		switch doc.Body.(type) {
		case nil, *ast.CommentGroupNode, *ast.DirectiveNode:
		default:
			bodies = append(bodies, doc.Body)
		}
	}

	if len(bodies) > 1 {
		d.find(d.file, "more than one YAML document", "keep only the first")
		return
	}

	if len(bodies) == 1 {
		value{d, bodies[0], 1}.object("key: value", k)
	}
}

// Hints for what is wrong with the form of a file.
const (
	hintYAML = "correct that line; YAML is indented by spaces, and brackets and quotes are closed"
	hintKeys = "docs/layer-yaml.md shows each key with an example"
	hintSize = "a spec has a few lines: move data into files of its own"
	hintFile = "make it a file that can be read, or remove it"
)

func (v value) wrong(message, hint string) {
	v.doc.find(fmt.Sprintf("%s:%d", v.doc.file, v.line), message, hint)
}

// expected reports a value of the wrong kind.
func (v value) expected(what string) {
	if _, alias := bare(v.node).(*ast.AliasNode); alias {
		v.wrong("YAML aliases are not supported", "repeat the value")
		return
	}

	v.wrong("expected "+what, hintKeys)
}

// bare removes the anchor and the tag around a node.
func bare(n ast.Node) ast.Node {
	for {
		switch x := n.(type) {
		case *ast.AnchorNode:
			n = x.Value
		case *ast.TagNode:
			n = x.Value
		default:
			return n
		}
	}
}

// entries visits the entries of a mapping. For any other value it is false, and the finding shows
// the example.
func (v value) entries(example string, visit func(key string, v value)) bool {
	var members []*ast.MappingValueNode
	switch n := bare(v.node).(type) {
	case *ast.MappingNode:
		members = n.Values
	case *ast.MappingValueNode:
		members = []*ast.MappingValueNode{n}
	case *ast.NullNode:
		return true
	default:
		v.expected("a mapping, for example { " + example + " }")
		return false
	}

	seen := map[string]bool{}
	for _, m := range members {
		key := m.Key.GetToken().Value
		at := value{v.doc, m.Value, m.Key.GetToken().Position.Line}
		if seen[key] {
			at.wrong(fmt.Sprintf("duplicate key %q", key), "remove one of them")
			continue
		}

		seen[key] = true
		visit(key, at)
	}

	return true
}

// object reads a mapping with known keys; see entries.
func (v value) object(example string, k keys) bool {
	known := make([]string, 0, len(k))
	for key := range k {
		known = append(known, key)
	}

	sort.Strings(known)
	return v.entries(example, func(key string, v value) {
		if do, ok := k[key]; ok {
			do(v)
			return
		}

		v.wrong(fmt.Sprintf("unknown key %q", key), suggest(key, known))
	})
}

func (v value) list() []value {
	items, ok := v.sequence()
	if !ok {
		v.expected("a list")
	}

	return items
}

// sequence returns the items of a list; false for any other value.
func (v value) sequence() ([]value, bool) {
	n, ok := bare(v.node).(*ast.SequenceNode)
	if !ok {
		return nil, false
	}

	items := make([]value, len(n.Values))
	for i, item := range n.Values {
		items[i] = value{v.doc, item, item.GetToken().Position.Line}
		if m, ok := item.(*ast.MappingNode); ok && len(m.Values) > 0 {
			items[i].line = m.Values[0].Key.GetToken().Position.Line
		}
	}

	return items, true
}

func (v value) text() string {
	s, _ := v.scalar()
	return s
}

// scalar returns a text, or reports a finding and returns false.
func (v value) scalar() (string, bool) {
	switch n := bare(v.node).(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.LiteralNode:
		return strings.TrimSpace(n.Value.Value), true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		return n.GetToken().Value, true
	}

	v.expected("text")
	return "", false
}

// each returns the items of a list. Any other value is a list of one.
func (v value) each() []value {
	if items, ok := v.sequence(); ok {
		return items
	}

	return []value{v}
}

// texts returns a list of texts. A single text is a list of one.
func (v value) texts() []string {
	var out []string
	for _, item := range v.each() {
		if s, ok := item.scalar(); ok {
			out = append(out, s)
		}
	}

	return out
}

var moduleName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*$`)

func (v value) modules() []string {
	out := v.texts()
	for _, m := range out {
		if !moduleName.MatchString(m) {
			v.wrong(fmt.Sprintf("%q is not a module name", m), "write it as in an import statement: sklearn.ensemble")
		}
	}

	return out
}

func (v value) boolean() bool {
	n, ok := bare(v.node).(*ast.BoolNode)
	if !ok {
		v.expected("true or false")
		return false
	}

	return n.Value
}

func (v value) oneOf(known []string) string {
	s, ok := v.scalar()
	if ok && !slices.Contains(known, s) {
		v.wrong(fmt.Sprintf("%q; known: %s", s, strings.Join(known, ", ")), suggest(s, known))
	}

	return s
}

func (v value) bytes(limit int64) measure.Bytes {
	s, ok := v.scalar()
	if !ok {
		return 0
	}

	n, err := measure.ParseBytes(s)
	switch {
	case err != nil:
		v.wrong(err.Error(), "write it as 140 MB or 225 MiB")
	case int64(n) > limit:
		v.wrong(fmt.Sprintf("%s is %s more than Lambda allows, %s", n, n-measure.Bytes(limit), measure.Bytes(limit)),
			"write at most 250 MiB")
	}

	return n
}

const reasonHint = "say why: the report prints it"

// choices reads a list of globs with reasons, and remembers where each of them is.
func (l *Layer) choices(key string, v value) []policy.Choice {
	var out []policy.Choice
	for _, item := range v.list() {
		var c policy.Choice
		if !item.object(`match: "x/**", reason: ...`, keys{
			"match":  func(v value) { c.Match = v.text() },
			"reason": func(v value) { c.Reason = v.text() },
		}) {
			continue
		}

		if err := policy.CheckPattern(c.Match); err != nil {
			item.wrong(err.Error(), "write a glob such as pandas/tests/**")
			continue
		}

		if c.Reason == "" {
			item.wrong("reason is missing", reasonHint)
		}

		out = append(out, c)
		l.note(key, c.Match, item)
	}

	return out
}

// suggest returns a hint with the known word most similar to s, or with all known words.
func suggest(s string, known []string) string {
	best := ""
	distance := len(s)/2 + 1
	for _, k := range known {
		if d := levenshtein(s, k); d < distance {
			best = k
			distance = d
		}
	}

	if best != "" {
		return fmt.Sprintf("did you mean %q?", best)
	}

	if len(known) == 0 {
		return ""
	}

	return "known: " + strings.Join(known, ", ")
}

func levenshtein(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}

	for i := 1; i <= len(a); i++ {
		diagonal := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := diagonal
			if a[i-1] != b[j-1] {
				cost++
			}

			diagonal = row[j]
			row[j] = min(row[j]+1, row[j-1]+1, cost)
		}
	}

	return row[len(b)]
}
