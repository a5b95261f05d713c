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

// Verify probes a candidate in Lambda. It creates a probe function of the target's runtime with the
// candidate and the layers that it extends, invokes it, and deletes it.
type Verify struct {
	Ledger
	Sandboxes Sandboxes
	Versions  LayerVersions
	Probes    string // prefix of the names of probe functions, and of unpruned layers for comparison
	Memory    int    // of the probe function, MiB
}

const (
	sandboxTimeout = 15 * time.Minute // the maximum of Lambda
	jobBytes       = 4 << 20          // of the jobs in one invocation; Lambda's limit is 6 MB
	deleteTimeout  = 10 * time.Second
)

// sandboxName is the name of a candidate's probe function, at most 64 characters. It is always the
// same, so that one that was not deleted is replaced.
func sandboxName(prefix, run string, c release.Candidate) string {
	return prefix + digest.Of([]byte(run+" "+c.LayerName)).Short()
}

// Run verifies. A failure is the fault ProbeFailed, unless the unpruned layer fails in the same
// way.
func (s Verify) Run(ctx context.Context, in StackInput) (Item, error) {
	run, err := s.resume(ctx, in.Run)
	if err != nil {
		return Item{}, err
	}

	c, err := readDocument[release.Candidate](ctx, s.Blobs, in.Layer.Doc)
	if err != nil {
		return Item{}, err
	}

	if err := in.Layer.checkBelongs(c.Layer, c.Target); err != nil {
		return Item{}, err
	}

	m, err := readDocument[release.Measured](ctx, s.Blobs, c.Measured)
	if err != nil {
		return Item{}, err
	}

	pruned, err := readDocument[release.PrunedLayer](ctx, s.Blobs, m.Pruned)
	if err != nil {
		return Item{}, err
	}

	request, err := s.request(ctx, run, m)
	if err != nil {
		return Item{}, err
	}

	below, err := s.below(ctx, m, in)
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
		Layers:  append(slices.Clone(below), c.ARN),
		Memory:  s.Memory,
		Timeout: sandboxTimeout,
	}
	answers, err := s.ask(ctx, box, request)
	if err != nil {
		return Item{}, err
	}

	result, err := s.judge(ctx, comparison{pruned, box, below}, answers)
	if err != nil {
		return Item{}, err
	}

	result.Stack = append(slices.Clone(m.Built.Below), c.Layer)
	if result.Status != report.ProbePassed {
		l := m.Report
		l.Probe = result
		return Item{}, engine.Judge(l, false)
	}

	ref, err := s.putDocument(ctx, release.Verified{
		SchemaVersion: release.SchemaVersion,
		Candidate:     c,
		Probe:         result,
		InitSeconds:   answers.initSeconds,
		MaxMemoryMiB:  answers.memoryMiB,
	})
	return in.Layer.next(ref, summaryOf(c.Layer, result)), err
}

// summaryOf describes a passed probe: "base: 12 modules, 1 script; import 0.25 s".
func summaryOf(layer string, p report.Probe) string {
	s := fmt.Sprintf("%s: %s, %s", layer, report.Count(p.Modules, "module"), report.Count(p.Scripts, "script"))
	if p.Import != nil {
		s += fmt.Sprintf("; import %.2f s", p.Import.WithSeconds)
	}

	return s
}

