package workspace

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"sort"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"github.com/layersmith/layersmith/internal/measure"
	"github.com/layersmith/layersmith/internal/policy"
)

// keys are the keys that an object may have, with what to do for each.
type keys map[string]func(value)

// document walks one YAML file and turns what is wrong into findings with its line.
type document struct {
	*loader
	file string
}

// value is a node of a document, with the line to blame.
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

		d.find(where, "not YAML: "+message, "")
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
		d.find(d.file, "more than one YAML document", "keep the first")
		return
	}

	if len(bodies) == 1 {
		value{d, bodies[0], 1}.object(k)
	}
}

func (v value) wrong(message, hint string) {
	v.doc.find(fmt.Sprintf("%s:%d", v.doc.file, v.line), message, hint)
}

// wanted reports a value of the wrong kind.
func (v value) wanted(what string) {
	if _, alias := bare(v.node).(*ast.AliasNode); alias {
		v.wrong("an alias is not read here", "write the value out")
		return
	}

	v.wrong(what+" wanted here", "")
}

// bare strips what YAML may put around a node.
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

// entries visits the members of an object; false when it is none.
func (v value) entries(visit func(key string, v value)) bool {
	var members []*ast.MappingValueNode
	switch n := bare(v.node).(type) {
	case *ast.MappingNode:
		members = n.Values
	case *ast.MappingValueNode:
		members = []*ast.MappingValueNode{n}
	case *ast.NullNode:
		return true
	default:
		v.wanted("keys with values are")
		return false
	}

	seen := map[string]bool{}
	for _, m := range members {
		key := m.Key.GetToken().Value
		at := value{v.doc, m.Value, m.Key.GetToken().Position.Line}
		if seen[key] {
			at.wrong(fmt.Sprintf("the key %q is there twice", key), "")
			continue
		}

		seen[key] = true
		visit(key, at)
	}

	return true
}

func (v value) object(k keys) bool {
	known := make([]string, 0, len(k))
	for key := range k {
		known = append(known, key)
	}

	sort.Strings(known)
	return v.entries(func(key string, v value) {
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
		v.wanted("a list is")
	}

	return items
}

// sequence is the items of a list; false when it is none.
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

// scalar is a text; false when there is none, which is reported.
func (v value) scalar() (string, bool) {
	switch n := bare(v.node).(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.LiteralNode:
		return strings.TrimSpace(n.Value.Value), true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		return n.GetToken().Value, true
	}

	v.wanted("text is")
	return "", false
}

// each is the items of a list; anything else stands for a list of one.
func (v value) each() []value {
	if items, ok := v.sequence(); ok {
		return items
	}

	return []value{v}
}

// texts is a list of texts; one alone stands for a list of one.
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
			v.wrong(
				fmt.Sprintf("%q is not the name of a module", m),
				"write it as in an import statement: sklearn.ensemble",
			)
		}
	}

	return out
}

func (v value) boolean() bool {
	n, ok := bare(v.node).(*ast.BoolNode)
	if !ok {
		v.wanted("true or false is")
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
		v.wrong(
			fmt.Sprintf(
				"%s bytes is more than Lambda allows: %s (250 MiB)",
				strconv.FormatInt(int64(n), 10),
				strconv.FormatInt(limit, 10),
			),
			"",
		)
	}

	return n
}

func (v value) choices() []policy.Choice {
	var out []policy.Choice
	for _, item := range v.list() {
		var c policy.Choice
		if !item.object(keys{
			"match":  func(v value) { c.Match = v.text() },
			"reason": func(v value) { c.Reason = v.text() },
		}) {
			continue
		}

		if err := policy.CheckPattern(c.Match); err != nil {
			item.wrong(err.Error(), "")
			continue
		}

		if c.Reason == "" {
			item.wrong("reason is missing", "say why: the report prints it")
		}

		out = append(out, c)
	}

	return out
}

// suggest is a hint with the known word that is nearest to s, or with all of them.
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
