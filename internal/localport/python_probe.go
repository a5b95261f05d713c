package localport

import (
	"cmp"
	"context"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/layersmith/layersmith/internal/probe"
)

// aloneTimeout is for a module of a group that is imported again alone.
const aloneTimeout = 30 * time.Second

// Probe runs jobs in Lambda's world, as far as this machine allows. Modules of one group are
// imported in one process. Those that fail there are imported again, each in its own, whose outcome
// counts: what an earlier module did may be the cause.
func (p Python) Probe(ctx context.Context, mount string, jobs []probe.Job, done func()) ([]probe.Result, error) {
	w, err := p.open(ctx)
	if err != nil {
		return nil, err
	}

	r := &probing{Python: p, world: w, mount: mount, jobs: jobs, done: done, results: make([]probe.Result, len(jobs))}
	if err := r.run(ctx, unitsOf(jobs), nil); err != nil {
		return nil, err
	}

	return r.results, r.withoutForeign(ctx)
}

// probing is one call of Probe.
type probing struct {
	Python
	world   opened
	mount   string
	jobs    []probe.Job
	done    func()
	results []probe.Result
	mu      sync.Mutex
	foreign map[int][]string // by job: libraries of this machine that its process had loaded
}

// unit are the numbers of jobs that one process does.
type unit []int

func unitsOf(jobs []probe.Job) []unit {
	var units []unit
	groups := map[string]int{}
	for i, j := range jobs {
		at, ok := groups[j.Group]
		if j.Group == "" || j.Kind != probe.Module || !ok {
			units = append(units, unit{i})
			if j.Group != "" && j.Kind == probe.Module {
				groups[j.Group] = len(units) - 1
			}

			continue
		}

		units[at] = append(units[at], i)
	}

	// The largest first, so that none is left alone at the end.
	slices.SortStableFunc(units, func(a, b unit) int { return len(b) - len(a) })
	return units
}

// run does units, each by one of some zygotes.
func (r *probing) run(ctx context.Context, units []unit, hide []string) error {
	queue := make(chan unit, len(units))
	for _, u := range units {
		queue <- u
	}

	close(queue)
	g, ctx := errgroup.WithContext(ctx)
	for range workers(len(units)) {
		g.Go(func() error {
			if len(queue) == 0 {
				return nil
			}

			z, done, err := r.zygote(ctx, r.world, r.mount, hide)
			if err != nil {
				return err
			}
			defer done()

			for u := range queue {
				if err := r.do(ctx, z, u); err != nil {
					return err
				}
			}

			return nil
		})
	}

	return g.Wait()
}

// zygote starts a zygote in a folder of its own.
func (p Python) zygote(ctx context.Context, w opened, mount string, hide []string) (*zygote, func(), error) {
	base, err := os.MkdirTemp(p.Temp, tempPrefix+"probe-")
	if err != nil {
		return nil, nil, ours("make a folder in", p.Temp, hintCache, err)
	}

	z, err := p.start(ctx, w, base, mount, hide)
	if err != nil {
		removeAll(base)
		return nil, nil, err
	}

	return z, func() { z.close(); removeAll(base) }, nil
}

func (r *probing) do(ctx context.Context, z *zygote, u unit) error {
	for len(u) > 1 {
		var err error
		if u, err = r.group(ctx, z, u); err != nil {
			return err
		}
	}

	if len(u) == 0 {
		return nil
	}

	return r.alone(ctx, z, u[0], cmp.Or(r.Timeout, probeTimeout))
}

// group imports modules in one process, and those that fail again alone. It returns the modules
// that the process did not come to, because one ended it.
func (r *probing) group(ctx context.Context, z *zygote, u unit) (left unit, err error) {
	job := []string{"group"}
	for _, i := range u {
		job = append(job, r.jobs[i].Name)
	}

	limit := cmp.Or(r.Timeout, probeTimeout)
	a, err := z.run(ctx, limit+time.Duration(len(u))*limit/50, job)
	if err != nil {
		return nil, err
	}

	foreign := r.foreignOf(a.mapped)
	reached := 0
	for n, i := range u {
		switch {
		case a.passed[n]:
			r.keep(i, probe.Result{
				Job:       r.jobs[i],
				OK:        true,
				Seconds:   a.seconds / float64(len(u)),
				PeakBytes: a.peak,
			}, foreign)
			reached = n + 1
		case a.failed[n] != "":
			if r.jobs[i].Loose {
				r.keep(i, probe.Result{Job: r.jobs[i], Detail: a.failed[n], Seconds: a.seconds / float64(len(u))}, nil)
			} else if err := r.alone(ctx, z, i, aloneTimeout); err != nil {
				return nil, err
			}

			reached = n + 1
		}
	}

	if reached == len(u) {
		return nil, nil
	}

	// The first one that said nothing ended the process, or hung.
	if err := r.alone(ctx, z, u[reached], aloneTimeout); err != nil {
		return nil, err
	}

	return u[reached+1:], nil
}

// alone runs one job in a process of its own.
func (r *probing) alone(ctx context.Context, z *zygote, i int, limit time.Duration) error {
	j := r.jobs[i]
	args := []string{string(j.Kind), j.Name}
	if j.Kind == probe.Script {
		file := filepath.Join(z.base, "tmp", "script.py")
		if err := os.WriteFile(file, []byte(j.Source), 0o644); err != nil {
			return ours("write", file, hintCache, err)
		}

		args[1] = z.tmp() + "/script.py"
	}

	limit = min(limit, cmp.Or(r.Timeout, probeTimeout))
	a, err := z.run(ctx, limit, args)
	if err != nil {
		return err
	}

	detail := z.detail(a, limit)
	r.keep(i, probe.Result{Job: j, OK: detail == "", Detail: detail, Seconds: a.seconds, PeakBytes: a.peak},
		r.foreignOf(a.mapped))
	return nil
}

// tmp is where a job finds its /tmp.
func (z *zygote) tmp() string {
	if z.world.level == plainWorld {
		return filepath.Join(z.base, "tmp")
	}

	return "/tmp"
}

func (r *probing) keep(i int, result probe.Result, foreign []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.results[i].Name == "" {
		r.done()
	}

	r.results[i] = result
	if r.foreign == nil {
		r.foreign = map[int][]string{}
	}

	r.foreign[i] = foreign
}
