package engine

import (
	"context"
	"fmt"
	"slices"

	"github.com/layersmith/layersmith/internal/digest"
	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/measure"
	"github.com/layersmith/layersmith/internal/place"
	"github.com/layersmith/layersmith/internal/probe"
	"github.com/layersmith/layersmith/internal/pydist"
	"github.com/layersmith/layersmith/internal/report"
	"github.com/layersmith/layersmith/internal/wheel"
	"github.com/layersmith/layersmith/internal/workspace"
	"github.com/layersmith/layersmith/internal/ziptree"
)

// importRounds is how often imports are timed. The fastest round counts: other load on the machine
// can only slow an import down.
const importRounds = 3

// Prober runs the probe of a layer, mounted together with the layers below it.
type Prober struct {
	Python   Interpreter
	Mounts   Mounts
	Progress Progress
	seen     *verdicts // where to note the jobs that passed; nil for nowhere
}

// Question is the layer to probe.
type Question struct {
	Name          string
	Stack         []string       // names of the layers below and of this one, for the report
	Trees         []ziptree.Tree // of the stack, lowest first; the layer is the last
	Unpruned      []ziptree.Tree // the same before pruning, to compare failures with; nil for none
	Place         place.Place
	Distributions []wheel.Distribution
	Under         []wheel.Distribution     // of the layers below, to name the cause of a failure
	Own           string                   // the layer's own probe.py
	Imports       []string                 // modules whose import is timed
	Bytecode      bool                     // the layer has bytecode: imports are also timed without it
	Chosen        func(module string) bool // reports whether layer.yaml leaves a module out; nil for never
	Direct        []pydist.Name            // what the layer is for; nil: what no other distribution requires
	Changed       map[string]bool          // distributions that lost a module, or had one changed
	Known         verdicts                 // of the same question, asked earlier
}

// Run runs the probe's jobs. When they pass, it times imports with and without bytecode. A job that
// fails is in the result, and no error.
func (p Prober) Run(ctx context.Context, q Question) (report.Probe, error) {
	top := q.Trees[len(q.Trees)-1]
	jobs := probe.Jobs(top, q.Place.Prefix, q.Distributions, q.Own)
	var further []probe.Job
	if q.Unpruned != nil {
		further = probe.Everything(top, q.Place.Prefix, q.Distributions, q.Changed)
	}

	world, err := p.Python.World(ctx)
	if err != nil {
		return report.Probe{}, err
	}

	out := report.Probe{Status: report.ProbePassed, Interpreter: p.Python.Identity(), Stack: q.Stack, World: world}
	out.Swept = len(further)
	out.Broken = slices.Clone(q.Known.Broken)
	further = slices.DeleteFunc(further, func(j probe.Job) bool { return slices.Contains(q.Known.Broken, j.Name) })
	mount, unmount, err := p.mountFor(ctx, q, slices.Concat(jobs, further))
	if err != nil {
		return report.Probe{}, err
	}
	defer unmount()

	results, err := p.askUnknown(ctx, q, mount, slices.Concat(jobs, further))
	if err != nil {
		return report.Probe{}, err
	}

	failed := Tally(results[:len(jobs)], q.Chosen, &out)
	lost := failedFurther(results[len(jobs):], q.Chosen)
	if len(failed) > 0 {
		if err := p.blame(ctx, q, failed, &out); err != nil {
			return report.Probe{}, err
		}
	}

	if err := p.compareFurther(ctx, q, lost, &out); err != nil {
		return report.Probe{}, err
	}

	judgeUseless(q, results[:len(jobs)], &out)
	if q.Known.Import != nil && out.Status == report.ProbePassed {
		out.Import = q.Known.Import
		return out, nil
	}

	err = p.timeImports(ctx, q, mount, &out)
	return out, err
}

// timeImports times imports of a layer that passed. Modules that cannot be imported together fail
// the probe.
func (p Prober) timeImports(ctx context.Context, q Question, mount string, out *report.Probe) error {
	q.Imports = timed(q, *out)
	if out.Status != report.ProbePassed || len(q.Imports) == 0 {
		return nil
	}

	var err error
	out.Import, err = p.imports(ctx, q, mount)
	if fault.CodeOf(err) == fault.ProbeFailed {
		// The layer's spec names a module that is missing, or its modules cannot be imported
		// together.
		out.Status = report.ProbeFailed
		err = p.blameImports(ctx, q, err.Error(), out)
	}

	return err
}

func (p Prober) ask(ctx context.Context, name, mount string, jobs []probe.Job) ([]probe.Result, error) {
	task := p.Progress.Start("probe "+name, int64(len(jobs)), "jobs")
	defer task.Done()

	return p.Python.Probe(ctx, mount, jobs, func() { task.Add(1) })
}

// timed are the modules whose import is timed, without those that layer.yaml leaves out, and those
// whose own job failed or was skipped.
func timed(q Question, seen report.Probe) []string {
	modules := q.Imports
	if len(modules) == 0 {
		modules = RootModules(q.Distributions)
	}

	return slices.DeleteFunc(slices.Clone(modules), func(m string) bool {
		is := func(r probe.Result) bool { return r.Kind == probe.Module && r.Name == m }
		left := q.Chosen != nil && q.Chosen(m)
		return left || slices.ContainsFunc(seen.Failures, is) || slices.ContainsFunc(seen.Skipped, is)
	})
}

