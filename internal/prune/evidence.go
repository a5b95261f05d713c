package prune

import (
	"path"
	"strings"

	"github.com/layersmith/layersmith/internal/policy"
)

// Names lie: a folder called test may hold the tests that templates are written with, and docs may
// be a package. So rules for such folders ask for evidence in the folder, see policy.Evidence.

// testTools are modules that only tests import. A module that begins with one of them and a dot
// counts too.
var testTools = []string{
	"pytest", "_pytest", "unittest", "nose", "hypothesis", "testtools", "numpy.testing", "pandas.testing",
	"pandas._testing", "twisted.trial", "django.test", "absl.testing", "asynctest", "testfixtures", "tensorflow.test",
}

// isTest reports whether a file is a test: by its name, or by what it imports.
func (p *planner) isTest(site string) bool {
	base := path.Base(site)
	stem, isSource := strings.CutSuffix(base, ".py")
	if isSource && (strings.HasPrefix(stem, "test_") || strings.HasSuffix(stem, "_test") || stem == "conftest") {
		return true
	}

	k, ok := p.indexOf[site]
	if !ok {
		return false
	}

	x := p.input.Indexes[k]
	refs, _ := x.file(site)
	for _, n := range refs.Modules {
		for _, tool := range testTools {
			if rest, ok := strings.CutPrefix(x.Modules[n], tool); ok && (rest == "" || rest[0] == '.') {
				return true
			}
		}
	}

	return false
}

// evidenceKey is the folder that a rule is about.
type evidenceKey struct{ rule, folder string }

// gatherEvidence finds the folders that are what the rules with an evidence are about.
func (p *planner) gatherEvidence() {
	p.evidence = map[evidenceKey]bool{}
	for i := range p.decisions {
		site := p.decisions[i].Site
		for k := range p.policy.Rules() {
			r := &p.policy.Rules()[k]
			if r.Evidence == "" || !r.Matches(site, p.decisions[i].Owner) {
				continue
			}

			folder, ok := matchedFolder(r, site)
			key := evidenceKey{r.ID, folder}
			if !ok || p.evidence[key] {
				continue
			}

			p.evidence[key] = p.proves(r, folder, site)
		}
	}
}

// proves reports whether a file is evidence that its folder is what the rule is about.
func (p *planner) proves(r *policy.Rule, folder, site string) bool {
	switch r.Evidence {
	case policy.HoldsTests:
		return p.isTest(site)
	case policy.HoldsManuals:
		_, isPackage := p.input.Tree.Lookup(p.input.Prefix + folder + "/__init__.py")
		return !isPackage && isManual(site)
	}

	return isManual(site) || programs[path.Ext(site)]
}

// isManual reports whether a file is a text for people, or configures Sphinx, which makes such
// texts. Pages of HTML are no evidence: programs serve them.
func isManual(site string) bool { return manuals[path.Ext(site)] || path.Base(site) == "conf.py" }

// Extensions of manuals, and of example programs.
var (
	manuals  = set(".rst", ".md", ".txt", ".tex", ".texi", ".adoc", ".ipynb", ".pdf", ".inv")
	programs = set(".py", ".pyx", ".c", ".cc", ".cpp", ".cu", ".f", ".f90", ".rs", ".java", ".r", ".R", ".m", ".sh", ".js", ".ts")
)

func set(names ...string) map[string]bool {
	m := map[string]bool{}
	for _, n := range names {
		m[n] = true
	}

	return m
}

// proven reports whether the folder of a file is what the rule is about. A file that a glob names
// by its own name needs no evidence.
func (p *planner) proven(r *policy.Rule, site string) bool {
	if r.Evidence == "" {
		return true
	}

	folder, ok := matchedFolder(r, site)
	return !ok || p.evidence[evidenceKey{r.ID, folder}]
}
