// Package prune decides what becomes of every file of a layer and does it.
//
// A Plan is a partition: each file is kept, dropped by a rule or transformed by a rule, with the
// reason. Reports print it, Apply walks it, there is no third path. Planning reads names, the
// import index and nothing else; applying copies compressed bytes and inflates only what a
// transform rewrites.
//
// What kept code refers to is kept (see Index): files that rules want to drop are candidates until
// no kept file imports them or names them. That is done to a fixed point, since a file that comes
// back may refer to others.
package prune

import (
	"fmt"
	"io"
	"path"
	"strings"

	"github.com/layersmith/layersmith/internal/policy"
	"github.com/layersmith/layersmith/internal/pyc"
	"github.com/layersmith/layersmith/internal/pydist"
	"github.com/layersmith/layersmith/internal/pyimport"
	"github.com/layersmith/layersmith/internal/wheel"
	"github.com/layersmith/layersmith/internal/ziptree"
)

// Names that stand in for a rule where a decision is not one of the rule book.
const (
	ByLayer    = "layer"      // the layer's own keep or drop
	BySource   = "sourceless" // a source whose bytecode took its place
	ByRecord   = "record"     // RECORD, rewritten to match
	staleRule  = "stale-bytecode"
	distSuffix = ".dist-info"
)

// Outside begins the Site of a file that does not lie below the site folder, as lib/libx.so beside
// python/ in a layer that something else built. Without it such a file could not be told from
// python/lib/libx.so.
const Outside = "(outside)/"

// siteOf names a file of the zip relative to the site folder.
func siteOf(prefix, name string) (site string, inside bool) {
	if site, inside = strings.CutPrefix(name, prefix); !inside {
		site = Outside + name
	}

	return site, inside
}

// Fate is what becomes of a file.
type Fate int

// The three fates.
const (
	Kept Fate = iota
	Dropped
	Transformed
)

func (f Fate) String() string { return [...]string{"kept", "dropped", "transformed"}[f] }

// Decision is the fate of one file.
type Decision struct {
	Entry     ziptree.Entry
	Site      string // its name relative to the site folder; Outside and its name in the zip when it lies elsewhere
	Owner     policy.Owner
	Wheel     string // the wheel (hex digest) that it was taken from; "" in foreign layers
	Fate      Fate
	Rule      string // what dropped or transforms it; for a kept file the rule that would have dropped it, or ""
	Why       string // for a kept file that a rule wanted: who needs it
	transform *Transform
	rewriter  string // the rule that names the transform
}

// Input is what a plan is made from.
type Input struct {
	Target        pydist.Target
	Tree          ziptree.Tree
	Prefix        string // the site folder in the zip: "python/" in a layer, "" in a function's own package
	Distributions []wheel.Distribution
	Indexes       []Index
}

// Plan is the partition of all entries of a tree, sorted by name.
type Plan struct {
	input     Input
	policy    policy.Policy
	decisions []Decision
}

// Decisions returns the partition; the caller must not change it.
func (p Plan) Decisions() []Decision { return p.decisions }

// Input returns what the plan was made from.
func (p Plan) Input() Input { return p.input }

// NewPlan decides about every file of the tree.
func NewPlan(in Input, pol policy.Policy) (Plan, error) {
	p := Plan{input: in, policy: pol, decisions: make([]Decision, in.Tree.Len())}
	owners := map[string]*wheel.Distribution{}
	for i := range in.Distributions {
		d := &in.Distributions[i]
		for _, f := range d.Files {
			owners[f] = d
		}
	}

	rules := pol.Rules()
	pending := newCandidates()
	wants := make([][]*policy.Rule, len(p.decisions)) // rules that want to drop a file, unless something refers to it
	groups := map[string][]int{}                      // files that come back together
	old := olderAPIs(in)
	opaque := opaquePackages(in)
	for i, e := range in.Tree.Entries() {
		key, inside := siteOf(in.Prefix, e.Name)
		site := strings.TrimPrefix(e.Name, in.Prefix) // what patterns are written for
		d := &p.decisions[i]
		*d = Decision{Entry: e, Site: key}
		if o := owners[site]; o != nil && inside {
			d.Owner = policy.Owner{Name: o.Name, Version: o.Version}
			d.Wheel = o.Wheel
		}

		if _, isBytecode := pyc.Source(site); isBytecode {
			continue // follows its source, below
		}

		if c, ok := pol.Kept(site); ok {
			d.Rule = ByLayer
			d.Why = c.Reason
			continue
		}

		if c, ok := pol.Dropped(site); ok {
			d.Fate = Dropped
			d.Rule = ByLayer
			d.Why = c.Reason
			continue
		}

		if first, _, _ := strings.Cut(site, "/"); strings.HasSuffix(first, distSuffix) {
			continue // importlib.metadata and licence terms need all of it
		}

		for k := range rules {
			r := &rules[k]
			if !r.Matches(site, d.Owner) || pol.Selected(r, site) || r.ID == "botocore-old-api" && !old[site] {
				continue
			}

			if why, ok := r.Excepted(site, d.Owner); ok {
				if d.Why == "" && d.Fate == Kept {
					d.Rule = r.ID
					d.Why = why
				}

				continue
			}

			if r.Transform != "" {
				t, ok := transforms[r.Transform]
				if !ok {
					return Plan{}, fmt.Errorf("rule %s names the transform %q, which does not exist", r.ID, r.Transform)
				}

				if d.transform == nil {
					d.Fate = Transformed
					d.Rule = r.ID
					d.Why = ""
					d.transform = t
					d.rewriter = r.ID
				}

				continue // a rule that drops it may follow
			}

			if r.References == "ignore" {
				d.Fate = Dropped
				d.Rule = r.ID
				d.Why = ""
				d.transform = nil
				wants[i] = nil
				break
			}

			if top, _, _ := strings.Cut(site, "/"); !inside || opaque[top] {
				if d.Fate == Kept {
					d.Rule = r.ID
					d.Why = "what refers to it is not known: it lies outside of the site folder"
					if inside {
						d.Why = "what refers to it is not known: " + top + " has bytecode in the place of sources"
					}
				}

				continue
			}

			wants[i] = append(wants[i], r)
		}

		if len(wants[i]) == 0 {
			continue
		}

		d.Fate = Dropped
		d.Rule = wants[i][0].ID
		d.Why = ""
		pending.add(i, site)
		for _, r := range wants[i] {
			if r.References == "folder" {
				g := group(r, site)
				groups[g] = append(groups[g], i)
			}
		}
	}

	p.keepReferred(pending, wants, groups)
	p.bytecode()
	return p, nil
}

