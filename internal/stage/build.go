package stage

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/layersmith/layersmith/internal/digest"
	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/gate"
	"github.com/layersmith/layersmith/internal/lock"
	"github.com/layersmith/layersmith/internal/measure"
	"github.com/layersmith/layersmith/internal/policy"
	"github.com/layersmith/layersmith/internal/prune"
	"github.com/layersmith/layersmith/internal/pydist"
	"github.com/layersmith/layersmith/internal/report"
	"github.com/layersmith/layersmith/internal/workspace"
	"github.com/layersmith/layersmith/internal/ziptree"
)

// Build makes the layers of a locked and fetched workspace: assemble, bytecode, prune, measure,
// gate, write, probe, report.
type Build struct {
	Tool     string // name and version, for reports
	Wheels   WheelStore
	Cache    Cache
	Python   Interpreter // nil when there is none for the target
	NoPython string      // why there is none
	Mounts   Mounts
	Outputs  Outputs
	Progress Progress
	Heal     *Heal // nil: what fails is reported only
}

// BuildInput is what to build.
type BuildInput struct {
	Workspace workspace.Workspace
	Lock      lock.Lock
	Layers    []string // empty for all
	// of the workspace: a layer's own probe.py, and layer.yaml where that is healed
	ReadProbe     func(name string) ([]byte, error)
	NoProbe       bool
	Strict        bool
	NoProbeReason string
	PlanOnly      bool // stop at the unpruned artifacts
	Paranoid      bool // inflate and check every byte that is copied
	Rebuild       bool // even if nothing changed

	healing *healing // what was healed before the build began again
}

// ZipName is what a layer's zip is called.
func ZipName(layer string, t pydist.Target) string { return layer + "-" + t.String() + ".zip" }

// ManifestName is what a layer's manifest is called.
func ManifestName(layer string, t pydist.Target) string { return layer + "-" + t.String() + ".json" }

// ArtifactName is what an unpruned artifact is called.
func ArtifactName(layer string, t pydist.Target) string {
	return layer + "-" + t.String() + ".artifact.zip"
}

// ReportName is what the report of a build is called.
const ReportName = "report.json"

// EngineVersion is raised when the same inputs give other bytes than before for a reason that no
// rule's, transform's or cache's version tells. A test with a golden digest notices when that is
// forgotten.
const EngineVersion = 1

// work is one layer on its way.
type work struct {
	spec     workspace.Layer
	carries  []lock.Distribution
	policy   policy.Policy
	key      digest.SHA256
	artifact Artifact
	plan     prune.Plan
	bytecode []ziptree.Entry
	mode     workspace.Mode
	reason   string
	partial  bool
	pruned   prune.Pruned
	report   report.Layer
}

// Run builds. When verdict, gate or probe say no, the report is complete all the same and the fault
// says what is wrong.
func (s Build) Run(ctx context.Context, in BuildInput) (rep report.Report, changed bool, err error) {
	selected, err := s.selection(in)
	if err != nil {
		return report.Report{}, false, err
	}

	// All layers are planned, also those that are not asked for: how much bytecode fits depends on
	// what lies in the same stacks, and the gate and the probe look at the layers below. What is
	// not asked for is not written.
	all, err := s.works(in)
	if err != nil {
		return report.Report{}, false, err
	}

	var works []*work
	for _, w := range all {
		if selected[w.spec.Name] {
			works = append(works, w)
		}
	}

	old, _ := s.readReport(ctx)
	if !in.PlanOnly && !in.Rebuild && s.unchanged(ctx, in, old, works) && !s.healable(in, old, works) {
		return old, false, judge(old, in)
	}

	defer func() {
		for _, w := range all {
			w.artifact.Close()
		}
	}()
	assemble := Assemble{Wheels: s.Wheels, Cache: s.Cache, Python: s.Python}
	for _, w := range all {
		if w.artifact, err = assemble.Run(ctx, in.Lock.Target, LayerPlace, w.carries); err != nil {
			return report.Report{}, false, err
		}

		if in.Paranoid {
			if err := verifyAll(ctx, w.artifact.Tree); err != nil {
				return report.Report{}, false, err
			}
		}

		if w.plan, err = prune.NewPlan(w.artifact.input(), w.policy); err != nil {
			return report.Report{}, false, err
		}
	}

	// Neither needs the other: bytecode is made of what the plan keeps, which transforms do not
	// change.
	both, running := errgroup.WithContext(ctx)
	both.Go(func() error { return s.compile(running, assemble, all) })
	both.Go(func() error { return s.prune(running, all) })
	if err := both.Wait(); err != nil {
		return report.Report{}, false, err
	}

	s.decideBytecode(in.Workspace, all)
	if in.PlanOnly {
		return s.writeArtifacts(ctx, works)
	}

	if err := s.finish(ctx, all); err != nil {
		return report.Report{}, false, err
	}

	rep = report.Report{
		SchemaVersion: report.SchemaVersion,
		Tool:          s.Tool,
		Target:        in.Lock.Target.String(),
		Lock:          digest.Of(in.Lock.Marshal()),
	}
	if err := s.check(ctx, in.Workspace, all, nil); err != nil {
		return report.Report{}, false, err
	}

	for _, w := range works {
		w.summarize(s, in)
	}

	// Probing takes long and is where people interrupt, so it comes before anything is written.
	if err := s.probe(ctx, in, works, all, in.known(old)); err != nil {
		return report.Report{}, false, err
	}

	if s.Heal != nil {
		next, err := s.heal(ctx, in, works, all)
		if err != nil {
			return report.Report{}, false, err
		}

		if next != nil {
			return s.Run(ctx, *next)
		}
	}

	if err := s.write(ctx, in.Lock.Target, works); err != nil {
		return report.Report{}, false, err
	}

	var built []report.Layer
	for _, w := range works {
		built = append(built, w.report)
	}

	rep.Layers = merge(in.Workspace, built, old, in.Lock.Target)
	rep.Stacks = Stacks(in.Workspace, rep.Layers)
	if err := s.writeReports(ctx, rep, works); err != nil {
		return report.Report{}, false, err
	}

	return rep, true, judge(rep, in)
}

