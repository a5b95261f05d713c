package stage

import (
	"maps"
	"slices"
	"sort"
	"strings"

	"github.com/layersmith/layersmith/internal/measure"
	"github.com/layersmith/layersmith/internal/policy"
	"github.com/layersmith/layersmith/internal/prune"
	"github.com/layersmith/layersmith/internal/report"
	"github.com/layersmith/layersmith/internal/ziptree"
)

func sizeOf(entries []ziptree.Entry) (s measure.Size) {
	for _, e := range entries {
		s = s.Add(measure.Of(e.Name, e.Size, e.ZippedBytes))
	}

	return s
}

// summarize fills in the layer's report, but for what is known later: zip, probe.
func (w *work) summarize(s Build, in BuildInput) {
	r := &w.report
	r.SchemaVersion = report.SchemaVersion
	r.Name = w.spec.Name
	r.Target = in.Lock.Target.String()
	r.Description = w.spec.Description
	r.Extends = w.spec.Extends
	r.Key = w.key
	r.Inputs = report.Inputs{
		Wheels:       wheels(w.carries),
		LayerSpec:    w.spec.Digest,
		Policy:       w.policy.Digest(),
		Rules:        map[string]int{},
		Transforms:   prune.Versions(),
		Compression:  w.compression(),
		BytecodeMode: string(w.mode),
	}
	for _, rule := range w.policy.Rules() {
		r.Inputs.Rules[rule.ID] = rule.Version
	}

	if s.Python != nil {
		r.Inputs.Interpreter = s.Python.Identity()
	}

	Summarize(r, w.pruned, w.artifact.Tree)
	r.Bytecode.Mode = string(w.mode)
	r.Bytecode.Reason = w.reason
	r.Bytecode.Partial = w.partial
	r.Budget = w.spec.Budget
	r.Notes = append(append([]string(nil), w.artifact.Notes...), w.pruned.Notes...)
	r.Choices = Choices(w.spec.Policy)
	accept(r, w.spec.Allow)
}

// compression names how the layer's members are deflated where they are not copied.
func (w *work) compression() string {
	if w.spec.Best {
		return ziptree.BestVersion
	}

	return ziptree.DeflateVersion
}

// accept moves gate findings that the layer allows out of the way, with the layer's reason.
func accept(r *report.Layer, allow []policy.Choice) {
	kept := r.Gate[:0]
	for _, f := range r.Gate {
		reason := ""
		for _, a := range allow {
			if policy.Matches(a.Match, strings.TrimPrefix(f.Subject, LayerPlace.Prefix)) || a.Match == f.Subject {
				reason = a.Reason
			}
		}

		if reason == "" {
			kept = append(kept, f)
			continue
		}

		r.Allowed = append(r.Allowed, report.Allowed{Finding: f, Reason: reason})
	}

	r.Gate = kept
}

// Choices lists what a layer decided by itself.
func Choices(p policy.Settings) []report.Choice {
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

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// largestFiles is how many files a report names.
const largestFiles = 20

// Summarize measures what was pruned: by rule, package and kind.
func Summarize(r *report.Layer, p prune.Pruned, before ziptree.Tree) {
	r.Before = sizeOf(before.Entries())
	r.After = sizeOf(p.Tree.Entries())
	r.Removed = measure.Sizes{}
	r.Packages = measure.Sizes{}
	r.Kinds = measure.Sizes{}
	r.Bytecode.Size = measure.Size{}
	var files []report.Sized
	for _, o := range p.Decisions {
		was := measure.Of(o.Entry.Name, o.Entry.Size, o.Entry.ZippedBytes)
		switch o.Fate {
		case prune.Dropped:
			r.Removed.Count(o.Rule, was)
			continue
		case prune.Transformed:
			if o.Rule != prune.ByRecord {
				r.Removed.Count(o.Rule, measure.Size{
					Files:    1,
					Unzipped: measure.Bytes(o.Entry.Size - o.Result.Size),
					Zipped:   measure.Bytes(o.Entry.ZippedBytes - o.Result.ZippedBytes),
				})
			}
		}

		is := measure.Of(o.Result.Name, o.Result.Size, o.Result.ZippedBytes)
		owner := o.Owner.Name.String()
		if owner == "" {
			owner = "(no distribution)"
		}

		r.Packages.Count(owner, is)
		kind := measure.Kind(o.Result.Name)
		r.Kinds.Count(kind, is)
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
}
