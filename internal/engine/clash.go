package engine

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/layersmith/layersmith/internal/lock"
	"github.com/layersmith/layersmith/internal/policy"
	"github.com/layersmith/layersmith/internal/prune"
	"github.com/layersmith/layersmith/internal/pydist"
	"github.com/layersmith/layersmith/internal/pyimport"
	"github.com/layersmith/layersmith/internal/ziptree"
)

// Clash is a file that two distributions install with different content. The layer has that of the
// distribution which pip would install last.
type Clash struct {
	Site           string // relative to the site folder
	Winner, Loser  pydist.Name
	equalNamespace bool // both only declare a namespace package
}

// note says which file is used.
func (c Clash) note() string {
	return fmt.Sprintf("%s is in %s and in %s with different content: the layer has that of %s, as with pip; "+
		"to accept it, allow: [{ match: %q, reason: ... }]", c.Site, c.Winner, c.Loser, c.Winner, c.Site)
}

// clashNotes are the notes about clashing files that the layer has and that layer.yaml does not
// allow.
func (m Made) clashNotes() []string {
	if len(m.Artifact.Clashes) == 0 {
		return nil
	}

	kept := map[string]bool{}
	for _, o := range m.Pruned.Decisions {
		kept[o.Site] = o.Fate != prune.Dropped
	}

	var notes []string
	for _, c := range m.Artifact.Clashes {
		allowed := slices.ContainsFunc(m.Spec.Allow, func(a policy.Choice) bool {
			return policy.Matches(a.Match, c.Site)
		})
		if kept[c.Site] && !allowed && !c.equalNamespace {
			notes = append(notes, c.note())
		}
	}

	return notes
}

// installOrder is the order in which pip installs distributions, as positions by name: what others
// require comes first. pip repeats to take those that require nothing of what is left; among them
// the last name comes first. What requires each other in a circle comes last, in that order too.
func installOrder(dists []lock.Distribution) map[pydist.Name]int {
	left := map[pydist.Name]lock.Distribution{}
	for _, d := range dists {
		left[d.Name] = d
	}

	order := map[pydist.Name]int{}
	for len(left) > 0 {
		var leaves []pydist.Name
		for name, d := range left {
			if !slices.ContainsFunc(d.Requires, func(r pydist.Name) bool { _, ok := left[r]; return ok && r != name }) {
				leaves = append(leaves, name)
			}
		}

		if len(leaves) == 0 { // only circles are left
			for name := range left {
				leaves = append(leaves, name)
			}
		}

		slices.SortFunc(leaves, func(a, b pydist.Name) int { return cmp.Compare(b.String(), a.String()) })
		for _, name := range leaves {
			order[name] = len(order)
			delete(left, name)
		}
	}

	return order
}

var (
	commentLine = regexp.MustCompile(`(?m)^[ \t]*#.*$`)
	docstring   = regexp.MustCompile(`(?s)^\s*[rRuU]?(?:"""(?:[^\\]|\\.)*?"""|'''(?:[^\\]|\\.)*?''')`)
	spaces      = regexp.MustCompile(`\s+`)

	// The two ways to declare a namespace package before PEP 420, and the usual fallback from one
	// to the other, after codeOf.
	namespace = regexp.MustCompile(`^(?:(?:try:|except \w+:|from pkgutil import extend_path|import pkg_resources|` +
		`import pkgutil|pkg_resources\.declare_namespace\(__name__\)|__import__\("pkg_resources"\)` +
		`\.declare_namespace\(__name__\)|__path__ = (?:__import__\("pkgutil"\)\.|pkgutil\.)?extend_path\(` +
		`__path__, __name__\)) ?)*$`)
)

// codeOf is the code of a Python source in one line, without comments and the docstring, to compare
// sources that do the same.
func codeOf(src string) string {
	src = commentLine.ReplaceAllString(strings.ReplaceAll(src, "\r\n", "\n"), "")
	src = docstring.ReplaceAllString(src, "")
	return strings.TrimSpace(spaces.ReplaceAllString(strings.ReplaceAll(src, "'", `"`), " "))
}

// sameNamespace reports whether both files only declare a namespace package.
func sameNamespace(a, b ziptree.Entry) bool {
	if !strings.HasSuffix(a.Name, "/__init__.py") {
		return false
	}

	for _, e := range []ziptree.Entry{a, b} {
		src, err := e.Bytes(pyimport.MaxSourceBytes)
		if err != nil || !namespace.MatchString(codeOf(string(src))) {
			return false
		}
	}

	return true
}