// finish adds the bytecode that was decided for, and applies the plan that has it.
func (s Build) finish(ctx context.Context, works []*work) (err error) {
	for _, w := range works {
		if len(w.bytecode) == 0 || w.mode == workspace.NoBytecode {
			continue
		}

		if w.plan, err = w.plan.WithBytecode(w.bytecode, w.mode == workspace.Sourceless); err != nil {
			return err
		}

		if w.pruned, err = prune.Apply(ctx, w.plan, s.Cache); err != nil {
			return err
		}
	}

	for _, w := range works {
		if !w.spec.Best {
			continue
		}

		task := s.Progress.Start("compress "+w.spec.Name, w.pruned.Tree.UnzippedBytes(), "bytes")
		if w.pruned, err = prune.Recompress(ctx, w.pruned, s.Cache); err != nil {
			return err
		}

		task.Add(w.pruned.Tree.UnzippedBytes())
		task.Done()
	}

	return nil
}

func (s Build) selection(in BuildInput) (map[string]bool, error) {
	selected := map[string]bool{}
	for _, name := range in.Layers {
		if _, ok := in.Workspace.Layer(name); !ok {
			return nil, fault.New(fault.BadInput, "build", name, errors.New("no such layer")).
				WithHint("layers here: " + strings.Join(in.Workspace.Names(), ", "))
		}

		selected[name] = true
	}

	if len(selected) == 0 {
		for _, name := range in.Workspace.Names() {
			selected[name] = true
		}
	}

	return selected, nil
}

// works begins all layers of the workspace: what each carries, its policy, and its key, which is
// the digest of everything that decides its bytes or whether they are well: its own inputs, the
// keys of the layers below, and what the others weigh, since auto decides about bytecode by that.
func (s Build) works(in BuildInput) ([]*work, error) {
	book, err := policy.Builtin()
	if err != nil {
		return nil, err
	}

	identity := ""
	if s.Python != nil {
		identity = s.Python.Identity()
	}

	all := make([]*work, 0, len(in.Workspace.Layers))
	weights := map[string]any{"total": in.Workspace.Total}
	for _, l := range in.Workspace.Layers {
		w := &work{spec: l, carries: in.Lock.Carries(l.Name, in.Workspace.Below(l.Name))}
		if w.policy, err = policy.New(book, l.Policy); err != nil {
			return nil, fault.New(fault.BadInput, "read", l.Name, err)
		}

		weights[l.Name] = []any{wheels(w.carries), w.policy.Digest(), l.Bytecode, l.Budget, l.Extends}
		all = append(all, w)
	}

	keys := map[string]digest.SHA256{}
	for _, w := range all {
		below := []digest.SHA256{}
		for _, name := range in.Workspace.Below(w.spec.Name) {
			below = append(below, keys[name])
		}

		inputs := map[string]any{
			"engine":      EngineVersion,
			"target":      in.Lock.Target,
			"place":       LayerPlace,
			"carries":     wheels(w.carries),
			"policy":      w.policy.Digest(),
			"spec":        w.spec.Digest,
			"below":       below,
			"transforms":  prune.Versions(),
			"compression": w.compression(),
			"python":      identity,
			"bytecode":    bytecodeVersion,
		}
		if w.spec.Bytecode == workspace.Auto {
			inputs["weights"] = weights
		}

		if w.key, err = digest.Canonical("layersmith/layer/v1", inputs); err != nil {
			return nil, err
		}

		keys[w.spec.Name] = w.key
	}

	return all, nil
}

