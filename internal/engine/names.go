package engine

import (
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/layersmith/layersmith/internal/policy"
	"github.com/layersmith/layersmith/internal/probe"
	"github.com/layersmith/layersmith/internal/pyc"
	"github.com/layersmith/layersmith/internal/report"
	"github.com/layersmith/layersmith/internal/wheel"
	"github.com/layersmith/layersmith/internal/workspace"
)

// names checks that what layer.yaml names is there: services, submodules, languages, modules whose
// import is timed, and the files of keep and drop. A misspelled name would remove what the layer
// needs, or do nothing, without a word.
type names struct {
	layer   workspace.Layer
	plan    Planned
	below   []Planned
	sites   []string // files of the artifact, as globs are matched with them
	lenient bool     // a glob that matches nothing is only remarked
	found   workspace.Findings
	remarks []string
}

// checkNames returns the names of layer.yaml that name nothing in the layer, as findings, and notes
// the harmless ones as remarks on the plans. A glob that matches nothing is harmless where another
// target or another layer may have the file.
func checkNames(ws workspace.Workspace, plans []Planned) error {
	byName := map[string]Planned{}
	var found workspace.Findings
	for i, p := range plans {
		byName[p.Spec.Name] = p
		n := names{layer: p.Spec, plan: p, lenient: len(ws.Targets) > 1, sites: p.sites()}
		for _, b := range ws.Below(p.Spec.Name) {
			n.below = append(n.below, byName[b])
		}

		n.run()
		n.imports()
		found = append(found, n.found...)
		plans[i].Remarks = n.remarks
	}

	if len(found) == 0 {
		return nil
	}

	return found
}

// checkPrebuilt is checkNames for a layer that another tool built, by the spec of a layer of the
// workspace: what that spec is about may be in other layers here.
func checkPrebuilt(p *Planned) error {
	n := names{layer: p.Spec, plan: *p, lenient: true, sites: p.sites()}
	n.run()
	p.Remarks = n.remarks
	if len(n.found) == 0 {
		return nil
	}

	return n.found
}

// sites are the names of the artifact's files as globs are matched with them, and those of the
// bytecode that a build adds: a layer may drop that of a file.
func (p Planned) sites() []string {
	out := make([]string, 0, 3*p.Artifact.Tree.Len())
	for _, e := range p.Artifact.Tree.Entries() {
		site := strings.TrimPrefix(e.Name, p.Artifact.Place.Prefix)
		out = append(out, site)
		if strings.HasSuffix(site, ".py") {
			out = append(out, pyc.Cached(site, p.Artifact.Target), pyc.Legacy(site))
		}
	}

	return out
}

func (n *names) run() {
	n.services()
	n.modules()
	n.languages()
	n.globs("keep", n.layer.Policy.Keep)
	n.globs("drop", n.layer.Policy.Drop)
	n.globs("allow", n.layer.Allow)
}

func (n *names) wrong(where, hint, format string, args ...any) {
	n.found = append(n.found, workspace.Finding{Where: where, Message: fmt.Sprintf(format, args...), Hint: hint})
}

// idle is wrong for a setting that does nothing in this layer, and may do something in that of
// another tool or target.
func (n *names) idle(where, hint, format string, args ...any) {
	if !n.lenient {
		n.wrong(where, hint, format, args...)
		return
	}

	n.remarks = append(n.remarks, where+": "+fmt.Sprintf(format, args...))
}

// services checks the names of AWS services: the folders that botocore has its models in.
func (n *names) services() {
	if len(n.layer.Policy.Services) == 0 {
		return
	}

	known := n.children("botocore/data/", "boto3/data/")
	for _, s := range n.layer.Policy.Services {
		where := n.layer.Where("services", s)
		switch {
		case len(known) == 0:
			n.idle(where, n.elsewhere("botocore", "services"), "services: the layer does not carry botocore")
			return
		case !slices.Contains(known, s):
			n.wrong(where, workspace.Suggest(s, known), "unknown service %q", s)
		}
	}
}

// elsewhere says which layer below has the distribution that a key is about.
func (n *names) elsewhere(distribution, key string) string {
	for _, b := range n.below {
		for _, d := range b.Artifact.Distributions {
			if d.Name.String() == distribution {
				return fmt.Sprintf("the layer %s carries it: move %s to its layer.yaml", b.Spec.Name, key)
			}
		}
	}

	return "remove " + key
}

