package workflow

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/layersmith/layersmith/internal/digest"
	"github.com/layersmith/layersmith/internal/engine"
	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/measure"
	"github.com/layersmith/layersmith/internal/probe"
	"github.com/layersmith/layersmith/internal/release"
	"github.com/layersmith/layersmith/internal/report"
)

// Verify asks Lambda's own Python about a candidate: a throw-away function of the target's runtime
// gets the candidate and the layers that it lies on, runs the probe and is deleted.
type Verify struct {
	Ledger
	Sandboxes Sandboxes
	Versions  LayerVersions
	Probes    string // prefix of the names of throw-away functions, and of the layers that they need for a comparison
	Memory    int    // MiB of the throw-away function
}

// sandboxTimeout is Lambda's longest.
const sandboxTimeout = 15 * time.Minute

// jobBytes bounds the sources in one invocation; Lambda takes 6 MB.
const jobBytes = 4 << 20

// sandboxName is the throw-away function of one candidate: always the same, so that one that is
// left over is found. Names have at most 64 characters.
func sandboxName(prefix, run string, c release.Candidate) string {
	return prefix + digest.Of([]byte(run+" "+c.LayerName)).Short()
}

// Run verifies. What fails on the unpruned artifact too is the package's own business, as in a
// local probe.
func (s Verify) Run(ctx context.Context, in StackInput) (_ Item, err error) {
	run, err := s.run(ctx, in.Run)
	if err != nil {
		return Item{}, err
	}

	c, err := open[release.Candidate](ctx, s.Blobs, in.Layer.Doc)
	if err != nil {
		return Item{}, err
	}

	if err := in.Layer.names(c.Layer, c.Target); err != nil {
		return Item{}, err
	}

	m, err := open[release.Measured](ctx, s.Blobs, c.Measured)
	if err != nil {
		return Item{}, err
	}

	pruned, err := open[release.PrunedLayer](ctx, s.Blobs, m.Pruned)
	if err != nil {
		return Item{}, err
	}

	request, err := s.request(ctx, run, m)
	if err != nil {
		return Item{}, err
	}

	below, names, err := s.below(ctx, m, in)
	if err != nil {
		return Item{}, err
	}

	code, err := probe.HandlerZip()
	if err != nil {
		return Item{}, err
	}

	box := Sandbox{
		Name:    sandboxName(s.Probes, run.Run, c),
		Target:  c.Target,
		Zip:     code,
		Handler: probe.Handler,
		Layers:  append(below, c.ARN),
		Memory:  s.Memory,
		Timeout: sandboxTimeout,
	}
	answer, err := s.ask(ctx, box, request)
	if err != nil {
		return Item{}, err
	}

	v := release.Verified{
		SchemaVersion: release.SchemaVersion,
		Candidate:     c,
		InitSeconds:   answer.init,
		MaxMemoryMiB:  answer.memory,
	}
	v.Probe = report.Probe{Status: report.ProbePassed, Interpreter: answer.interpreter, Stack: append(names, c.Layer)}
	if err := s.judge(ctx, pruned, box, below, answer, &v.Probe); err != nil {
		return Item{}, err
	}

	if v.Probe.Status != report.ProbePassed {
		l := m.Report
		l.Probe = v.Probe
		return Item{}, engine.Judge(l, false)
	}

	ref, err := s.document(ctx, v)
	said := fmt.Sprintf("%s: %s, %s", c.Layer, report.Count(v.Probe.Modules, "module"), report.Count(v.Probe.Scripts, "script"))
	if v.Probe.Import != nil {
		said += fmt.Sprintf("; import %.2f s", v.Probe.Import.WithSeconds)
	}

	return in.Layer.next(ref, said), err
}

