package workflow

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"github.com/layersmith/layersmith/internal/digest"
	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/release"
	"github.com/layersmith/layersmith/internal/report"
	"github.com/layersmith/layersmith/internal/workspace"
)

// Select compares what was built with what is released: only layers whose key differs go on, so
// nothing is published twice.
type Select struct{ Ledger }

// RunInput is the input of stages that need to know nothing but the run.
type RunInput struct {
	Run string `json:"run"`
}

// SelectOutput is what goes on. Changed is also true when only the consumers changed.
type SelectOutput struct {
	Changed bool   `json:"changed"`
	Layers  []Item `json:"layers"`
	Summary string `json:"summary"`
}

// Run selects.
func (s Select) Run(ctx context.Context, in RunInput) (SelectOutput, error) {
	out := SelectOutput{Layers: []Item{}}
	run, err := s.run(ctx, in.Run)
	if err != nil {
		return out, err
	}

	built, err := s.built(ctx, run)
	if err != nil {
		return out, err
	}

	released, tag, err := s.released(ctx)
	if err != nil {
		return out, err
	}

	w, files, closeIt, err := openWorkspace(ctx, s.Blobs, run.Workspace)
	if err != nil {
		return out, err
	}
	defer closeIt()
	consumers, err := consumersDigest(files)
	if err != nil {
		return out, err
	}

	stale := map[string]bool{} // on any target
	for _, b := range built.Layers {
		before, was := released.Find(b.Layer, b.Target)
		stale[b.Layer] = stale[b.Layer] || !was || before.Current.Key != b.Key
	}

	wanted := reach(w, run.Request.Layers, stale)
	var said []string
	left := false // something stale that was not asked for
	for _, b := range built.Layers {
		before, was := released.Find(b.Layer, b.Target)
		stale := !was || before.Current.Key != b.Key
		forced := run.Request.Force && (len(run.Request.Layers) == 0 || slices.Contains(run.Request.Layers, b.Layer))
		switch {
		case stale && !wanted[b.Layer]:
			left = true
			continue
		case !stale && !forced:
			said = append(said, b.Layer+" fresh")
			continue
		}

		doc, err := s.document(ctx, b)
		if err != nil {
			return out, err
		}

		why := why(before.Current.Wheels, b.Wheels, was, stale)
		said = append(said, b.Layer+" "+why)
		out.Layers = append(out.Layers, Item{Layer: b.Layer, Target: b.Target, Doc: doc, Summary: why})
	}

	out.Changed = len(out.Layers) > 0 || consumers != released.Consumers
	out.Summary = strings.Join(said, "; ")
	if !out.Changed && !left && tag != "" {
		// The build found that other inputs give the same layers. Written down, the next look need
		// not build.
		released.Workspace = run.Workspace.SHA256
		released.Tool = built.Tool
		if _, err := store(ctx, s.Registers, release.ReleasedName, released, tag); err != nil {
			return out, err
		}
	}

	return out, nil
}

// built reads what CodeBuild made for the run, and checks that it was made for it.
func (l Ledger) built(ctx context.Context, run release.Run) (release.Built, error) {
	b, _, found, err := load[release.Built](ctx, l.Registers, release.BuiltName(run.Run))
	switch {
	case err != nil:
		return b, err
	case !found:
		return b, fault.New(fault.ProvenanceMismatch, "read", release.BuiltName(run.Run),
			errors.New("the build left nothing")).
			WithHint("look at the build's log in CodeBuild")
	case b.Run != run.Run || b.Workspace != run.Workspace.SHA256:
		return b, fault.New(fault.ProvenanceMismatch, "read", release.BuiltName(run.Run),
			errors.New("it was built from another workspace")).
			WithHint("start a new execution")
	}

	return b, nil
}

// reach is what a wish for some layers means, no wish being all. They bring the stale layers that
// they lie on; stale layers that lie on one that goes follow, and bring theirs. So nothing is
// released on another version of a layer than it was built for.
func reach(w workspace.Workspace, layers []string, stale map[string]bool) map[string]bool {
	all := map[string]bool{}
	for _, l := range w.Layers {
		all[l.Name] = len(layers) == 0 || slices.Contains(layers, l.Name)
	}

	for grown := true; grown; {
		grown = false
		add := func(name string) {
			if stale[name] && !all[name] {
				all[name] = true
				grown = true
			}
		}
		for _, l := range w.Layers {
			for _, b := range w.Below(l.Name) {
				if all[l.Name] {
					add(b)
				}

				if all[b] && stale[b] {
					add(l.Name)
				}
			}
		}
	}

	return all
}

func consumersDigest(files fs.FS) (digest.SHA256, error) {
	b, err := fs.ReadFile(files, workspace.ConsumersFile)
	if errors.Is(err, fs.ErrNotExist) {
		return digest.SHA256{}, nil
	}

	return digest.Of(b), err
}

// why says in a few words what is stale about a layer.
func why(before, after []report.Wheel, was, stale bool) string {
	if !was {
		return "new"
	}

	if !stale {
		return "forced"
	}

	if d := Versions(before, after); len(d) > 0 {
		return "stale (" + strings.Join(d, ", ") + ")"
	}

	return "stale (rules, settings or a layer below changed)"
}

// Versions is the difference of two lists of distributions, for people.
func Versions(before, after []report.Wheel) []string {
	old := map[string]string{}
	for _, w := range before {
		old[w.Name] = w.Version
	}

	var d []string
	for _, w := range after {
		switch v, ok := old[w.Name]; {
		case !ok:
			d = append(d, "+ "+w.Name+" "+w.Version)
		case v != w.Version:
			d = append(d, fmt.Sprintf("%s %s -> %s", w.Name, v, w.Version))
		}

		delete(old, w.Name)
	}

	for _, name := range slices.Sorted(maps.Keys(old)) {
		d = append(d, "- "+name+" "+old[name])
	}

	return d
}
