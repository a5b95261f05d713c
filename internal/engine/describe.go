package engine

import (
	"maps"
	"slices"
	"sort"

	"github.com/layersmith/layersmith/internal/digest"
	"github.com/layersmith/layersmith/internal/gate"
	"github.com/layersmith/layersmith/internal/measure"
	"github.com/layersmith/layersmith/internal/place"
	"github.com/layersmith/layersmith/internal/policy"
	"github.com/layersmith/layersmith/internal/prune"
	"github.com/layersmith/layersmith/internal/report"
	"github.com/layersmith/layersmith/internal/workspace"
	"github.com/layersmith/layersmith/internal/ziptree"
)

// largestFiles is how many files a report names.
const largestFiles = 20

// Seen is the results of testing and writing a made layer.
type Seen struct {
	Interpreter string // "cpython-3.13.0"; "" for none
	Gate        []gate.Finding
	Probe       report.Probe
	Zip         report.File // without a name while nothing is written: there is no verdict yet
	Healed      []report.Healed
}

// Report describes a made layer. The gate's findings that layer.yaml allows are in a list of their
// own, with the reason.
func (m Made) Report(seen Seen) report.Layer {
	r := report.Layer{
		SchemaVersion: report.SchemaVersion,
		Name:          m.Spec.Name,
		Target:        m.Artifact.Target.String(),
		Description:   m.Spec.Description,
		Extends:       m.Spec.Extends,
		Key:           m.Key,
		Zip:           seen.Zip,
		Before:        sizeOf(m.Artifact.Tree.Entries()),
		After:         sizeOf(m.Pruned.Tree.Entries()),
		Budget:        m.Spec.Budget,
		Probe:         seen.Probe,
		Choices:       choices(m.Spec.Policy),
		Healed:        seen.Healed,
		Remarks:       m.Remarks,
		Warnings:      slices.Concat(m.placeNotes(), m.clashNotes()),
		Notes:         slices.Concat(m.Artifact.Notes, m.Bytecode.Notes, m.Pruned.Notes),
	}
	if loose(m.Artifact.Tree) {
		r.Before.Zipped = 0 // there was no zip
	}

	r.Gate, r.Allowed = allow(seen.Gate, m.Spec.Allow, m.Artifact.Place)
	r.Bytecode = report.Bytecode{
		Mode:    string(m.Bytecode.Mode),
		Reason:  m.Bytecode.Reason,
		Partial: m.Bytecode.Partial,
		Without: m.Bytecode.Without,
	}
	if m.Key != (digest.SHA256{}) {
		r.Inputs = m.inputs(seen.Interpreter)
		r.Remarks = append(r.Remarks, m.idleAllows(r.Allowed)...)
	}

	if seen.Zip.Name != "" {
		r.Verdict = measure.Judge(r.After.Unzipped, seen.Zip.Bytes, m.Spec.Budget)
	}

	itemize(&r, m.Pruned)
	return r
}

// placeNotes say how a zip without a folder python/ was read: in a layer nothing of it would be
// found.
func (m Made) placeNotes() []string {
	if m.Artifact.Place != place.Function {
		return nil
	}

	return []string{"it has no folder python/, so it was read as a function's own package; " +
		"for a layer put everything below python/ and zip that folder"}
}

// inputs are the digests and versions of everything that the layer was made from.
func (m Made) inputs(interpreter string) report.Inputs {
	in := m.Job.inputs(interpreter)
	in.BytecodeMode = string(m.Bytecode.Mode)
	return in
}

func (j Job) inputs(interpreter string) report.Inputs {
	rules := map[string]int{}
	for _, rule := range j.Policy.Rules() {
		rules[rule.ID] = rule.Version
	}

	return report.Inputs{
		Base:        j.base,
		Stacks:      j.stacks,
		Wheels:      wheels(j.Carries),
		LayerSpec:   j.Spec.Digest,
		Policy:      j.Policy.Digest(),
		Rules:       rules,
		Transforms:  prune.Versions(),
		Compression: j.compression(),
		Interpreter: interpreter,
	}
}

