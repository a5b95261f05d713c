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

// ErrChanged says that a file of the workspace is not what was loaded any more.
var ErrChanged = errors.New("it was changed meanwhile")

// WithKeep returns the layer as if it had been loaded with more entries in its keep list, and the
// text of layer.yaml that says so. text and probe are what is in layer.yaml and probe.py now, nil
// where there is no such file; ErrChanged when the layer was loaded from something else.
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

// digestOf is what Load computes.
func (l Layer) digestOf(text, probe []byte) digest.SHA256 {
	h := digest.NewHasher()
	h.Write(text)
	if l.Probe != "" {
		h.Write([]byte{0})
		h.Write(probe)
	}

	return h.Sum()
}

// maxPlaces is how many places AddKeep tries, each of which costs reading the document once.
const maxPlaces = 200

// AddKeep adds entries to the keep list of a layer.yaml by inserting text into it: whatever else is
// there, comments, blank lines, quotes, line endings, stays byte by byte as it is. The list is made
// at the end where there is none. The result is read again and must say what the text said before
// plus the entries; the error tells what to add by hand.
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
		"there is no place for more entries of keep; add by hand: keep: [ %s ]",
		strings.Join(entryTexts(add), ", "),
	)
}

func withoutMark(text []byte) []byte { return bytes.TrimPrefix(text, []byte("\ufeff")) }

// insertion is a text and where to insert it.
type insertion struct {
	at   int
	text string
}

// entryTexts are entries as docs/formats.md shows them, on one line each.
func entryTexts(add []policy.Choice) []string {
	out := make([]string, len(add))
	for i, c := range add {
		out[i] = fmt.Sprintf("{ match: %s, reason: %s }", quoted(c.Match), quoted(c.Reason))
	}

	return out
}

// quoted is a text in double quotes. What strconv escapes, YAML reads the same way.
func quoted(s string) string { return strconv.Quote(s) }

// places lists where the entries might go, the best first. Only reading the result shows which one
// is right: a line that looks like a comment may belong to a text.
func insertions(text []byte, entries []string) ([]insertion, error) {
	f, err := parser.ParseBytes(withoutMark(text), 0)
	if err != nil {
		return nil, fmt.Errorf("not YAML: %w", err)
	}

	var root ast.Node
	for _, d := range f.Docs {
		if d.Body != nil && root == nil {
			switch n := bare(d.Body).(type) {
			case *ast.MappingNode, *ast.MappingValueNode:
				root = n
			}
		}
	}

	end := "\n"
	if i := bytes.IndexByte(text, '\n'); i > 0 && text[i-1] == '\r' {
		end = "\r\n"
	}

	starts := lineStarts(text)
	keep, column, flow := keepOf(root)
	switch list, _ := keep.(*ast.SequenceNode); {
	case keep == nil && flow:
		return within(text, 0, '}', "keep: [ "+strings.Join(entries, ", ")+" ]"), nil
	case keep == nil:
		indent := strings.Repeat(" ", column-1)
		block := indent + "keep:" + end
		for _, e := range entries {
			block += indent + "  - " + e + end
		}

		return between(text, starts, len(starts)-1, 0, block, end), nil
	case list == nil:
		return nil, fmt.Errorf("keep is not a list")
	case !list.IsFlowStyle && len(list.Values) == 0:
		return nil, nil // "keep: !!seq" and nothing: no place to go by
	case list.IsFlowStyle:
		return within(
			text,
			starts[min(list.Start.Position.Line-1, len(starts)-1)],
			']',
			strings.Join(entries, ", "),
		), nil
	default:
		block := ""
		for _, e := range entries {
			block += strings.Repeat(" ", list.Start.Position.Column-1) + "- " + e + end
		}

		// where the last entry begins, or some line of it
		last := list.Values[len(list.Values)-1].GetToken().Position.Line
		first := min(last, len(starts)-1)
		var out []insertion
		rest := between(text, starts, first, len(starts)-1, block, end)
		// An entry may go on for some lines. Behind the last line that is neither blank nor a
		// comment is best, before the next key of the document.
		next := len(starts) - 1
		if m, ok := root.(*ast.MappingNode); ok {
			for _, v := range m.Values {
				if line := v.Key.GetToken().Position.Line; line > last && line-1 < next {
					next = line - 1
				}
			}
		}

		for next > first && skipped(text[starts[next-1]:starts[next]]) {
			next--
		}

		out = append(out, between(text, starts, next, next, block, end)...)
		return append(out, rest...), nil
	}
}

// keepOf finds the value of keep, the column of the document's keys, and whether the document is
// written with braces.
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

// lineStarts are the offsets at which lines begin, and that of the end.
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

// between lists the starts of lines from one to another, in that order, as places for whole lines.
func between(text []byte, starts []int, from, to int, block, end string) []insertion {
	step := 1
	if to < from {
		step = -1
	}

	var out []insertion
	for i := from; i != to+step; i += step {
		p := insertion{starts[i], block}
		if p.at == len(text) && len(text) > 0 && text[len(text)-1] != '\n' {
			p.text = end + block // the last line has no end of its own; it gets one
		}

		out = append(out, p)
	}

	return out
}

// within lists the closing brackets from an offset on, as places for something before them: after a
// comma, where there is neither one yet nor an empty list.
func within(text []byte, from int, bracket byte, what string) []insertion {
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
		// the bracket has a line for itself: so has the entry, indented like the line before
		case at > from && text[at-1] == '\n':
			line := bytes.TrimRight(text[:at], "\r\n")
			line = line[bytes.LastIndexByte(line, '\n')+1:]
			indent := line[:len(line)-len(bytes.TrimLeft(line, " "))]
			end := string(text[at-1 : at])
			if at > 1 && text[at-2] == '\r' {
				end = "\r\n"
			}

			out = append(out, insertion{at, string(indent) + what + end}, insertion{i, ", " + what + " "})
		case at > from && text[at-1] == bracket-2: // '[' and '{' are two before ']' and '}'
			out = append(out, insertion{at, " " + what + " "})
		default:
			out = append(out, insertion{at, ", " + what}, insertion{at, " " + what})
		}
	}

	return out
}

// added reports whether a text says what was said before, with the entries at the end of keep.
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