// children are the names of the folders directly below some folders, sorted. Folders end with a
// slash.
func (n *names) children(folders ...string) []string {
	seen := map[string]bool{}
	for _, site := range n.sites {
		for _, f := range folders {
			if rest, ok := strings.CutPrefix(site, f); ok {
				if child, _, nested := strings.Cut(rest, "/"); nested {
					seen[child] = true
				}
			}
		}
	}

	return slices.Sorted(maps.Keys(seen))
}

// modules checks packages and their submodules.
func (n *names) modules() {
	packages := slices.Sorted(maps.Keys(n.layer.Policy.Modules))
	for _, pkg := range packages {
		known := n.submodules(pkg)
		if len(known) == 0 {
			n.idle(n.layer.Where("modules", pkg), n.suggestPackage(pkg), "modules: the layer has no package %q", pkg)
			continue
		}

		for _, m := range n.layer.Policy.Modules[pkg] {
			if slices.Contains(known, m) {
				continue
			}

			hint := workspace.Suggest(m, known)
			if first, _, dotted := strings.Cut(m, "."); dotted && slices.Contains(known, first) {
				hint = "name the direct submodule: " + first
			}

			n.wrong(n.layer.Where("modules "+pkg, m), hint, "unknown submodule %q of %s", m, pkg)
		}
	}
}

// submodules are the public modules and folders directly in a package, sorted; none when there is
// no such package.
func (n *names) submodules(pkg string) []string {
	seen := map[string]bool{}
	for _, site := range n.sites {
		if rest, ok := strings.CutPrefix(site, pkg+"/"); ok {
			seen[stem(rest)] = true
		}
	}

	return slices.Sorted(maps.Keys(seen))
}

// stem is the first part of a path up to a slash or a dot: the module that the file belongs to.
func stem(file string) string {
	if i := strings.IndexAny(file, "/."); i > 0 {
		return file[:i]
	}

	return file
}

// suggestPackage is a hint about the name of an import package.
func (n *names) suggestPackage(name string) string {
	var known []string
	for _, p := range append(slices.Clone(n.below), n.plan) {
		for _, d := range p.Artifact.Distributions {
			top := probe.TopLevel(d)
			if strings.EqualFold(d.Name.String(), strings.ReplaceAll(name, "_", "-")) && len(top) > 0 {
				return fmt.Sprintf("the module of %s is %s", d.Name, top[0])
			}

			known = append(known, top...)
		}
	}

	slices.Sort(known)
	return workspace.Suggest(name, slices.Compact(known))
}

// languages checks languages against the files that the rule is about.
func (n *names) languages() {
	if len(n.layer.Policy.Languages) == 0 {
		return
	}

	rule, ok := selecting(n.plan.Policy, "languages")
	if !ok {
		return
	}

	known := n.knownLanguages(&rule)
	for _, l := range n.layer.Policy.Languages {
		base, _, _ := strings.Cut(strings.ReplaceAll(l, "-", "_"), "_")
		switch where := n.layer.Where("languages", l); {
		case slices.Contains(rule.Select.Always, base):
		case len(known) == 0:
			n.idle(where, "remove languages", "languages: the layer has no translations")
			return
		case !slices.Contains(known, l):
			n.wrong(where, workspace.Suggest(l, known), "no package of the layer has the language %q", l)
		}
	}
}

// selecting is the layer's rule that takes a list from a key of layer.yaml.
func selecting(p policy.Policy, key string) (policy.Rule, bool) {
	for _, r := range p.Rules() {
		if r.Select != nil && r.Select.From == key {
			return r, true
		}
	}

	return policy.Rule{}, false
}

var language = regexp.MustCompile(`^[a-z]{2,3}([_-][A-Za-z]+)*$`)

// knownLanguages are the names of folders and files that a rule about languages covers, and that
// have the form of a language, with their first parts: de_AT is de too.
func (n *names) knownLanguages(rule *policy.Rule) []string {
	seen := map[string]bool{}
	for _, site := range n.sites {
		if !rule.Matches(site, policy.Owner{}) {
			continue
		}

		parts := strings.Split(site, "/")
		parts[len(parts)-1], _, _ = strings.Cut(parts[len(parts)-1], ".")
		for _, s := range parts[1:] {
			if language.MatchString(s) {
				first, _, _ := strings.Cut(strings.ReplaceAll(s, "-", "_"), "_")
				seen[s] = true
				seen[first] = true
			}
		}
	}

	return slices.Sorted(maps.Keys(seen))
}