func wheels(dists []lock.Distribution) []report.Wheel {
	out := make([]report.Wheel, len(dists))
	for i, d := range dists {
		out[i] = report.Wheel{
			Name:    d.Name.String(),
			Version: d.Version.String(),
			File:    d.File.Name,
			SHA256:  d.File.SHA256,
		}
	}

	return out
}

func indexOf(layers []report.Layer, name string) int {
	for i := range layers {
		if layers[i].Name == name {
			return i
		}
	}

	return -1
}

func verifyAll(ctx context.Context, t ziptree.Tree) error {
	for _, e := range t.Entries() {
		if err := ctx.Err(); err != nil {
			return err
		}

		r, err := e.Open()
		if err == nil {
			_, err = io.Copy(io.Discard, r)
			r.Close()
		}

		if err != nil {
			return fault.New(fault.CorruptArchive, "verify", e.Origin, err).WithHint("run: layersmith clean --cache")
		}
	}

	return nil
}

// compile makes the bytecode of each layer in the mode that it asks for; auto asks for
// unchecked-hash and may give it up later.
func (s Build) compile(ctx context.Context, a Assemble, works []*work) error {
	var total int64
	for _, w := range works {
		for _, d := range w.plan.KeptSources() {
			total += d.Entry.Size
		}
	}

	task := s.Progress.Start("bytecode", total, "bytes")
	defer task.Done()
	for _, w := range works {
		w.mode = w.spec.Bytecode
		if w.mode == workspace.Auto {
			w.mode = workspace.UncheckedHash
		}

		if s.Python == nil && w.mode != workspace.NoBytecode {
			if w.spec.Bytecode != workspace.Auto {
				return fault.New(fault.ToolMissing, "compile", w.spec.Name,
					fmt.Errorf("bytecode: %s needs an interpreter, and %s", w.mode, s.NoPython)).
					WithHint("install it, name it with --python, or set bytecode: auto")
			}

			w.mode = workspace.NoBytecode
			w.reason = s.NoPython
			w.partial = true
			continue
		}

		var notes []string
		var err error
		if w.bytecode, notes, err = a.Bytecode(ctx, w.plan, w.artifact.Place, w.mode, task); err != nil {
			return err
		}

		w.artifact.Notes = append(w.artifact.Notes, notes...)
	}

	return nil
}

func (s Build) prune(ctx context.Context, works []*work) error {
	task := s.Progress.Start("prune", int64(len(works)), "layers")
	defer task.Done()
	for _, w := range works {
		var err error
		if w.pruned, err = prune.Apply(ctx, w.plan, s.Cache); err != nil {
			return err
		}

		task.Add(1)
	}

	return nil
}

func (s Build) writeArtifacts(ctx context.Context, works []*work) (report.Report, bool, error) {
	rep := report.Report{SchemaVersion: report.SchemaVersion, Tool: s.Tool}
	for _, w := range works {
		tree := w.artifact.Tree
		if w.mode != workspace.NoBytecode && len(w.bytecode) > 0 {
			compiled := map[string]bool{}
			for _, e := range w.bytecode {
				compiled[e.Name] = true
			}

			entries := append([]ziptree.Entry(nil), w.bytecode...)
			for _, e := range tree.Entries() {
				if !compiled[e.Name] {
					entries = append(entries, e)
				}
			}

			var err error
			if tree, err = ziptree.New(entries); err != nil {
				return report.Report{}, false, err
			}
		}

		t := w.artifact.Target
		var written ziptree.Written
		name := ArtifactName(w.spec.Name, t)
		if err := s.Outputs.Write(ctx, name, func(out io.Writer) (err error) {
			written, err = ziptree.Write(ctx, out, tree)
			return err
		}); err != nil {
			return report.Report{}, false, err
		}

		rep.Target = t.String()
		rep.Layers = append(rep.Layers, report.Layer{
			SchemaVersion: report.SchemaVersion,
			Name:          w.spec.Name,
			Target:        t.String(),
			Key:           w.key,
			Zip:           report.File{Name: name, Bytes: measure.Bytes(written.Bytes), SHA256: written.SHA256},
			Before:        sizeOf(w.artifact.Tree.Entries()),
			After:         sizeOf(tree.Entries()),
			Inputs:        report.Inputs{Wheels: wheels(w.carries)},
			Bytecode: report.Bytecode{
				Mode:    string(w.mode),
				Reason:  w.reason,
				Partial: w.partial,
				Size:    sizeOf(w.bytecode),
			},
			Probe: report.Probe{Status: report.NotProbed, Reason: "not pruned yet"},
		})
	}

	return rep, true, nil
}

