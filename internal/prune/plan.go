// Package prune decides whether each file of a layer is kept, dropped or rewritten, and carries the
// decisions out.
//
// A Plan has one Decision per file: kept, dropped by a rule, or transformed by a rule, with the
// reason. Reports print decisions and Apply executes them. Planning reads file names, headers of
// .pyc files and the import index. Applying copies compressed bytes, and inflates only files that a
// transform rewrites.
//
// A file that kept code refers to is kept (see Index). The files that rules want to drop are
// candidates. A candidate that a kept file imports or names becomes a kept file, whose own
// references then count too, until no more candidates are restored.
package prune

import (
	"strings"

	"github.com/layersmith/layersmith/internal/policy"
	"github.com/layersmith/layersmith/internal/pydist"
	"github.com/layersmith/layersmith/internal/wheel"
	"github.com/layersmith/layersmith/internal/ziptree"
)

// Values of Decision.Rule that are not rules of the rule book.
const (
	ByLayer  = "layer"      // the layer's own keep or drop
	BySource = "sourceless" // a source that its bytecode replaces
	ByRecord = "record"     // RECORD, rewritten to match the layer
)

// Rules that need facts beyond the name and owner of a file.
const (
	staleRule  = "stale-bytecode"
	oldAPIRule = "botocore-old-api"
)

// Outside is the prefix of the Site of files outside the site folder, such as lib/libx.so next to
// python/ in a prebuilt layer. It keeps lib/libx.so distinct from python/lib/libx.so.
const Outside = "(outside)/"

// siteOf returns the name of a file relative to the site folder, or Outside and its name in the
// zip.
func siteOf(prefix, name string) (site string, inside bool) {
	if site, inside = strings.CutPrefix(name, prefix); !inside {
		site = Outside + name
	}

	return site, inside
}

// Fate says what happens to a file.
type Fate int

// The three fates. The zero value is Kept.
const (
	Kept Fate = iota
	Dropped
	Transformed
)

func (f Fate) String() string { return [...]string{"kept", "dropped", "transformed"}[f] }

// Decision is the fate of one file.
type Decision struct {
	Entry ziptree.Entry
	Site  string // name relative to the site folder, or Outside and the name in the zip
	Owner policy.Owner
	Wheel string // hex digest of the wheel it came from; "" in prebuilt layers
	Fate  Fate
	Rule  string // that drops or transforms the file; of a kept file, the rule that would have, or ""
	Why   string // why a file that a rule covers is kept: who refers to it, or the exception

	transform     *Transform
	transformRule string // the rule that names the transform
}

// drop decides that the file is dropped. Its transform is remembered: references may restore the
// file.
func (d *Decision) drop(rule, why string) {
	d.Fate = Dropped
	d.Rule = rule
	d.Why = why
}

// explainKept records why a rule does not drop a kept file.
func (d *Decision) explainKept(rule, why string) {
	if d.Fate == Kept {
		d.Rule = rule
		d.Why = why
	}
}

// applyLayerChoice applies the layer's own keep and drop lists, which precede all rules. The file
// must still have its initial fate, Kept.
func (d *Decision) applyLayerChoice(pol policy.Policy, name string) (decided bool) {
	if c, ok := pol.Kept(name); ok {
		d.explainKept(ByLayer, c.Reason)
		return true
	}

	if c, ok := pol.Dropped(name); ok {
		d.drop(ByLayer, c.Reason)
		return true
	}

	return false
}

// Input is what a plan is made from.
type Input struct {
	Target        pydist.Target
	Tree          ziptree.Tree
	Prefix        string // site folder in the zip: "python/" in a layer, "" in a function package
	Distributions []wheel.Distribution
	Indexes       []Index
	Binaries      []Binaries              // as Indexes
	Links         func() ([]Links, error) // as Indexes; called where a rule asks. nil: nothing is known
}

// decision returns the initial decision about a file: kept, for no reason yet.
func (in Input) decision(e ziptree.Entry, owners map[string]*wheel.Distribution) Decision {
	site, _ := siteOf(in.Prefix, e.Name)
	d := Decision{Entry: e, Site: site}
	if o := owners[site]; o != nil {
		d.Owner = policy.Owner{Name: o.Name, Version: o.Version}
		d.Wheel = o.Wheel
	}

	return d
}

// owners maps file names, relative to the site folder, to the distribution whose RECORD lists them.
func (in Input) owners() map[string]*wheel.Distribution {
	owners := map[string]*wheel.Distribution{}
	for i := range in.Distributions {
		d := &in.Distributions[i]
		for _, f := range d.Files {
			owners[f] = d
		}
	}

	return owners
}

// Plan is the decisions about all entries of a tree, sorted by name. NewPlan makes it, and it is
// immutable.
type Plan struct {
	input     Input
	policy    policy.Policy
	decisions []Decision
	notes     []string // see optionalParts
}

// Input returns what the plan was made from.
func (p Plan) Input() Input { return p.input }

// NewPlan decides about every file of the tree. It fails if a rule names an unknown transform.
func NewPlan(in Input, pol policy.Policy) (Plan, error) {
	p := newPlanner(in, pol)
	if err := p.readContents(); err != nil {
		return Plan{}, err
	}

	for i := range p.decisions {
		if err := p.applyRules(i); err != nil {
			return Plan{}, err
		}
	}

	p.keepReferenced()
	p.decideBytecode()
	if p.libraries != nil {
		p.notes = p.libraries.optionalParts()
	}

	return p.Plan, nil
}

// Untouched returns the layer without any change: every file is kept.
func Untouched(in Input) Pruned {
	owners := in.owners()
	out := Pruned{Tree: in.Tree}
	for _, e := range in.Tree.Entries() {
		out.Decisions = append(out.Decisions, Applied{Decision: in.decision(e, owners), Result: e})
	}

	return out
}