// group is the folder whose files come back together: the selected part of a package, or the folder
// that made the rule match.
func group(r *policy.Rule, site string) string {
	segments := strings.Split(site, "/")
	n := len(segments) - 1
	if r.Select != nil {
		n = min(n, r.Select.Segment+1)
	} else {
		for k := 1; k < n; k++ {
			if r.Matches(strings.Join(segments[:k], "/")+"/\x00", policy.Owner{}) {
				n = k
				break
			}
		}
	}

	return r.ID + "\x00" + strings.Join(segments[:n], "/")
}

// keepReferred gives back what kept files refer to, until nothing more comes back.
func (p *Plan) keepReferred(c candidates, wants [][]*policy.Rule, groups map[string][]int) {
	if len(c.byPath) == 0 {
		return
	}

	var queue []int
	for i := range p.decisions {
		if p.decisions[i].Fate != Dropped {
			queue = append(queue, i)
		}
	}

	indexes := make([]targets, len(p.input.Indexes))
	where := map[string]int{} // file -> its index
	for k, x := range p.input.Indexes {
		indexes[k] = c.resolve(x)
		for _, f := range x.Files {
			where[f.Path] = k
		}
	}

	// back keeps a file that rules wanted to drop. A transform that waited for it has its turn.
	back := func(i int, why string) {
		d := &p.decisions[i]
		if d.Fate != Dropped || len(wants[i]) == 0 {
			return
		}

		d.Fate = Kept
		d.Why = why
		if d.transform != nil {
			d.Fate = Transformed
			d.Rule = d.rewriter
		}

		wants[i] = nil
		queue = append(queue, i)
	}
	// withdraw ends one rule's wish, for a file whose neighbour is needed; other rules may want it
	// gone all the same.
	withdraw := func(i int, r *policy.Rule, why string) {
		for k, w := range wants[i] {
			if w != r {
				continue
			}

			if len(wants[i]) == 1 {
				back(i, why)
				return
			}

			wants[i] = append(append([]*policy.Rule(nil), wants[i][:k]...), wants[i][k+1:]...)
			p.decisions[i].Rule = wants[i][0].ID
			return
		}
	}
	// refer keeps what somebody refers to, and for rules about folders its neighbours.
	refer := func(i int, who string) {
		if p.decisions[i].Fate != Dropped {
			return
		}

		wished := wants[i]
		back(i, who+" refers to it")
		for _, r := range wished {
			if r.References != "folder" {
				continue
			}

			for _, j := range groups[group(r, p.decisions[i].Site)] {
				withdraw(j, r, who+" refers to "+path.Base(p.decisions[i].Site)+" beside it")
			}
		}
	}
	// importlib.metadata loads entry points by name: they are references too, also to a package
	// that has no Python of its own.
	for _, d := range p.input.Distributions {
		for _, e := range d.Entry {
			who := fmt.Sprintf("entry point %s of %s", e.Name, d.Name)
			for _, i := range c.byModule[e.Module] {
				refer(i, who)
			}

			folder := strings.ReplaceAll(e.Module, ".", "/")
			if _, regular := p.input.Tree.Lookup(p.input.Prefix + folder + "/__init__.py"); regular {
				continue
			}

			for _, i := range c.inFolder(folder) {
				refer(i, who)
			}
		}
	}

	for n := 0; n < len(queue); n++ {
		d := p.decisions[queue[n]]
		for dir := path.Dir(d.Site); dir != "."; dir = path.Dir(dir) {
			if i, ok := c.byPath[dir+"/__init__.py"]; ok && isModule(d.Site) {
				back(i, d.Site+" is in this package")
			}
		}

		k, ok := where[d.Site]
		if !ok {
			continue
		}

		refs, ok := indexes[k].index.file(d.Site)
		if !ok {
			continue
		}

		c.referred(indexes[k], refs, func(i int) { refer(i, d.Site) })
	}
}

