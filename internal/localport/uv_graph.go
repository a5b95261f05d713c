package localport

import (
	"bytes"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/layersmith/layersmith/internal/pydist"
)

// graph is a resolution: who requires whom.
type graph struct {
	names    []pydist.Name
	pins     []byte                        // a requirement for each, without extras
	requires map[pydist.Name][]pydist.Name // sorted
	direct   map[string][]pydist.Name      // by the name of a requirements file
	extras   map[pydist.Name]bool          // of which somebody requires an extra
}

// readGraph reads the output of `uv pip compile --annotation-style split --no-strip-extras`: a line
// for each distribution, and below it comments with those that require it.
func readGraph(out []byte) (graph, error) {
	g := graph{
		requires: map[pydist.Name][]pydist.Name{},
		direct:   map[string][]pydist.Name{},
		extras:   map[pydist.Name]bool{},
	}
	var pins bytes.Buffer
	for line := range strings.Lines(string(out)) {
		text := strings.TrimSpace(line)
		comment, isComment := strings.CutPrefix(text, "#")
		switch {
		case isComment:
			g.addRequirer(strings.TrimSpace(comment))
		case text == "" || strings.HasPrefix(text, "-"):
			continue
		default:
			pin, err := g.addName(text)
			if err != nil {
				return graph{}, fmt.Errorf("line %.80q: %w", text, err)
			}

			fmt.Fprintln(&pins, pin)
		}
	}

	for n := range g.requires {
		slices.SortFunc(g.requires[n], func(a, b pydist.Name) int { return strings.Compare(a.String(), b.String()) })
	}

	g.pins = pins.Bytes()
	return g, nil
}

// addName adds the distribution of a requirement (PEP 508), and returns it without extras.
func (g *graph) addName(requirement string) (pin string, err error) {
	end := strings.IndexAny(requirement, "=<>!~ @[;")
	if end < 0 {
		end = len(requirement)
	}

	name, err := pydist.ParseName(requirement[:end])
	if err != nil {
		return "", err
	}

	g.names = append(g.names, name)
	rest := requirement[end:]
	if strings.HasPrefix(rest, "[") {
		g.extras[name] = true
		_, rest, _ = strings.Cut(rest, "]")
	}

	if rest != "" && !strings.ContainsRune("=<>!~ @;", rune(rest[0])) {
		return "", fmt.Errorf("%.20q after the name", rest)
	}

	return requirement[:end] + rest, nil
}

// addRequirer reads a comment about the last distribution: "via a", "via -r main.txt", or only what
// follows via on further lines.
func (g *graph) addRequirer(comment string) {
	if len(g.names) == 0 {
		return
	}

	last := g.names[len(g.names)-1]
	text := strings.TrimSpace(strings.TrimPrefix(comment+" ", "via "))
	if file, ok := strings.CutPrefix(text, "-r "); ok {
		file = filepath.Base(file) // uv may shorten the path
		g.direct[file] = append(g.direct[file], last)
		return
	}

	text, _, _ = strings.Cut(text, "[")
	if by, err := pydist.ParseName(text); err == nil && !slices.Contains(g.requires[by], last) {
		g.requires[by] = append(g.requires[by], last)
	}
}

// closure is all that a requirements file needs, sorted. It is not exact where somebody requires an
// extra of a distribution in it: the comments do not say who needs what only for the extra.
func (g *graph) closure(file string) (names []pydist.Name, exact bool) {
	names = slices.Clone(g.direct[file])
	seen := map[pydist.Name]bool{}
	for _, n := range names {
		seen[n] = true
	}

	exact = true
	for i := 0; i < len(names); i++ {
		exact = exact && !g.extras[names[i]]
		for _, r := range g.requires[names[i]] {
			if !seen[r] {
				seen[r] = true
				names = append(names, r)
			}
		}
	}

	slices.SortFunc(names, func(a, b pydist.Name) int { return strings.Compare(a.String(), b.String()) })
	return names, exact
}