// imports checks the top-level modules of imports in the whole stack. What resembles nothing there
// may be a module of Python's own: the probe decides.
func (n *names) imports() {
	known := map[string]bool{}
	for _, p := range append(slices.Clone(n.below), n.plan) {
		for _, site := range p.sites() {
			known[stem(site)] = true
		}
	}

	var tops []string
	for _, p := range append(slices.Clone(n.below), n.plan) {
		for _, d := range p.Artifact.Distributions {
			tops = append(tops, probe.TopLevel(d)...)
		}
	}

	for _, m := range n.layer.Imports {
		top, _, _ := strings.Cut(m, ".")
		hint := n.suggestPackage(top)
		switch {
		case known[top]:
		case workspace.Similar(top, tops) != "" || strings.HasPrefix(hint, "the module of "):
			n.wrong(n.layer.Where("imports", m), hint, "imports: no module %q in the layer and those below", top)
		default:
			n.remarks = append(n.remarks, fmt.Sprintf("imports: %s is neither in the layer nor in those below", m))
		}
	}
}

// written is the end of the reason that healing writes.
var written = regexp.MustCompile(`; healed \d{4}-\d{2}-\d{2}$`)

// globs checks that each entry of keep or drop matches a file. An entry that healing wrote, and
// that a newer version of the package does not need, is only remarked.
func (n *names) globs(key string, choices []policy.Choice) {
	for _, c := range policy.Unmatched(choices, n.sites) {
		if key == "allow" && n.subject(c.Match) {
			continue
		}

		where := n.layer.Where(key, c.Match)
		if n.lenient || written.MatchString(c.Reason) {
			n.remarks = append(n.remarks, fmt.Sprintf("%s: %s %s matches no file: remove it, unless another target "+
				"has one", where, key, c.Match))
			continue
		}

		n.wrong(where, globHint(c.Match, n.plan.Artifact.Place.Prefix, n.sites), "%s: %q matches no file of the layer",
			key, c.Match)
	}
}

// subject reports whether an entry of allow names something else that a finding can be about: the
// layer, a folder of a distribution, or a file by its name in the zip.
func (n *names) subject(match string) bool {
	_, isFile := n.plan.Artifact.Tree.Lookup(match)
	return isFile || match == n.layer.Name || slices.ContainsFunc(n.plan.Artifact.Distributions,
		func(d wheel.Distribution) bool { return policy.Matches(match, d.DistInfo) })
}

// idleAllows are remarks on the entries of allow to which no finding of the gate belongs.
func (m Made) idleAllows(accepted []report.Allowed) []string {
	var out []string
	for _, c := range m.Spec.Allow {
		used := slices.ContainsFunc(accepted, func(a report.Allowed) bool {
			site, _ := m.Artifact.Place.Site(a.Subject)
			return policy.Matches(c.Match, site) || c.Match == a.Subject
		})
		if !used {
			out = append(out, fmt.Sprintf("%s: allow %s allows nothing: the gate finds nothing there; "+
				"remove it, unless another target needs it",
				m.Spec.Where("allow", c.Match), c.Match))
		}
	}

	return out
}

// globHint says how to write a glob that matches nothing.
func globHint(glob, prefix string, sites []string) string {
	for _, p := range []string{prefix, "python/", "/opt/python/", "opt/python/"} {
		if rest, ok := strings.CutPrefix(glob, p); ok && p != "" {
			if len(policy.Unmatched([]policy.Choice{{Match: rest}}, sites)) == 0 {
				return fmt.Sprintf("globs are relative to %s: %q", p, rest)
			}
		}
	}

	if len(policy.Unmatched([]policy.Choice{{Match: glob + "/**"}}, sites)) == 0 {
		return fmt.Sprintf("it is a folder; its files are %q", glob+"/**")
	}

	if near := nearest(glob, sites); near != "" {
		return "the nearest is " + near + "; or remove the entry"
	}

	return "remove the entry"
}

// nearest is the file or folder whose path is most similar to the part of a glob before its first
// wildcard; "" when none is similar.
func nearest(glob string, sites []string) string {
	var literal []string
	for part := range strings.SplitSeq(glob, "/") {
		if strings.ContainsAny(part, `*?[{`) {
			break
		}

		literal = append(literal, part)
	}

	seen := map[string]bool{}
	for _, site := range sites {
		parts := strings.Split(site, "/")
		if len(parts) >= len(literal) {
			seen[path.Join(parts[:len(literal)]...)] = true
		}
	}

	delete(seen, "")
	return workspace.Similar(path.Join(literal...), slices.Sorted(maps.Keys(seen)))
}
