package prune

import (
	"fmt"
	"path"
	"strings"

	"github.com/layersmith/layersmith/internal/policy"
	"github.com/layersmith/layersmith/internal/pyc"
)

const distInfoSuffix = ".dist-info"

// planner makes a Plan. It decides about each file by the rules, then restores candidates that kept
// files refer to, then decides about bytecode.
type planner struct {
	Plan
	olderAPIs  map[string]bool // see olderAPIs
	opaque     map[string]bool // see opaquePackages
	candidates candidates
	wants      [][]*policy.Rule // by position in decisions: the rules that want to drop the candidate
	groups     map[string][]int // see group
	evidence   map[evidenceKey]bool
	indexOf    map[string]int // file: position of its index
	contents   contents
	libraries  *libraries // nil where no rule asked for links

	// Of the search for references:
	queue    []int           // kept files whose references are still to be followed
	siblings []sibling       // see restoreSiblings
	indexes  []resolvedIndex // as in Input
}

func newPlanner(in Input, pol policy.Policy) *planner {
	p := &planner{
		Plan:       Plan{input: in, policy: pol, decisions: make([]Decision, in.Tree.Len())},
		olderAPIs:  olderAPIs(in),
		opaque:     opaquePackages(in),
		candidates: newCandidates(),
		wants:      make([][]*policy.Rule, in.Tree.Len()),
		groups:     map[string][]int{},
		indexOf:    map[string]int{},
	}
	for k, x := range in.Indexes {
		for _, f := range x.Files {
			p.indexOf[f.Path] = k
		}
	}

	owners := in.owners()
	for i, e := range in.Tree.Entries() {
		p.decisions[i] = in.decision(e, owners)
	}

	p.gatherEvidence()
	return p
}

// applyRules decides about file i, or makes it a candidate. Bytecode is decided about later, by its
// source.
func (p *planner) applyRules(i int) error {
	d := &p.decisions[i]
	name := strings.TrimPrefix(d.Site, Outside) // what globs are matched with
	if _, isBytecode := pyc.Source(name); isBytecode {
		return nil
	}

	if d.applyLayerChoice(p.policy, name) {
		return nil
	}

	if inDistInfo(name) {
		return nil
	}

	rules := p.policy.Rules()
	for k := range rules {
		final, err := p.applyRule(i, name, &rules[k])
		if err != nil {
			return err
		}

		if final {
			return nil
		}
	}

	if len(p.wants[i]) > 0 {
		p.addCandidate(i)
	}

	return nil
}

// inDistInfo reports whether rules must not touch the file: importlib.metadata reads .dist-info,
// and licenses are in it.
func inDistInfo(name string) bool {
	first, _, _ := strings.Cut(name, "/")
	return strings.HasSuffix(first, distInfoSuffix)
}

// applyRule applies one rule to file i. If the result is final, no later rule changes it.
func (p *planner) applyRule(i int, name string, r *policy.Rule) (final bool, err error) {
	d := &p.decisions[i]
	if !p.covers(r, i, name, d.Owner) {
		return false, nil
	}

	if why, ok := r.Excepted(name, d.Owner); ok {
		if d.Why == "" { // the first exception is the one reported
			d.explainKept(r.ID, why)
		}

		return false, nil
	}

	if !p.proven(r, d.Site) {
		d.explainKept(r.ID, r.Otherwise())
		return false, nil
	}

	if r.Transform != "" {
		return false, d.setTransform(r) // a later rule may drop the file
	}

	if r.References == "ignore" {
		d.drop(r.ID, p.contents[r.Content][i])
		p.wants[i] = nil
		return true, nil
	}

	if why := p.unknownReferences(d.Site); why != "" {
		d.explainKept(r.ID, why)
		return false, nil
	}

	p.wants[i] = append(p.wants[i], r)
	return false, nil
}

// covers reports whether the rule is about the file, before exceptions and references.
func (p *planner) covers(r *policy.Rule, i int, name string, o policy.Owner) bool {
	matches := r.Matches(name, o) && p.loads(r, name) || p.hasContent(r, i, o)
	return matches && !p.policy.Selected(r, name) && (r.ID != oldAPIRule || p.olderAPIs[name])
}

// loads reports whether a copy of the rule's root is used as the original is: its loader lies beside
// it. Data of somebody else that only looks alike is left alone.
func (p *planner) loads(r *policy.Rule, name string) bool {
	root, inCopy := strings.CutSuffix(name, "/"+r.Within(name))
	if !inCopy {
		return true
	}

	_, ok := p.input.Tree.Lookup(p.input.Prefix + path.Join(root, path.Dir(r.Root), "loaders.py"))
	return ok
}