// request is what the layer is asked: the same jobs as on a laptop.
func (s Verify) request(ctx context.Context, run release.Run, m release.Measured) (probe.Request, error) {
	w, files, closeIt, err := openWorkspace(ctx, s.Blobs, run.Workspace)
	if err != nil {
		return probe.Request{}, err
	}
	defer closeIt()
	spec, _ := w.Layer(m.Built.Layer)
	own := ""
	if spec.Probe != "" {
		b, err := fs.ReadFile(files, spec.Probe)
		if err != nil {
			return probe.Request{}, err
		}

		own = string(b)
	}

	tree, f, err := openZip(ctx, s.Blobs, m.Zip)
	if err != nil {
		return probe.Request{}, err
	}
	defer f.Close()
	a, err := engine.Installed(m.Built.Target, spec.Place(), tree)
	if err != nil {
		return probe.Request{}, err
	}

	imports := spec.Imports
	if len(imports) == 0 {
		imports = engine.EntryModules(spec.Requirements.Direct, a.Distributions)
	}

	if len(imports) == 0 {
		imports = engine.RootModules(a.Distributions)
	}

	return probe.NewRequest(probe.Jobs(tree, a.Place.Prefix, a.Distributions, own), imports), nil
}

// below are the versions that the candidate lies on: of this run, or as they are released.
func (s Verify) below(ctx context.Context, m release.Measured, in StackInput) (arns, names []string, err error) {
	released, _, err := s.released(ctx)
	if err != nil {
		return nil, nil, err
	}

	for _, name := range m.Built.Below {
		names = append(names, name)
		i := slices.IndexFunc(in.Layers, func(i Item) bool { return i.Layer == name && i.Target == in.Layer.Target })
		if i >= 0 {
			c, err := open[release.Candidate](ctx, s.Blobs, in.Layers[i].Doc)
			if err != nil {
				return nil, nil, err
			}

			arns = append(arns, c.ARN)
			continue
		}

		l, ok := released.Find(name, in.Layer.Target)
		if !ok {
			return nil, nil, notReleased(in.Layer.Layer, name)
		}

		arns = append(arns, l.Current.ARN)
	}

	return arns, names, nil
}

// answered is all answers of one throw-away function.
type answered struct {
	interpreter string
	results     []probe.Result
	imports     *probe.TimedImports
	init        float64
	memory      int64
}

// ask makes the function, asks until nothing remains, and deletes it, also when the time is up.
func (s Verify) ask(ctx context.Context, box Sandbox, q probe.Request) (out answered, err error) {
	defer func() {
		after, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		if deleteErr := s.Sandboxes.Delete(after, box.Name); err == nil {
			err = deleteErr
		}
	}()
	if err := s.Sandboxes.Create(ctx, box); err != nil {
		return out, err
	}

	for more := true; more; {
		part := q
		if part.Jobs = batch(q.Jobs); len(part.Jobs) < len(q.Jobs) {
			part.Imports = nil // timed when all jobs are done
		}

		payload, err := json.Marshal(part)
		if err != nil {
			return out, err
		}

		answer, err := s.Sandboxes.Invoke(ctx, box.Name, payload)
		if err != nil {
			return out, err
		}

		if answer.Error != "" {
			return out, gaveUp(box, answer)
		}

		got, err := probe.OpenResponse(answer.Payload, part)
		if err != nil {
			return out, fault.New(fault.ProbeFailed, "probe", box.Name, err)
		}

		out.interpreter = got.Interpreter
		out.imports = got.Import
		out.results = append(out.results, got.Results...)
		out.init = max(out.init, answer.InitSeconds)
		out.memory = max(out.memory, answer.MaxMemoryMiB)
		q, more = q.After(got)
	}

	return out, nil
}

// gaveUp is the fault of a throw-away function that could not answer.
func gaveUp(box Sandbox, answer Invocation) error {
	var said struct {
		Message string `json:"errorMessage"`
	}
	if json.Unmarshal(answer.Payload, &said) != nil || said.Message == "" {
		said.Message = lastWords(answer.LogTail)
	}

	hint := "its runtime cannot start with these layers; look at what they put on the path"
	switch {
	case answer.Error == "Sandbox.Timedout":
		hint = fmt.Sprintf("a module, or the layer's own probe, took more than Lambda's %d minutes",
			int(sandboxTimeout.Minutes()))
	case answer.Error == "Runtime.OutOfMemory" || answer.MaxMemoryMiB > 0 && answer.MaxMemoryMiB >= int64(box.Memory):
		hint = fmt.Sprintf("its probe needs more than the %d MiB that the function has", box.Memory)
	}

	return fault.New(fault.ProbeFailed, "probe", box.Name,
		fmt.Errorf("the throw-away function failed with %s", strings.TrimSuffix(answer.Error+": "+said.Message, ": "))).
		WithHint(hint)
}

