package engine

import (
	"context"
	"slices"
	"strings"

	"github.com/layersmith/layersmith/internal/probe"
	"github.com/layersmith/layersmith/internal/prune"
	"github.com/layersmith/layersmith/internal/pydist"
	"github.com/layersmith/layersmith/internal/report"
	"github.com/layersmith/layersmith/internal/workspace"
	"github.com/layersmith/layersmith/internal/ziptree"
)

// changed are the distributions that pruning took a source file from, or whose sources bytecode
// replaced.
func (m Made) changed() map[string]bool {
	owner := map[string]string{}
	out := map[string]bool{}
	for _, d := range m.Artifact.Distributions {
		for _, f := range d.Files {
			owner[f] = d.Name.String()
		}

		if m.Bytecode.Mode == workspace.Sourceless || m.Bytecode.Mode == workspace.Lean {
			out[d.Name.String()] = true
		}
	}

	for _, o := range m.Pruned.Decisions {
		if o.Fate != prune.Kept && strings.HasSuffix(o.Site, ".py") && owner[o.Site] != "" {
			out[owner[o.Site]] = true
		}
	}

	return out
}

// failedFurther are the modules that failed of those beside the ones that Jobs lists. What
// layer.yaml leaves out is not missed.
func failedFurther(results []probe.Result, chosen func(module string) bool) []probe.Result {
	return slices.DeleteFunc(slices.Clone(results), func(r probe.Result) bool {
		missing := r.Missing()
		return r.OK || missing != "" && chosen != nil && chosen(missing)
	})
}

// absent reports whether a job needs a module that is nowhere in the unpruned stack: an optional
// distribution. It fails there too.
func (q Question) absent(r probe.Result) bool {
	top, _, _ := strings.Cut(r.Missing(), ".")
	return top != "" && !slices.ContainsFunc(q.Unpruned, func(t ziptree.Tree) bool {
		return slices.ContainsFunc(t.Entries(), func(e ziptree.Entry) bool {
			site := strings.TrimPrefix(e.Name, q.Place.Prefix)
			return strings.HasPrefix(site, top+"/") || strings.HasPrefix(site, top+".")
		})
	})
}

// compareFurther asks modules that failed beside others again: first on the unpruned layer, then
// those that it can import alone on the pruned one. What fails there is a failure.
func (p Prober) compareFurther(ctx context.Context, q Question, further []probe.Result, out *report.Probe) error {
	var ask []probe.Job
	for _, r := range further {
		if q.absent(r) {
			out.Broken = append(out.Broken, r.Name)
		} else {
			ask = append(ask, r.Job)
		}
	}

	published, err := p.askOn(ctx, q.Unpruned, ask)
	if err != nil {
		return err
	}

	ask = nil
	for _, r := range published {
		if r.OK {
			ask = append(ask, probe.Job{Kind: r.Kind, Name: r.Name})
		} else {
			out.Broken = append(out.Broken, r.Name)
		}
	}

	slices.Sort(out.Broken)
	again, err := p.askOn(ctx, q.Trees, ask)
	for _, r := range again {
		if !r.OK {
			out.Failures = append(out.Failures, r)
			out.Status = report.ProbeFailed
		}
	}

	return err
}

// askOn runs jobs on a stack.
func (p Prober) askOn(ctx context.Context, stack []ziptree.Tree, jobs []probe.Job) ([]probe.Result, error) {
	if len(jobs) == 0 {
		return nil, nil
	}

	mount, unmount, err := p.Mounts.Mount(ctx, stack, MountOptions{})
	if err != nil {
		return nil, err
	}
	defer unmount()

	return p.Python.Probe(ctx, mount, jobs, func() {})
}

// judgeUseless makes failures count that the unpruned layer has too: of a direct requirement none
// of whose modules can be imported, and of a module that needs a library which Lambda has not.
func judgeUseless(q Question, results []probe.Result, out *report.Probe) {
	alive := map[string]bool{}
	for _, r := range results {
		if r.Kind == probe.Module && r.OK {
			alive[r.Group] = true
		}
	}

	for _, r := range out.Skipped {
		alive[r.Group] = true
	}

	for i := range out.Failures {
		f := &out.Failures[i]
		if f.Kind != probe.Module || !f.Inherited {
			continue
		}

		direct := f.Group != "" && !alive[f.Group] && q.isDirect(f.Group)
		if direct || f.Library != "" && !strings.Contains(f.Name, ".") {
			f.Fatal = true
			out.Status = report.ProbeFailed
		}
	}
}

// isDirect reports whether a distribution is what the layer is for.
func (q Question) isDirect(dist string) bool {
	if q.Direct != nil {
		return slices.ContainsFunc(q.Direct, func(n pydist.Name) bool { return n.String() == dist })
	}

	return slices.ContainsFunc(roots(q.Distributions), func(n pydist.Name) bool { return n.String() == dist })
}

// mountFor mounts the stack, unless every job's outcome is known.
func (p Prober) mountFor(ctx context.Context, q Question, jobs []probe.Job) (string, func(), error) {
	if q.Known.Import != nil && len(q.Known.unknown(jobs)) == 0 {
		return "", func() {}, nil
	}

	return p.Mounts.Mount(ctx, q.Trees, MountOptions{})
}

// askUnknown asks the jobs that are not known to have passed, and returns the results of all.
func (p Prober) askUnknown(ctx context.Context, q Question, mount string, jobs []probe.Job) ([]probe.Result, error) {
	asked := q.Known.unknown(jobs)
	results := make([]probe.Result, len(jobs))
	for i, j := range jobs {
		results[i] = probe.Result{Job: j, OK: true}
	}

	if len(asked) == 0 {
		return results, nil
	}

	var unknown []probe.Job
	for _, i := range asked {
		unknown = append(unknown, jobs[i])
	}

	got, err := p.ask(ctx, q.Name, mount, unknown)
	if err != nil {
		return nil, err
	}

	for n, i := range asked {
		results[i] = got[n]
	}

	if p.seen != nil {
		p.seen.note(results)
	}

	return results, nil
}