// request makes the same jobs as a local probe.
func (s Verify) request(ctx context.Context, run release.Run, m release.Measured) (probe.Request, error) {
	w, files, closeFiles, err := openWorkspace(ctx, s.Blobs, run.Workspace)
	if err != nil {
		return probe.Request{}, err
	}
	defer closeFiles()

	spec, _ := w.Layer(m.Built.Layer)
	script := ""
	if spec.Probe != "" {
		b, err := fs.ReadFile(files, spec.Probe)
		if err != nil {
			return probe.Request{}, err
		}

		script = string(b)
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

	return probe.NewRequest(probe.Jobs(tree, a.Place.Prefix, a.Distributions, script), imports), nil
}

// below returns the ARNs of the versions that the candidate extends, lowest first: those of this
// run, or else the released ones.
func (s Verify) below(ctx context.Context, m release.Measured, in StackInput) (arns []string, err error) {
	released, _, err := s.readReleased(ctx)
	if err != nil {
		return nil, err
	}

	for _, name := range m.Built.Below {
		if i, ok := in.find(name); ok {
			c, err := readDocument[release.Candidate](ctx, s.Blobs, i.Doc)
			if err != nil {
				return nil, err
			}

			arns = append(arns, c.ARN)
			continue
		}

		l, ok := released.Find(name, in.Layer.Target)
		if !ok {
			return nil, notReleased(in.Layer.Layer, name)
		}

		arns = append(arns, l.Current.ARN)
	}

	return arns, nil
}

// answers are the answers of all invocations of one probe function.
type answers struct {
	interpreter string
	results     []probe.Result
	imports     *probe.TimedImports
	initSeconds float64 // of the longest cold start
	memoryMiB   int64   // the maximum
}

// ask creates the probe function, invokes it until all jobs are done, and deletes it, also if ctx
// has ended.
func (s Verify) ask(ctx context.Context, box Sandbox, q probe.Request) (out answers, err error) {
	defer func() {
		after, cancel := context.WithTimeout(context.WithoutCancel(ctx), deleteTimeout)
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
			part.Imports = nil // imports are timed with the last jobs
		}

		got, err := s.invoke(ctx, box, part, &out)
		if err != nil {
			return out, err
		}

		q, more = q.After(got)
	}

	return out, nil
}

// invoke invokes the probe function once and adds the response to the answers.
func (s Verify) invoke(ctx context.Context, box Sandbox, q probe.Request, out *answers) (probe.Response, error) {
	payload, err := json.Marshal(q)
	if err != nil {
		return probe.Response{}, err
	}

	answer, err := s.Sandboxes.Invoke(ctx, box.Name, payload)
	if err != nil {
		return probe.Response{}, err
	}

	if answer.Error != "" {
		return probe.Response{}, sandboxFault(box, answer)
	}

	got, err := probe.OpenResponse(answer.Payload, q)
	if err != nil {
		return got, fault.New(fault.ProbeFailed, "probe", box.Name, err)
	}

	out.interpreter = got.Interpreter
	out.imports = got.Import
	out.results = append(out.results, got.Results...)
	out.initSeconds = max(out.initSeconds, answer.InitSeconds)
	out.memoryMiB = max(out.memoryMiB, answer.MaxMemoryMiB)
	return got, nil
}

// sandboxFault is the fault of a probe function that failed instead of answering.
func sandboxFault(box Sandbox, answer Invocation) error {
	var function struct {
		Message string `json:"errorMessage"`
	}
	if json.Unmarshal(answer.Payload, &function) != nil || function.Message == "" {
		function.Message = lastOutput(answer.LogTail)
	}

	hint := "its runtime cannot start with these layers; check which modules of theirs hide modules of the runtime"
	switch {
	case answer.Error == "Sandbox.Timedout":
		hint = fmt.Sprintf("importing a module, or the layer's own probe, took more than Lambda's %d minutes",
			int(sandboxTimeout.Minutes()))
	case answer.Error == "Runtime.OutOfMemory" || answer.MaxMemoryMiB > 0 && answer.MaxMemoryMiB >= int64(box.Memory):
		hint = fmt.Sprintf("the probe needs more than the function's %d MiB of memory", box.Memory)
	}

	why := strings.TrimSuffix(answer.Error+": "+function.Message, ": ")
	return fault.New(fault.ProbeFailed, "probe", box.Name, fmt.Errorf("the probe function failed with %s", why)).
		WithHint(hint)
}

