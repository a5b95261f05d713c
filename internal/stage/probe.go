package stage

import (
	"cmp"
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/layersmith/layersmith/internal/digest"
	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/measure"
	"github.com/layersmith/layersmith/internal/policy"
	"github.com/layersmith/layersmith/internal/probe"
	"github.com/layersmith/layersmith/internal/prune"
	"github.com/layersmith/layersmith/internal/pydist"
	"github.com/layersmith/layersmith/internal/pyimport"
	"github.com/layersmith/layersmith/internal/report"
	"github.com/layersmith/layersmith/internal/wheel"
	"github.com/layersmith/layersmith/internal/workspace"
	"github.com/layersmith/layersmith/internal/ziptree"
)

// importRounds is how often imports are timed; the fastest counts, since everything else on the
// machine only slows.
const importRounds = 3

// Probe asks the interpreter about a layer on the stack that it lies on.
type Probe struct {
	Python   Interpreter
	Mounts   Mounts
	Progress Progress
}

// ProbeInput is what to probe.
type ProbeInput struct {
	Name          string
	Stack         []string       // names of the layers below and of this one, for the report
	Trees         []ziptree.Tree // of the stack, lowest first; the layer is the last
	Unpruned      []ziptree.Tree // the same before pruning, to tell whose fault a failure is; nil when there is none
	Prefix        string
	Distributions []wheel.Distribution
	Under         []wheel.Distribution     // of the layers below, to name where a failure comes from
	Own           string                   // the layer's own probe.py
	Imports       []string                 // what import time is measured on
	Bytecode      bool                     // the layer has some: measure without too
	Chosen        func(module string) bool // the layer itself chose to leave the module out; nil for never
}

// Run probes, and times imports with and without bytecode.
func (s Probe) Run(ctx context.Context, in ProbeInput) (report.Probe, error) {
	top := in.Trees[len(in.Trees)-1]
	jobs := probe.Jobs(top, in.Prefix, in.Distributions, in.Own)
	out := report.Probe{Status: report.ProbePassed, Interpreter: s.Python.Identity(), Stack: in.Stack}
	mount, unmount, err := s.Mounts.Mount(ctx, in.Trees, true)
	if err != nil {
		return report.Probe{}, err
	}
	defer unmount()
	task := s.Progress.Start("probe "+in.Name, int64(len(jobs)), "jobs")
	defer task.Done()
	results, err := s.Python.Probe(ctx, mount, jobs, func() { task.Add(1) })
	if err != nil {
		return report.Probe{}, err
	}

	failed := tally(results, in.Chosen, &out)
	if len(failed) > 0 {
		if err := s.blame(ctx, in, failed, &out); err != nil {
			return report.Probe{}, err
		}
	}

	if len(in.Imports) == 0 {
		in.Imports = rootModules(in.Distributions)
	}

	in.Imports = slices.DeleteFunc(
		slices.Clone(in.Imports),
		func(m string) bool { // what fails by itself, or was left out, has no import time
			is := func(r probe.Result) bool { return r.Kind == probe.Module && r.Name == m }
			return slices.ContainsFunc(out.Failures, is) || slices.ContainsFunc(out.Skipped, is)
		},
	)
	if out.Status == report.ProbePassed && len(in.Imports) > 0 {
		out.Import, err = s.imports(ctx, in, mount)
		if fault.CodeOf(
			err,
		) == fault.ProbeFailed { // the layer names a module that is not there, or they do not go together
			out.Status = report.ProbeFailed
			err = s.blameImports(ctx, in, err.Error(), &out)
		}
	}

	return out, err
}