// itemize measures what was pruned: by rule, distribution and kind of file.
func itemize(r *report.Layer, p prune.Pruned) {
	r.Removed = measure.Sizes{}
	r.Packages = measure.Sizes{}
	r.Kinds = measure.Sizes{}
	var files []report.Sized
	parts := measure.Sizes{}
	for _, o := range p.Decisions {
		was := measure.Of(o.Entry.Name, o.Entry.Size, o.Entry.ZippedBytes)
		if o.Fate == prune.Dropped {
			r.Removed.Count(o.Rule, was)
			continue
		}

		is := measure.Of(o.Result.Name, o.Result.Size, o.Result.ZippedBytes)
		if o.Fate == prune.Transformed && o.Rule != prune.ByRecord {
			saved := measure.Size{Files: 1, Unzipped: was.Unzipped - is.Unzipped, Zipped: was.Zipped - is.Zipped}
			r.Removed.Count(o.Rule, saved)
		}

		owner := o.Owner.Name.String()
		if owner == "" {
			owner = "(no distribution)"
		}

		kind := measure.Kind(o.Result.Name)
		r.Packages.Count(owner, is)
		r.Kinds.Count(kind, is)
		if part := partOfPackage(o.Site); part != "" {
			parts.Count(part, is)
		}

		if kind == "bytecode" {
			r.Bytecode.Size = r.Bytecode.Size.Add(is)
		}

		files = append(files, report.Sized{
			Name:     o.Result.Name,
			Unzipped: measure.Bytes(o.Result.Size),
			Zipped:   measure.Bytes(o.Result.ZippedBytes),
		})
	}

	sort.SliceStable(files, func(i, j int) bool { return files[i].Unzipped > files[j].Unzipped })
	r.Largest = files[:min(largestFiles, len(files))]
	r.Parts = partsOf(parts)
}

// allow separates the findings that layer.yaml allows from the others.
func allow(
	found []gate.Finding, allowed []policy.Choice, at place.Place,
) (refused []gate.Finding, accepted []report.Allowed) {
	refused = []gate.Finding{} // in JSON an empty list, not null
	for _, f := range found {
		site, _ := at.Site(f.Subject)
		reason := ""
		for _, a := range allowed {
			if policy.Matches(a.Match, site) || a.Match == f.Subject {
				reason = a.Reason
			}
		}

		if reason == "" {
			refused = append(refused, f)
			continue
		}

		accepted = append(accepted, report.Allowed{Finding: f, Reason: reason})
	}

	return refused, accepted
}

// choices lists where layer.yaml differs from the built-in rules.
func choices(p policy.Settings) []report.Choice {
	var out []report.Choice
	for _, id := range sortedKeys(p.Rules) {
		what := "rule off"
		if p.Rules[id].Enabled {
			what = "rule on"
		}

		out = append(out, report.Choice{What: what, Which: id, Reason: p.Rules[id].Reason})
	}

	for _, c := range p.Keep {
		out = append(out, report.Choice{What: "keep", Which: c.Match, Reason: c.Reason})
	}

	for _, c := range p.Drop {
		out = append(out, report.Choice{What: "drop", Which: c.Match, Reason: c.Reason})
	}

	return out
}

// compiled reports whether the layer has bytecode beside its sources. Only then can imports be
// timed without it.
func (b Bytecode) compiled() bool {
	switch b.Mode {
	case workspace.NoBytecode, workspace.Sourceless:
		return false
	case asItIs:
		return len(b.Entries) > 0
	default:
		return true
	}
}

// loose reports whether a tree is a folder, whose files are not compressed.
func loose(t ziptree.Tree) bool {
	return slices.ContainsFunc(t.Entries(), func(e ziptree.Entry) bool { return e.Loose })
}

func sizeOf(entries []ziptree.Entry) measure.Size {
	var s measure.Size
	for _, e := range entries {
		s = s.Add(measure.Of(e.Name, e.Size, e.ZippedBytes))
	}

	return s
}

func indexOf(layers []report.Layer, name string) int {
	return slices.IndexFunc(layers, func(l report.Layer) bool { return l.Name == name })
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
