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

// Select compares the built layers with the released ones. Only layers with a new key go on, so
// that nothing is published twice.
type Select struct{ Ledger }

// RunInput is the input of stages that need only the run.
type RunInput struct {
	Run string `json:"run"`
}

// SelectOutput is the layers to release.
type SelectOutput struct {
	Changed bool   `json:"changed"` // there are layers to release, or consumers.yaml changed
	Layers  []Item `json:"layers"`
	Summary string `json:"summary"`
}

// Run selects.
func (s Select) Run(ctx context.Context, in RunInput) (SelectOutput, error) {
	out := SelectOutput{Layers: []Item{}}
	run, err := s.resume(ctx, in.Run)
	if err != nil {
		return out, err
	}

	built, err := s.readBuilt(ctx, run)
	if err != nil {
		return out, err
	}

	released, tag, err := s.readReleased(ctx)
	if err != nil {
		return out, err
	}

	w, files, closeFiles, err := openWorkspace(ctx, s.Blobs, run.Workspace)
	if err != nil {
		return out, err
	}
	defer closeFiles()

	consumers, err := consumersDigest(files)
	if err != nil {
		return out, err
	}

	var summaries []string
	chosen := choose(w, run.Request, built, released)
	for _, c := range chosen {
		summaries = append(summaries, c.layer.Layer+" "+c.reason)
		if !c.release {
			continue
		}

		doc, err := s.putDocument(ctx, c.layer)
		if err != nil {
			return out, err
		}

		out.Layers = append(out.Layers,
			Item{Layer: c.layer.Layer, Target: c.layer.Target, Doc: doc, Summary: c.reason})
	}

	out.Changed = len(out.Layers) > 0 || consumers != released.Consumers
	out.Summary = strings.Join(summaries, "; ")
	complete := len(chosen) == len(built.Layers) // no stale layer was left out
	if !out.Changed && complete && tag != "" {
		return out, s.storeInputs(ctx, released, tag, run, built)
	}

	return out, nil
}

// storeInputs records that the inputs of the run give the released layers. The next run with the
// same inputs ends without a build.
func (s Select) storeInputs(
	ctx context.Context, released release.Released, tag string, run release.Run, built release.Built,
) error {
	released.Workspace = run.Workspace.SHA256
	released.Tool = built.Tool
	_, err := store(ctx, s.Registers, release.ReleasedName, released, tag)
	return err
}

// readBuilt reads the artifacts of a run. Fault ProvenanceMismatch if there are none, or if they
// were built for another run or workspace.
func (l Ledger) readBuilt(ctx context.Context, run release.Run) (release.Built, error) {
	name := release.BuiltName(run.Run)
	b, _, found, err := load[release.Built](ctx, l.Registers, name)
	switch {
	case err != nil:
		return b, err
	case !found:
		return b, fault.New(fault.ProvenanceMismatch, "read", name, errors.New("the build stored no result")).
			WithHint("read the build's log in CodeBuild")
	case b.Run != run.Run || b.Workspace != run.Workspace.SHA256:
		return b, fault.New(fault.ProvenanceMismatch, "read", name, errors.New("it was built from another workspace")).
			WithHint("start a new execution")
	}

	return b, nil
}

// choice is the decision about one built layer.
type choice struct {
	layer   release.BuiltLayer
	release bool
	reason  string // "new", "stale (pandas 3.1.1 -> 3.1.2)", "forced", "fresh"
}

// choose decides about the built layers, in their order. Stale layers that were not requested are
// left out.
func choose(
	w workspace.Workspace, request release.Request, built release.Built, released release.Released,
) (chosen []choice) {
	stale := map[string]bool{} // on any target
	for _, b := range built.Layers {
		stale[b.Layer] = stale[b.Layer] || isStale(b, released)
	}

	wanted := withRelated(w, request.Layers, stale)
	for _, b := range built.Layers {
		stale := isStale(b, released)
		forced := request.Force && (len(request.Layers) == 0 || slices.Contains(request.Layers, b.Layer))
		switch {
		case stale && !wanted[b.Layer]:
		case stale:
			chosen = append(chosen, choice{b, true, whyStale(b, released)})
		case forced:
			chosen = append(chosen, choice{b, true, "forced"})
		default:
			chosen = append(chosen, choice{b, false, "fresh"})
		}
	}

	return chosen
}

// isStale reports whether a built layer differs from the released one.
func isStale(b release.BuiltLayer, released release.Released) bool {
	l, ok := released.Find(b.Layer, b.Target)
	return !ok || l.Current.Key != b.Key
}

// whyStale describes in a few words how a stale layer differs from the released one.
func whyStale(b release.BuiltLayer, released release.Released) string {
	l, ok := released.Find(b.Layer, b.Target)
	if !ok {
		return "new"
	}

	if d := Versions(l.Current.Wheels, b.Wheels); len(d) > 0 {
		return "stale (" + strings.Join(d, ", ") + ")"
	}

	return "stale (rules, settings or a layer below changed)"
}

// withRelated returns the requested layers (all if none are requested) and the stale layers that
// must be released with them: those that a returned layer extends, and those that extend a returned
// stale layer. So no layer is released on another version of a layer than it was built for.
func withRelated(w workspace.Workspace, requested []string, stale map[string]bool) map[string]bool {
	all := map[string]bool{}
	for _, l := range w.Layers {
		all[l.Name] = len(requested) == 0 || slices.Contains(requested, l.Name)
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

// consumersDigest is the digest of consumers.yaml, zero if there is none.
func consumersDigest(files fs.FS) (digest.SHA256, error) {
	b, err := fs.ReadFile(files, workspace.ConsumersFile)
	if errors.Is(err, fs.ErrNotExist) {
		return digest.SHA256{}, nil
	}

	return digest.Of(b), err
}

// Versions lists the differences of two lists of distributions for people: "numpy 2.1 -> 2.2",
// "+ pandas 3.0", "- six 1.0".
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
