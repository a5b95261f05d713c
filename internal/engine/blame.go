package engine

import (
	"context"
	"regexp"
	"slices"
	"strings"

	"github.com/layersmith/layersmith/internal/place"
	"github.com/layersmith/layersmith/internal/probe"
	"github.com/layersmith/layersmith/internal/pyimport"
	"github.com/layersmith/layersmith/internal/report"
	"github.com/layersmith/layersmith/internal/wheel"
)

// blame runs the failed jobs again, on the unpruned layer. A job that fails there too has inherited
// its failure from the package: it is reported, and does not fail the probe. Only the layer's own
// script does, since it shows that the layer does not work, whatever the cause.
func (p Prober) blame(ctx context.Context, q Question, failed []probe.Job, out *report.Probe) error {
	inherited := map[string]bool{}
	if q.Unpruned != nil {
		mount, unmount, err := p.Mounts.Mount(ctx, q.Unpruned, MountOptions{})
		if err != nil {
			return err
		}
		defer unmount()
		again, err := p.Python.Probe(ctx, mount, failed, func() {})
		if err != nil {
			return err
		}

		for _, r := range again {
			inherited[string(r.Kind)+r.Name] = !r.OK
		}
	}

	for i := range out.Failures {
		f := &out.Failures[i]
		// An entry point may need an optional dependency. Without an unpruned layer to compare
		// with, its failure is not blamed on pruning.
		f.Inherited = inherited[string(f.Kind)+f.Name] || q.Unpruned == nil && f.EntryPoint()
		if f.Decides() {
			out.Status = report.ProbeFailed
		}

		p.cause(q, *f, out)
	}

	return nil
}

// blameImports adds the failure of the imports that are timed, and compares it with the unpruned
// layer. These imports are not one of the probe's jobs.
func (p Prober) blameImports(ctx context.Context, q Question, detail string, out *report.Probe) error {
	f := probe.Result{Job: ImportsJob(q.Imports), Detail: detail}
	if q.Unpruned != nil {
		mount, unmount, err := p.Mounts.Mount(ctx, q.Unpruned, MountOptions{})
		if err != nil {
			return err
		}
		defer unmount()
		again, err := p.Python.Probe(ctx, mount, []probe.Job{Asked(f.Job)}, func() {})
		if err != nil {
			return err
		}

		f.Inherited = !again[0].OK
	}

	out.Failures = append(out.Failures, f)
	p.cause(q, f, out)
	return nil
}

// ImportsJob is a job that imports some modules in one process.
func ImportsJob(modules []string) probe.Job {
	j := probe.Job{Kind: probe.Module, Name: strings.Join(modules, ", ")}
	if len(modules) > 1 {
		j.Source = "import " + strings.Join(modules, "\nimport ") + "\n"
	}

	return j
}

// Asked returns a job in the form that an Interpreter runs: a job of ImportsJob for several modules
// becomes a script.
func Asked(j probe.Job) probe.Job {
	if j.Kind == probe.Module && j.Source != "" {
		j.Kind = probe.Script
	}

	return j
}

// cause notes the distribution that an inherited failure comes from.
func (p Prober) cause(q Question, f probe.Result, out *report.Probe) {
	if !f.Inherited {
		return
	}

	if d, ok := blamed(f, q.Place, slices.Concat(q.Distributions, q.Under)); ok {
		if out.Causes == nil {
			out.Causes = map[string]string{}
		}

		out.Causes[string(f.Kind)+" "+f.Name] = d.Name.String() + " " + d.Version.String()
	}
}

// blamed finds the distribution that a failure comes from: the owner of the last file in the
// traceback, which raised the error, else the one that the job tests.
func blamed(f probe.Result, at place.Place, dists []wheel.Distribution) (wheel.Distribution, bool) {
	if site, _, ok := raisedIn(f.Detail, at); ok {
		for _, d := range dists {
			if slices.Contains(d.Files, site) {
				return d, true
			}
		}
	}

	about, _, builtIn := strings.Cut(f.Name, "/") // the built-in script numpy/arrays tests numpy
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

// frame is a line of a traceback. Probes show mounted files below /opt, as Lambda does.
var frame = regexp.MustCompile(`File "` + place.LayerMount + `/([^"\n]+)", line (\d+)`)

// raisedIn returns the last file of the layer in a traceback, relative to the site folder, and the
// line number.
func raisedIn(detail string, at place.Place) (site, line string, ok bool) {
	for _, m := range frame.FindAllStringSubmatch(detail, -1) {
		if file, inside := at.Site(m[1]); inside {
			site = file
			line = m[2]
			ok = true
		}
	}

	return site, line, ok
}