// setTransform decides that the rule's transform rewrites the file, unless an earlier rule did.
func (d *Decision) setTransform(r *policy.Rule) error {
	t, ok := transforms[r.Transform]
	if !ok {
		return fmt.Errorf("rule %s: unknown transform %q", r.ID, r.Transform)
	}

	if d.transform == nil {
		d.Fate = Transformed
		d.Rule = r.ID
		d.Why = ""
		d.transform = t
		d.transformRule = r.ID
	}

	return nil
}

// unknownReferences says why the index cannot tell whether something refers to the file, or "".
func (p *planner) unknownReferences(site string) string {
	if strings.HasPrefix(site, Outside) {
		return "references to it are unknown: it is outside the site folder"
	}

	if top, _, _ := strings.Cut(site, "/"); p.opaque[top] {
		return "references to it are unknown: " + top + " has bytecode instead of sources"
	}

	return ""
}

// addCandidate drops file i until a reference restores it.
func (p *planner) addCandidate(i int) {
	d := &p.decisions[i]
	d.drop(p.wants[i][0].ID, "")
	p.candidates.add(i, d.Site)
	for _, r := range p.wants[i] {
		if r.References == "folder" {
			g := group(r, d.Site)
			p.groups[g] = append(p.groups[g], i)
			if folder, ok := matchedFolder(r, d.Site); ok && r.Select == nil {
				p.candidates.whole[folder] = append(p.candidates.whole[folder], i)
			}
		}
	}
}

// group returns the key of the files that a rule with "references: folder" restores together: those
// of the selected part of a package, or of the folder that the rule matches.
func group(r *policy.Rule, site string) string {
	if folder, ok := matchedFolder(r, site); ok && r.Select == nil {
		return r.ID + "\x00" + folder
	}

	segments := strings.Split(site, "/")
	n := len(segments) - 1
	if r.Select != nil {
		n = min(n, r.Select.Segment+1)
	}

	return r.ID + "\x00" + strings.Join(segments[:n], "/")
}

// matchedFolder is the outermost folder of a file that the rule's globs match as a whole. ok is
// false when they match the file by its own name.
func matchedFolder(r *policy.Rule, site string) (folder string, ok bool) {
	for k := range len(site) {
		// No glob matches this file name, so only the folder can.
		if site[k] == '/' && r.Matches(site[:k]+"/\x00", policy.Owner{}) {
			return site[:k], true
		}
	}

	return "", false
}

// opaquePackages returns the top-level folders with more sourceless bytecode than sources. The
// index reads sources only, so the references of these packages are unknown.
func opaquePackages(in Input) map[string]bool {
	balance := map[string]int{} // sourceless bytecode files minus sources
	for _, e := range in.Tree.Entries() {
		site, inside := strings.CutPrefix(e.Name, in.Prefix)
		top, _, inFolder := strings.Cut(site, "/")
		if !inside || !inFolder {
			continue
		}

		if source, isBytecode := pyc.Source(site); isBytecode && !strings.Contains(site, "__pycache__/") {
			if _, ok := in.Tree.Lookup(in.Prefix + source); !ok {
				balance[top]++
			}
		} else if strings.HasSuffix(site, ".py") {
			balance[top]--
		}
	}

	opaque := map[string]bool{}
	for top, n := range balance {
		opaque[top] = n > 0
	}

	return opaque
}

// olderAPIs returns the botocore model files of API versions that are not the newest of their
// service and kind of model.
func olderAPIs(in Input) map[string]bool {
	newest := map[string]string{} // service/kind: version
	for _, e := range in.Tree.Entries() {
		if model, version, ok := botocoreModel(strings.TrimPrefix(e.Name, in.Prefix)); ok {
			newest[model] = max(newest[model], version)
		}
	}

	older := map[string]bool{}
	for _, e := range in.Tree.Entries() {
		site := strings.TrimPrefix(e.Name, in.Prefix)
		if model, version, ok := botocoreModel(site); ok && version < newest[model] {
			older[site] = true
		}
	}

	return older
}

// botocoreModel splits botocore/data/SERVICE/VERSION/KIND.json into SERVICE/KIND and VERSION, of
// botocore itself or of a copy below another folder, which is part of the model's name. A version is
// a date, YYYY-MM-DD.
func botocoreModel(site string) (model, version string, ok bool) {
	s := strings.Split(site, "/")
	n := len(s) - 5
	if n < 0 || s[n] != "botocore" || s[n+1] != "data" {
		return "", "", false
	}

	kind, _, _ := strings.Cut(s[n+4], ".")
	return strings.Join(append(s[:n:n], s[n+2], kind), "/"), s[n+3], true
}