// lastOutput is the last line of a log that Lambda did not write itself.
func lastOutput(log string) string {
	last := ""
	for line := range strings.Lines(log) {
		word, _, _ := strings.Cut(strings.TrimSpace(line), " ")
		if word != "" && !slices.Contains([]string{"INIT_START", "START", "END", "REPORT", "XRAY"}, word) {
			last = strings.TrimSpace(line)
		}
	}

	return last
}

// batch returns the first jobs, as many as fit into one invocation.
func batch(jobs []probe.SentJob) []probe.SentJob {
	size := 0
	for i, j := range jobs {
		if size += len(j.Source) + len(j.Name) + 64; size > jobBytes && i > 0 {
			return jobs[:i]
		}
	}

	return jobs
}

// judge counts the results. The probe has failed if a job fails that succeeds on the unpruned
// layer, or if a script of the layer fails.
func (s Verify) judge(ctx context.Context, unpruned comparison, a answers) (report.Probe, error) {
	out := report.Probe{Status: report.ProbePassed, Interpreter: a.interpreter}
	excluded := func(module string) bool { return slices.Contains(unpruned.pruned.Chosen, module) }
	failed := engine.Tally(a.results, excluded, &out)
	if len(failed) > 0 {
		inherited, err := s.compare(ctx, unpruned, failed)
		if err != nil {
			return out, err
		}

		for i := range out.Failures {
			f := &out.Failures[i]
			f.Inherited = inherited[i]
			if f.Decides() {
				out.Status = report.ProbeFailed
			}
		}
	}

	switch {
	case a.imports == nil:
	case a.imports.Detail == "":
		out.Import = &report.ImportComparison{
			Modules:        a.imports.Modules,
			WithSeconds:    a.imports.Seconds,
			WithoutSeconds: a.imports.Seconds,
			PeakBytes:      measure.Bytes(a.imports.PeakBytes),
		}
	case len(failed) == 0: // otherwise a failed module is the reason
		job := engine.ImportsJob(a.imports.Modules)
		inherited, err := s.compare(ctx, unpruned, []probe.Job{engine.Asked(job)})
		if err != nil {
			return out, err
		}

		out.Status = report.ProbeFailed
		out.Failures = append(out.Failures,
			probe.Result{Job: job, Detail: a.imports.Detail, Inherited: inherited[0]})
	}

	return out, nil
}

// comparison is what a comparison with the unpruned layer needs.
type comparison struct {
	pruned release.PrunedLayer
	box    Sandbox  // the probe function of the candidate
	below  []string // ARNs of the versions that the candidate extends
}

// compare runs failed jobs on the unpruned layer, and returns for each whether it fails there too.
// It publishes the unpruned layer under the name of the probe function, and deletes it. If Lambda
// refuses the unpruned layer, which may be too large, no failure counts as inherited.
func (s Verify) compare(ctx context.Context, c comparison, failed []probe.Job) ([]bool, error) {
	inherited := make([]bool, len(failed))
	v, err := s.Versions.Publish(ctx, NewLayerVersion{
		LayerName:   c.box.Name,
		Description: "layersmith comparison",
		Target:      c.box.Target,
		Zip:         c.pruned.Built.Artifact,
	})
	if refusedByLambda(err) {
		return inherited, nil
	}

	if err != nil {
		return nil, err
	}

	defer func() {
		after, cancel := context.WithTimeout(context.WithoutCancel(ctx), deleteTimeout)
		defer cancel()

		_ = s.Versions.Delete(after, v.ARN) // if it stays, nothing uses it
	}()

	box := c.box
	box.Layers = append(slices.Clone(c.below), v.ARN)
	again, err := s.ask(ctx, box, probe.NewRequest(failed, nil))
	if refusedByLambda(err) {
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

func refusedByLambda(err error) bool {
	code := fault.CodeOf(err)
	return code == fault.OverLimit || code == fault.BadInput
}