func isModule(site string) bool {
	_, _, ok := pyimport.ModuleName(site)
	return ok
}

// bytecode decides about the .pyc files that are in the tree: they follow their source; what Python
// would not load goes.
func (p *Plan) bytecode() {
	fate := map[string]*Decision{}
	for i := range p.decisions {
		fate[p.decisions[i].Site] = &p.decisions[i]
	}

	var stale *policy.Rule
	for _, r := range p.policy.Rules() {
		if r.ID == staleRule {
			stale = &r
		}
	}

	for i := range p.decisions {
		d := &p.decisions[i]
		source, ok := pyc.Source(d.Site)
		if !ok {
			continue
		}

		name := strings.TrimPrefix(d.Site, Outside)
		if c, ok := p.policy.Kept(name); ok {
			d.Rule = ByLayer
			d.Why = c.Reason
			continue
		}

		if c, ok := p.policy.Dropped(name); ok {
			d.Fate = Dropped
			d.Rule = ByLayer
			d.Why = c.Reason
			continue
		}

		s, ok := fate[source]
		switch {
		case ok && s.Fate == Dropped:
			d.Fate = Dropped
			d.Rule = s.Rule
			d.Why = s.Why
		case !ok && !strings.Contains(d.Site, "__pycache__/"):
			d.Why = "there is no source that it could be made from"
		case stale != nil && !(ok && d.Site == pyc.Cached(source, p.input.Target) && fresh(d.Entry, p.input.Target)):
			d.Fate = Dropped
			d.Rule = staleRule
		}
	}
}

func fresh(e ziptree.Entry, t pydist.Target) bool {
	r, err := e.Open()
	if err != nil {
		return false
	}
	defer r.Close()
	var head [pyc.HeaderBytes]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return false
	}

	return pyc.CheckHeader(head[:], t) == nil
}

// opaquePackages are those at the top that have bytecode in the place of most sources: nobody can
// say what they refer to.
func opaquePackages(in Input) map[string]bool {
	balance := map[string]int{} // bytecode without a source less sources
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

// olderAPIs are the files of API versions that a newer one of the same service and kind replaces.
func olderAPIs(in Input) map[string]bool {
	newest := map[string]string{} // service/kind -> version
	split := func(site string) (model, version string, ok bool) {
		s := strings.Split(site, "/")
		if len(s) != 5 || s[0] != "botocore" || s[1] != "data" {
			return "", "", false
		}

		kind, _, _ := strings.Cut(s[4], ".")
		return s[2] + "/" + kind, s[3], true
	}
	for _, e := range in.Tree.Entries() {
		if model, version, ok := split(strings.TrimPrefix(e.Name, in.Prefix)); ok {
			newest[model] = max(newest[model], version)
		}
	}

	old := map[string]bool{}
	for _, e := range in.Tree.Entries() {
		site := strings.TrimPrefix(e.Name, in.Prefix)
		if model, version, ok := split(site); ok && version < newest[model] {
			old[site] = true
		}
	}

	return old
}

// KeptSources are the Python modules that stay as sources: what bytecode is wanted for. What lies
// in bin/ is run, not imported, and what lies outside of the site folder has no name as a module.
func (p Plan) KeptSources() []Decision {
	var out []Decision
	for _, d := range p.decisions {
		if d.Fate != Dropped && strings.HasSuffix(d.Site, ".py") && !strings.HasPrefix(d.Site, "bin/") &&
			!strings.HasPrefix(d.Site, Outside) {
			out = append(out, d)
		}
	}

	return out
}

// Untouched is the layer as it is: every file kept.
func Untouched(in Input) Pruned {
	owners := map[string]*wheel.Distribution{}
	for i := range in.Distributions {
		for _, f := range in.Distributions[i].Files {
			owners[f] = &in.Distributions[i]
		}
	}

	out := Pruned{Tree: in.Tree}
	for _, e := range in.Tree.Entries() {
		site, _ := siteOf(in.Prefix, e.Name)
		o := Outcome{Decision: Decision{Entry: e, Site: site}, Result: e}
		if d := owners[o.Site]; d != nil {
			o.Owner = policy.Owner{Name: d.Name, Version: d.Version}
			o.Wheel = d.Wheel
		}

		out.Decisions = append(out.Decisions, o)
	}

	return out
}
