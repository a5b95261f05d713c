package workspace

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"github.com/layersmith/layersmith/internal/digest"
	"github.com/layersmith/layersmith/internal/policy"
)

// ErrChanged is returned if a file of the workspace was edited after Load.
var ErrChanged = errors.New("the file was edited during the build")

// WithKeep adds entries to the keep list. It returns the layer as Load would, and the new text of
// layer.yaml. text and probe are the current contents of layer.yaml and probe.py, nil for a missing
// file. ErrChanged if the layer was loaded from other contents.
func (l Layer) WithKeep(text, probe []byte, add []policy.Choice) (Layer, []byte, error) {
	if l.digestOf(text, probe) != l.Digest {
		return Layer{}, nil, ErrChanged
	}

	text, err := AddKeep(text, add)
	if err != nil {
		return Layer{}, nil, err
	}

	l.Policy.Keep = append(slices.Clone(l.Policy.Keep), add...)
	l.Digest = l.digestOf(text, probe)
	return l, text, nil
}

// digestOf is the digest of layer.yaml and probe.py.
func (l Layer) digestOf(text, probe []byte) digest.SHA256 {
	h := digest.NewHasher()
	h.Write(text)
	if l.Probe != "" {
		h.Write([]byte{0})
		h.Write(probe)
	}

	return h.Sum()
}

// maxPlaces limits the places that AddKeep tries. Each costs parsing the document once.
const maxPlaces = 200

// AddKeep adds entries to the keep list of a layer.yaml by inserting text. All other bytes stay:
// comments, blank lines, quotes, line endings. Without a keep list, it appends one. The result is
// parsed again and must equal the old document plus the entries. The error says what to add by
// hand.
func AddKeep(text []byte, add []policy.Choice) ([]byte, error) {
	if len(add) == 0 {
		return text, nil
	}

	before := map[string]any{}
	if err := yaml.Unmarshal(withoutMark(text), &before); err != nil {
		return nil, fmt.Errorf("not YAML: %w", err)
	}

	places, err := insertions(text, entryTexts(add))
	if err != nil {
		return nil, err
	}

	for _, p := range places[:min(len(places), maxPlaces)] {
		after := slices.Concat(text[:p.at], []byte(p.text), text[p.at:])
		if len(after) <= maxSpecBytes && added(before, after, add) {
			return after, nil
		}
	}

	return nil, fmt.Errorf(
		"the keep list cannot be extended automatically; add by hand: keep: [ %s ]",
		strings.Join(entryTexts(add), ", "),
	)
}

func withoutMark(text []byte) []byte { return bytes.TrimPrefix(text, []byte("\ufeff")) }

// insertion is a text and the offset at which to insert it.
type insertion struct {
	at   int
	text string
}

// entryTexts formats entries as docs/layer-yaml.md shows them, one line each.
func entryTexts(add []policy.Choice) []string {
	out := make([]string, len(add))
	for i, c := range add {
		out[i] = fmt.Sprintf("{ match: %s, reason: %s }", quoted(c.Match), quoted(c.Reason))
	}

	return out
}

// quoted is a string in double quotes. The escapes of strconv.Quote are escapes of YAML too.
func quoted(s string) string { return strconv.Quote(s) }

// insertions lists the places where the entries may belong, the best first. Only parsing the result
// shows which one is right: a line that looks like a comment may be part of a string.
func insertions(text []byte, entries []string) ([]insertion, error) {
	f, err := parser.ParseBytes(withoutMark(text), 0)
	if err != nil {
		return nil, fmt.Errorf("not YAML: %w", err)
	}

	root := firstMapping(f)
	e := editor{text: text, starts: lineStarts(text), end: lineEnd(text), entries: entries}
	keep, column, flow := keepOf(root)
	list, isList := keep.(*ast.SequenceNode)
	switch {
	case keep == nil && flow:
		return within(text, 0, '}', "keep: [ "+strings.Join(entries, ", ")+" ]"), nil
	case keep == nil:
		return e.newList(column), nil
	case !isList:
		return nil, fmt.Errorf("keep is not a list")
	case list.IsFlowStyle:
		from := e.starts[min(list.Start.Position.Line-1, len(e.starts)-1)]
		return within(text, from, ']', strings.Join(entries, ", ")), nil
	case len(list.Values) == 0:
		return nil, nil // "keep: !!seq": the list has no position
	}

	return e.afterLast(list, root), nil
}

// firstMapping is the root of the first document that is a mapping; nil if there is none.
func firstMapping(f *ast.File) ast.Node {
	for _, d := range f.Docs {
		if d.Body == nil {
			continue
		}

		switch n := bare(d.Body).(type) {
		case *ast.MappingNode, *ast.MappingValueNode:
			return n
		}
	}

	return nil
}

// editor inserts entries as lines of their own.
type editor struct {
	text    []byte
	starts  []int  // see lineStarts
	end     string // line ending
	entries []string
}

// newList lists the starts of lines, the last first, as places for a keep list. column is that of
// the document's keys, from 1.
func (e editor) newList(column int) []insertion {
	indent := strings.Repeat(" ", column-1)
	block := indent + "keep:" + e.end
	for _, entry := range e.entries {
		block += indent + "  - " + entry + e.end
	}

	return e.between(len(e.starts)-1, 0, block)
}

