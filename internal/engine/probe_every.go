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

// tallyFurther counts the modules beside those that are listed one by one, and returns those that
// failed. What layer.yaml leaves out is not missed.
func tallyFurther(results []probe.Result, chosen func(module string) bool, out *report.Probe) []probe.Result {
	out.Swept = len(results)
	return slices.DeleteFunc(slices.Clone(results), func(r probe.Result) bool {
		missing := r.Missing()
		return r.OK || missing != "" && chosen != nil && chosen(missing)
	})
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