// lastWords is the last line of a log that Lambda did not write itself.
func lastWords(log string) string {
	last := ""
	for line := range strings.Lines(log) {
		word, _, _ := strings.Cut(strings.TrimSpace(line), " ")
		if word != "" && !slices.Contains([]string{"INIT_START", "START", "END", "REPORT", "XRAY"}, word) {
			last = strings.TrimSpace(line)
		}
	}

	return last
}

// batch is as many jobs as one invocation takes.
func batch(jobs []probe.SentJob) []probe.SentJob {
	size := 0
	for i, j := range jobs {
		if size += len(j.Source) + len(j.Name) + 64; size > jobBytes && i > 0 {
			return jobs[:i]
		}
	}

	return jobs
}

// judge counts the results and finds out whose fault failures are.
func (s Verify) judge(
	ctx context.Context,
	pruned release.PrunedLayer,
	box Sandbox,
	below []string,
	a answered,
	out *report.Probe,
) error {
	failed := engine.Tally(a.results, func(module string) bool { return slices.Contains(pruned.Chosen, module) }, out)
	if len(failed) > 0 {
		inherited, err := s.unpruned(ctx, pruned, box, below, failed)
		if err != nil {
			return err
		}

		for i := range out.Failures {
			f := &out.Failures[i]
			f.Inherited = inherited[i]
			if !f.Inherited || f.Kind == probe.Script {
				out.Status = report.ProbeFailed
			}
		}
	}

	if a.imports == nil {
		return nil
	}

	if a.imports.Detail != "" {
		if len(failed) == 0 { // otherwise a module that fails by itself is the reason
			job := engine.ImportsJob(a.imports.Modules)
			inherited, err := s.unpruned(ctx, pruned, box, below, []probe.Job{engine.Asked(job)})
			if err != nil {
				return err
			}

			out.Status = report.ProbeFailed
			out.Failures = append(out.Failures,
				probe.Result{Job: job, Detail: a.imports.Detail, Inherited: inherited[0]})
		}

		return nil
	}

	out.Import = &report.ImportComparison{
		Modules:        a.imports.Modules,
		WithSeconds:    a.imports.Seconds,
		WithoutSeconds: a.imports.Seconds,
		PeakBytes:      measure.Bytes(a.imports.PeakBytes),
	}
	return nil
}

// unpruned runs what failed on the layer before pruning, published for that under a name of its own
// and deleted at once, and returns which of it fails there too. A stack that is too large for
// Lambda before pruning cannot be compared: then nothing is inherited.
func (s Verify) unpruned(
	ctx context.Context,
	pruned release.PrunedLayer,
	box Sandbox,
	below []string,
	failed []probe.Job,
) ([]bool, error) {
	inherited := make([]bool, len(failed))
	v, err := s.Versions.Publish(ctx, NewLayerVersion{
		LayerName:   box.Name,
		Description: "layersmith comparison",
		Target:      box.Target,
		Zip:         pruned.Built.Artifact,
	})
	if fault.CodeOf(err) == fault.OverLimit || fault.CodeOf(err) == fault.BadInput {
		return inherited, nil
	}

	if err != nil {
		return nil, err
	}

	defer func() {
		after, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		_ = s.Versions.Delete(after, v.ARN) // a later verification of the run finds and replaces it; nothing uses it
	}()
	box.Layers = append(slices.Clone(below), v.ARN)
	again, err := s.ask(ctx, box, probe.NewRequest(failed, nil))
	if fault.CodeOf(err) == fault.OverLimit || fault.CodeOf(err) == fault.BadInput {
		return inherited, nil
	}

	if err != nil {
		return nil, err
	}

	for i, r := range again.results {
		inherited[i] = !r.OK
	}

	return inherited, nil
}