// tally counts results into a report and returns the jobs that failed. What needs a module that the
// layer itself left out (chosen, nil for nothing) is neither.
func tally(results []probe.Result, chosen func(module string) bool, out *report.Probe) (failed []probe.Job) {
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

// blame runs what failed on the unpruned layer. What fails there too is the package's own business:
// it is reported, and counts as a failure only when it is a functional script, which says that the
// layer does not work whoever is at fault.
func (s Probe) blame(ctx context.Context, in ProbeInput, failed []probe.Job, out *report.Probe) error {
	inherited := map[string]bool{}
	if in.Unpruned != nil {
		mount, unmount, err := s.Mounts.Mount(ctx, in.Unpruned, true)
		if err != nil {
			return err
		}
		defer unmount()
		again, err := s.Python.Probe(ctx, mount, failed, func() {})
		if err != nil {
			return err
		}

		for _, r := range again {
			inherited[string(r.Kind)+r.Name] = !r.OK
		}
	}

	for i := range out.Failures {
		f := &out.Failures[i]
		// Without an unpruned layer to compare with, an entry point that needs something optional
		// cannot be told from one that pruning broke.
		f.Inherited = inherited[string(f.Kind)+f.Name] || in.Unpruned == nil && f.EntryPoint()
		if !f.Inherited || f.Kind == probe.Script {
			out.Status = report.ProbeFailed
		}

		s.name(in, *f, out)
	}

	return nil
}

// blameImports adds the failure of what import time is measured on, which is no job of its own, and
// asks the unpruned layer about it.
func (s Probe) blameImports(ctx context.Context, in ProbeInput, detail string, out *report.Probe) error {
	f := probe.Result{Job: importsJob(in.Imports), Detail: detail}
	if in.Unpruned != nil {
		mount, unmount, err := s.Mounts.Mount(ctx, in.Unpruned, true)
		if err != nil {
			return err
		}
		defer unmount()
		again, err := s.Python.Probe(ctx, mount, []probe.Job{asked(f.Job)}, func() {})
		if err != nil {
			return err
		}

		f.Inherited = !again[0].OK
	}

	out.Failures = append(out.Failures, f)
	s.name(in, f, out)
	return nil
}

// importsJob stands for the import of some modules together, under their names.
func importsJob(modules []string) probe.Job {
	j := probe.Job{Kind: probe.Module, Name: strings.Join(modules, ", ")}
	if len(modules) > 1 {
		j.Source = "import " + strings.Join(modules, "\nimport ") + "\n"
	}

	return j
}

// asked is a job as an interpreter is asked it: several modules are imported by a script.
func asked(j probe.Job) probe.Job {
	if j.Kind == probe.Module && j.Source != "" {
		j.Kind = probe.Script
	}

	return j
}

// name notes which distribution a failure comes from that pruning has no part in.
func (s Probe) name(in ProbeInput, f probe.Result, out *report.Probe) {
	if !f.Inherited {
		return
	}

	if d, ok := blamed(f, in.Prefix, slices.Concat(in.Distributions, in.Under)); ok {
		if out.Causes == nil {
			out.Causes = map[string]string{}
		}

		out.Causes[string(f.Kind)+" "+f.Name] = d.Name.String() + " " + d.Version.String()
	}
}

// blamed finds the distribution that a failure comes from: that of the last file in the traceback,
// which raised the error, else the one that the job is about.
func blamed(f probe.Result, prefix string, dists []wheel.Distribution) (wheel.Distribution, bool) {
	if site, _, ok := raisedIn(f.Detail, prefix); ok {
		for _, d := range dists {
			if slices.Contains(d.Files, site) {
				return d, true
			}
		}
	}

	about, _, builtIn := strings.Cut(f.Name, "/") // numpy/arrays is a script of numpy's
	for _, d := range dists {
		switch {
		case f.Kind == probe.Metadata && f.Name == d.Name.String(),
			f.Kind == probe.Script && builtIn && about == d.Name.String():
			return d, true
		case f.Kind == probe.Module && slices.ContainsFunc(d.Files, func(file string) bool {
			m, _, ok := pyimport.ModuleName(file)
			return ok && m == f.Name
		}):
			return d, true
		}
	}

	return wheel.Distribution{}, false
}

// frame is a line of a traceback. Mounts are shown as /opt, where Lambda has them.
var frame = regexp.MustCompile(`File "/opt/([^"\n]+)", line (\d+)`)

// raisedIn is the last file of the layers that a traceback names, relative to the site folder, and
// the line.
func raisedIn(detail, prefix string) (site, line string, ok bool) {
	for _, m := range frame.FindAllStringSubmatch(detail, -1) {
		if file, inside := strings.CutPrefix(m[1], prefix); inside {
			site = file
			line = m[2]
			ok = true
		}
	}

	return site, line, ok
}

func (s Probe) imports(ctx context.Context, in ProbeInput, mount string) (*report.ImportComparison, error) {
	with, err := s.Python.Import(ctx, mount, in.Imports, importRounds)
	if err != nil {
		return nil, err
	}

	c := &report.ImportComparison{
		Modules:        in.Imports,
		WithSeconds:    with.Seconds,
		WithoutSeconds: with.Seconds,
		PeakBytes:      measure.Bytes(with.PeakBytes),
	}
	if !in.Bytecode {
		return c, nil
	}

	bare, unmount, err := s.Mounts.Mount(ctx, in.Trees, false)
	if err != nil {
		return nil, err
	}
	defer unmount()
	without, err := s.Python.Import(ctx, bare, in.Imports, importRounds)
	if err != nil {
		return nil, err
	}

	c.WithoutSeconds = without.Seconds
	return c, nil
}

// probe probes the layers that were built, unless an earlier report has the result for the same
// layers, jobs and interpreter.
func (s Build) probe(ctx context.Context, in BuildInput, works, all []*work, old report.Report) error {
	byName := map[string]*work{}
	for _, w := range all {
		byName[w.spec.Name] = w
	}

	for _, w := range works {
		r := &w.report
		if why := notProbed(in.NoProbe, in.NoProbeReason, s.Python, s.NoPython); why != "" {
			r.Probe = report.Probe{Status: report.NotProbed, Reason: why}
			continue
		}

		p := ProbeInput{
			Name:     w.spec.Name,
			Prefix:   w.artifact.Place.Prefix,
			Imports:  w.spec.Imports,
			Bytecode: w.mode != workspace.NoBytecode && w.mode != workspace.Sourceless,
		}
		var stack []digest.SHA256
		for _, name := range append(in.Workspace.Below(w.spec.Name), w.spec.Name) {
			b := byName[name]
			p.Stack = append(p.Stack, name)
			p.Trees = append(p.Trees, b.pruned.Tree)
			p.Unpruned = append(p.Unpruned, b.artifact.Tree)
			if b != w {
				p.Under = append(p.Under, b.artifact.Distributions...)
			}

			stack = append(stack, contentOf(b.pruned.Tree))
		}

		p.Distributions = w.artifact.Distributions
		p.Chosen = w.chosen
		if len(p.Imports) == 0 {
			p.Imports = EntryModules(w.spec.Requirements.Direct, p.Distributions)
		}

		if w.spec.Probe != "" {
			b, err := in.ReadProbe(w.spec.Probe)
			if err != nil {
				return err
			}

			p.Own = string(b)
		}

		key, err := digest.Canonical("layersmith/probe/v1", []any{
			stack,
			s.Python.Identity(),
			p.Imports,
			probe.Digest(probe.Jobs(w.pruned.Tree, p.Prefix, p.Distributions, p.Own)),
		})
		if err != nil {
			return err
		}

		if i := indexOf(old.Layers, w.spec.Name); i >= 0 && old.Layers[i].Probe.Key == key &&
			old.Layers[i].Probe.Status == report.ProbePassed {
			r.Probe = old.Layers[i].Probe
			continue
		}

		if r.Probe, err = (Probe{Python: s.Python, Mounts: s.Mounts, Progress: s.Progress}).Run(ctx, p); err != nil {
			return err
		}

		r.Probe.Key = key
	}

	return nil
}

// notProbed says why a layer will not be probed; "" when it will.
func notProbed(noProbe bool, reason string, python Interpreter, noPython string) string {
	switch {
	case noProbe:
		return cmp.Or(reason, "--no-probe")
	case python == nil:
		return noPython
	}

	return ""
}

// contentOf is a digest of what a tree holds, by names, sizes and checksums: enough to know whether
// a probe would see the same.
func contentOf(t ziptree.Tree) digest.SHA256 {
	h := digest.NewHasher()
	for _, e := range t.Entries() {
		fmt.Fprintf(h, "%s\x00%d %08x %t\n", e.Name, e.Size, e.CRC32, e.Exec)
	}

	return h.Sum()
}

// EntryModules are the top-level modules of a layer's direct requirements: what a function that
// uses the layer imports at its start.
func EntryModules(direct []pydist.Requirement, dists []wheel.Distribution) []string {
	var out []string
	seen := map[string]bool{}
	for _, r := range direct {
		for _, d := range dists {
			if d.Name != r.Name {
				continue
			}

			for _, m := range probe.TopLevel(d) {
				if !seen[m] {
					seen[m] = true
					out = append(out, m)
				}
			}
		}
	}

	return out
}

// chosen reports whether a module is missing because layer.yaml says so: by a drop of its own or by
// a selection (modules, services).
func (w *work) chosen(module string) bool {
	return slices.ContainsFunc(w.pruned.Decisions, func(o prune.Outcome) bool {
		name, _, ok := pyimport.ModuleName(o.Site)
		return ok && name == module && w.chose(o)
	})
}

func (w *work) chose(o prune.Outcome) bool {
	if o.Fate != prune.Dropped {
		return false
	}

	return o.Rule == prune.ByLayer ||
		slices.ContainsFunc(w.policy.Rules(),
			func(r policy.Rule) bool { return r.ID == o.Rule && (r.Select != nil || !r.Default) })
}

// rootModules are the top-level modules of the distributions that no other one requires: what a
// program imports, where no requirements say so.
func rootModules(dists []wheel.Distribution) []string {
	required := map[pydist.Name]bool{}
	for _, d := range dists {
		for _, text := range d.Metadata.RequiresDist {
			if r, err := pydist.ParseRequirement(text); err == nil && !strings.Contains(r.Marker, "extra") {
				required[r.Name] = true
			}
		}
	}

	var out []string
	for _, d := range dists {
		if !required[d.Name] {
			out = append(out, probe.TopLevel(d)...)
		}
	}

	return out
}