// Tally counts results into a report and returns the jobs that failed. A job that fails for want of
// a module that layer.yaml leaves out (chosen; nil for none) counts as skipped.
func Tally(results []probe.Result, chosen func(module string) bool, out *report.Probe) (failed []probe.Job) {
	for _, r := range results {
		if m := r.Missing(); !r.OK && m != "" && chosen != nil && chosen(m) {
			r.Chosen = m
			out.Skipped = append(out.Skipped, r)
			continue
		}

		switch r.Kind {
		case probe.Module:
			out.Modules++
		case probe.Metadata:
			out.Metadata++
		case probe.Script:
			out.Scripts++
		}

		if !r.OK {
			out.Failures = append(out.Failures, r)
			failed = append(failed, r.Job)
		}
	}

	return failed
}

func (p Prober) imports(ctx context.Context, q Question, mount string) (*report.ImportComparison, error) {
	with, err := p.Python.Import(ctx, mount, q.Imports, importRounds)
	if err != nil {
		return nil, err
	}

	c := &report.ImportComparison{
		Modules:        q.Imports,
		WithSeconds:    with.Seconds,
		WithoutSeconds: with.Seconds,
		PeakBytes:      measure.Bytes(with.PeakBytes),
	}
	if !q.Bytecode {
		return c, nil
	}

	bare, unmount, err := p.Mounts.Mount(ctx, q.Trees, MountOptions{OmitBytecode: true})
	if err != nil {
		return nil, err
	}
	defer unmount()
	without, err := p.Python.Import(ctx, bare, q.Imports, importRounds)
	if err != nil {
		return nil, err
	}

	c.WithoutSeconds = without.Seconds
	return c, nil
}

// probe probes the round's layers. A passed result in known is taken over when the stack, the jobs
// and the interpreter are the same.
func (s Build) probe(ctx context.Context, r round, known map[string]report.Probe) error {
	for _, name := range r.names {
		p, err := s.probeLayer(ctx, r, r.made[name], known[name])
		if err != nil {
			return err
		}

		seen := r.tested[name]
		seen.Probe = p
		r.tested[name] = seen
	}

	return nil
}

func (s Build) probeLayer(ctx context.Context, r round, m Made, known report.Probe) (report.Probe, error) {
	if why := notProbed(r.in.NoProbe, s.Python, s.NoPython); why != "" {
		return report.Probe{Status: report.NotProbed, Reason: why}, nil
	}

	own, err := ownProbe(r.in, m.Spec)
	if err != nil {
		return report.Probe{}, err
	}

	in := m.question(own)
	in.Imports = m.Spec.Imports
	if len(in.Imports) == 0 {
		in.Imports = EntryModules(m.Spec.Requirements.Direct, in.Distributions)
	}

	var contents []digest.SHA256
	for _, l := range r.stack(m.Spec.Name) {
		in.Stack = append(in.Stack, l.Spec.Name)
		in.Trees = append(in.Trees, l.Pruned.Tree)
		in.Unpruned = append(in.Unpruned, l.Artifact.Tree)
		contents = append(contents, contentOf(l.Pruned.Tree))
		if l.Spec.Name != m.Spec.Name {
			in.Under = append(in.Under, l.Artifact.Distributions...)
		}
	}

	for _, r := range m.Spec.Requirements.Direct {
		in.Direct = append(in.Direct, r.Name)
	}

	key, err := s.verdictKey(ctx, contents, in)
	if err != nil {
		return report.Probe{}, err
	}

	if known.Key == key && known.Status == report.ProbePassed && len(known.Failures) == 0 {
		return known, nil
	}

	in.Known = loadVerdicts(ctx, s.Cache, key)
	p, err := Prober{Python: s.Python, Mounts: s.Mounts, Progress: s.Progress, seen: &in.Known}.Run(ctx, in)
	if err == nil {
		err = in.Known.store(ctx, s.Cache, key, p)
	}

	p.Key = key
	return p, err
}

// ownProbe reads the layer's own probe script; "" when it has none.
func ownProbe(in BuildInput, spec workspace.Layer) (string, error) {
	if spec.Probe == "" {
		return "", nil
	}

	b, err := in.ReadFile(spec.Probe)
	return string(b), err
}

// question returns the question about a made layer, without the stack and the imports to time.
func (m Made) question(own string) Question {
	return Question{
		Name:          m.Spec.Name,
		Place:         m.Artifact.Place,
		Distributions: m.Artifact.Distributions,
		Own:           own,
		Bytecode:      m.Bytecode.compiled(),
		Chosen:        m.leavesOut,
		Changed:       m.changed(),
	}
}

// notProbed returns why a layer is not probed; "" when it is.
func notProbed(reason string, python Interpreter, noPython string) string {
	if reason == "" && python == nil {
		return noPython
	}

	return reason
}

// contentOf is a digest of a tree by names, sizes, CRC-32 and executable bits. With the same
// digest, a probe gives the same result.
func contentOf(t ziptree.Tree) digest.SHA256 {
	h := digest.NewHasher()
	for _, e := range t.Entries() {
		fmt.Fprintf(h, "%s\x00%d %08x %t\n", e.Name, e.Size, e.CRC32, e.Exec)
	}

	return h.Sum()
}
