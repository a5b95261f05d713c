package engine

import (
	"cmp"
	"slices"
	"strings"
	"testing"

	"github.com/layersmith/layersmith/internal/lock"
	"github.com/layersmith/layersmith/internal/pydist"
)

// The orders are those of pip 26.3 for these graphs: get_topological_weights in
// pip/_internal/resolution/resolvelib/resolver.py.
func TestInstallOrderIsThatOfPip(t *testing.T) {
	t.Parallel()
	for requires, want := range map[string]string{
		"a b c":           "c b a",
		"a:b b:c c":       "c b a",
		"c:b b:a a":       "a b c",
		"a:c b:c c d":     "d c b a",
		"a:b b:a c":       "c b a",
		"top:x,y x:y y z": "z y x top",
	} {
		var dists []lock.Distribution
		for _, text := range strings.Fields(requires) {
			name, needs, _ := strings.Cut(text, ":")
			d := lock.Distribution{Name: parsed(t, name)}
			for _, n := range strings.FieldsFunc(needs, func(r rune) bool { return r == ',' }) {
				d.Requires = append(d.Requires, parsed(t, n))
			}

			dists = append(dists, d)
		}

		order := installOrder(dists)
		slices.SortFunc(dists, func(a, b lock.Distribution) int { return cmp.Compare(order[a.Name], order[b.Name]) })
		var got []string
		for _, d := range dists {
			got = append(got, d.Name.String())
		}

		if s := strings.Join(got, " "); s != want {
			t.Errorf("%s: installed %s, want %s", requires, s, want)
		}
	}
}

func parsed(t *testing.T, s string) pydist.Name {
	t.Helper()
	n, err := pydist.ParseName(s)
	if err != nil {
		t.Fatal(err)
	}

	return n
}

func TestNamespaceStubs(t *testing.T) {
	t.Parallel()
	const fallback = `'''Doc.'''
try:
    import pkg_resources
    pkg_resources.declare_namespace(__name__)
except ImportError:
    import pkgutil
    __path__ = pkgutil.extend_path(__path__, __name__)
`
	const extend = "__path__ = __import__('pkgutil').extend_path(__path__, __name__)\n"
	for src, want := range map[string]bool{
		"":                      true,
		"# comment\n":           true,
		extend:                  true,
		"# Another.\n" + extend: true,
		"from pkgutil import extend_path\n\n__path__ = extend_path(__path__, __name__)": true,
		"__import__('pkg_resources').declare_namespace(__name__)":                       true,
		fallback:               true,
		extend + "version = 1": false,
		"import os\n":          false,
	} {
		if got := namespace.MatchString(codeOf(src)); got != want {
			t.Errorf("%q: %t, as %q", src, got, codeOf(src))
		}
	}
}