// afterLast lists the starts of lines after the last entry of a list in block style. The best is
// the one after the last line before the next key that is neither blank nor a comment: an entry may
// have several lines.
func (e editor) afterLast(list *ast.SequenceNode, root ast.Node) []insertion {
	block := ""
	for _, entry := range e.entries {
		block += strings.Repeat(" ", list.Start.Position.Column-1) + "- " + entry + e.end
	}

	// The position may be that of any line of the last entry.
	last := list.Values[len(list.Values)-1].GetToken().Position.Line
	first := min(last, len(e.starts)-1)
	next := len(e.starts) - 1
	if m, ok := root.(*ast.MappingNode); ok {
		for _, v := range m.Values {
			if line := v.Key.GetToken().Position.Line; line > last && line-1 < next {
				next = line - 1
			}
		}
	}

	for next > first && skipped(e.text[e.starts[next-1]:e.starts[next]]) {
		next--
	}

	return append(e.between(next, next, block), e.between(first, len(e.starts)-1, block)...)
}

// between lists the starts of the lines with these indices, in that order, as places for block.
func (e editor) between(from, to int, block string) []insertion {
	step := 1
	if to < from {
		step = -1
	}

	var out []insertion
	for i := from; i != to+step; i += step {
		p := insertion{e.starts[i], block}
		if p.at == len(e.text) && len(e.text) > 0 && e.text[len(e.text)-1] != '\n' {
			p.text = e.end + block // ends the last line first
		}

		out = append(out, p)
	}

	return out
}

// lineEnd is the ending of the first line.
func lineEnd(text []byte) string {
	if i := bytes.IndexByte(text, '\n'); i > 0 && text[i-1] == '\r' {
		return "\r\n"
	}

	return "\n"
}

// keepOf returns the value of keep, nil if there is none; the column of the document's keys, from
// 1; and whether the document is in flow style, with braces.
func keepOf(root ast.Node) (keep ast.Node, column int, flow bool) {
	var members []*ast.MappingValueNode
	switch n := root.(type) {
	case *ast.MappingNode:
		members = n.Values
		flow = n.IsFlowStyle
	case *ast.MappingValueNode:
		members = []*ast.MappingValueNode{n}
	}

	column = 1
	for i, m := range members {
		if i == 0 {
			column = max(1, m.Key.GetToken().Position.Column)
		}

		if m.Key.GetToken().Value == "keep" {
			keep = bare(m.Value)
		}
	}

	return keep, column, flow
}

// lineStarts returns the offsets of all lines, and that of the end of the text.
func lineStarts(text []byte) []int {
	starts := []int{0}
	for i, c := range text {
		if c == '\n' && i+1 < len(text) {
			starts = append(starts, i+1)
		}
	}

	return append(starts, len(text))
}

func skipped(line []byte) bool {
	line = bytes.TrimSpace(line)
	return len(line) == 0 || line[0] == '#'
}

// within lists the closing brackets from an offset on, as places for an item before them. A comma
// comes first, unless the list is empty or ends with a comma already.
func within(text []byte, from int, bracket byte, item string) []insertion {
	var out []insertion
	for i := from; i < len(text); i++ {
		if text[i] != bracket {
			continue
		}

		at := i
		for at > from && strings.IndexByte(" \t", text[at-1]) >= 0 {
			at--
		}

		switch {
		// The bracket is alone on its line: the item gets a line too, indented like the one before.
		case at > from && text[at-1] == '\n':
			line := bytes.TrimRight(text[:at], "\r\n")
			line = line[bytes.LastIndexByte(line, '\n')+1:]
			indent := line[:len(line)-len(bytes.TrimLeft(line, " "))]
			end := string(text[at-1 : at])
			if at > 1 && text[at-2] == '\r' {
				end = "\r\n"
			}

			out = append(out, insertion{at, string(indent) + item + end}, insertion{i, ", " + item + " "})
		case at > from && text[at-1] == bracket-2: // '[' and '{' are two before ']' and '}'
			out = append(out, insertion{at, " " + item + " "})
		default:
			out = append(out, insertion{at, ", " + item}, insertion{at, " " + item})
		}
	}

	return out
}

// added reports whether text is the document before with the entries at the end of keep.
func added(before map[string]any, text []byte, add []policy.Choice) bool {
	after := map[string]any{}
	if err := yaml.Unmarshal(withoutMark(text), &after); err != nil {
		return false
	}

	want, _ := before["keep"].([]any)
	want = slices.Clone(want)
	for _, c := range add {
		want = append(want, map[string]any{"match": c.Match, "reason": c.Reason})
	}

	if !reflect.DeepEqual(after["keep"], any(want)) || len(after) != len(before) && len(after) != len(before)+1 {
		return false
	}

	for key, v := range before {
		if key != "keep" && !reflect.DeepEqual(after[key], v) {
			return false
		}
	}

	_, had := before["keep"]
	return had == (len(after) == len(before))
}