// check runs the gate on every layer with those below it.
func (s Build) check(ctx context.Context, ws workspace.Workspace, works []*work, under []gate.Part) error {
	parts := map[string]gate.Part{}
	for _, w := range works {
		part, err := partOf(ctx, s.Cache, w.spec.Name, w.artifact, w.pruned)
		if err != nil {
			return err
		}

		parts[w.spec.Name] = part
	}

	for _, w := range works {
		below := slices.Clone(under)
		for _, name := range ws.Below(w.spec.Name) {
			below = append(below, parts[name])
		}

		w.report.Gate = gate.Check(gate.Input{Target: w.artifact.Target, Part: parts[w.spec.Name], Below: below})
	}

	return nil
}

// write stores the zips, two at a time: hashing is what takes time.
func (s Build) write(ctx context.Context, t pydist.Target, works []*work) error {
	var total int64
	for _, w := range works {
		total += w.pruned.Tree.ZipBytes()
	}

	task := s.Progress.Start("write", total, "bytes")
	defer task.Done()
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(2)
	for _, w := range works {
		g.Go(func() error {
			name := ZipName(w.spec.Name, t)
			var written ziptree.Written
			err := s.Outputs.Write(ctx, name, func(out io.Writer) (err error) {
				written, err = ziptree.Write(ctx, out, w.pruned.Tree)
				return err
			})
			if err != nil {
				return err
			}

			task.Add(written.Bytes)
			w.report.Zip = report.File{Name: name, Bytes: measure.Bytes(written.Bytes), SHA256: written.SHA256}
			w.report.Verdict = measure.Judge(w.report.After.Unzipped, measure.Bytes(written.Bytes), w.spec.Budget)
			return nil
		})
	}

	return g.Wait()
}

// merge keeps the layers of an earlier report that this build did not touch, in the workspace's
// order.
func merge(ws workspace.Workspace, built []report.Layer, old report.Report, t pydist.Target) []report.Layer {
	var out []report.Layer
	for _, name := range ws.Names() {
		if i := indexOf(built, name); i >= 0 {
			out = append(out, built[i])
		} else if i := indexOf(old.Layers, name); i >= 0 && old.Target == t.String() {
			out = append(out, old.Layers[i])
		}
	}

	return out
}

func (s Build) writeReports(ctx context.Context, rep report.Report, works []*work) error {
	for _, w := range works {
		i := indexOf(rep.Layers, w.spec.Name)
		if err := s.writeJSON(ctx, ManifestName(w.spec.Name, w.artifact.Target), rep.Layers[i]); err != nil {
			return err
		}
	}

	return s.writeJSON(ctx, ReportName, rep)
}

func (s Build) writeJSON(ctx context.Context, name string, v any) error {
	return s.Outputs.Write(ctx, name, func(out io.Writer) error {
		e := json.NewEncoder(out)
		e.SetEscapeHTML(false)
		e.SetIndent("", "  ")
		return e.Encode(v)
	})
}

// Inspect plans and prunes one layer, without bytecode, and writes nothing: what explain prints.
func (s Build) Inspect(
	ctx context.Context,
	l lock.Lock,
	ws workspace.Workspace,
	spec workspace.Layer,
) (prune.Pruned, error) {
	book, err := policy.Builtin()
	if err != nil {
		return prune.Pruned{}, err
	}

	pol, err := policy.New(book, spec.Policy)
	if err != nil {
		return prune.Pruned{}, err
	}

	a, err := Assemble{
		Wheels: s.Wheels,
		Cache:  s.Cache,
	}.Run(ctx, l.Target, LayerPlace, l.Carries(spec.Name, ws.Below(spec.Name)))
	if err != nil {
		return prune.Pruned{}, err
	}
	defer a.Close()
	p, err := prune.NewPlan(a.input(), pol)
	if err != nil {
		return prune.Pruned{}, err
	}

	return prune.Apply(ctx, p, s.Cache)
}
