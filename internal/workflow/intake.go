package workflow

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/layersmith/layersmith/internal/blob"
	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/release"
	"github.com/layersmith/layersmith/internal/workspace"
	"github.com/layersmith/layersmith/internal/ziptree"
)

// Intake reads an execution's input, whoever sent it, and decides what the execution does: build,
// go back, first clean up after a run that died, wait for one that works, or nothing.
type Intake struct {
	Ledger
	Sources Sources
	Runs    ExecutionRuns
	Tool    string
	// how long nothing must have been uploaded before an upload is acted upon: a push is many files
	Settle time.Duration
}

// IntakeInput is what the state machine knows of the execution.
type IntakeInput struct {
	Run       string          `json:"run"`
	Execution string          `json:"execution"`
	StartedAt time.Time       `json:"startedAt"`
	Input     json.RawMessage `json:"input"`
}

// Next is what the execution does after Intake.
type Next string

// The ways.
const (
	NextBuild   Next = "Build"
	NextRestore Next = "Restore"
	NextRecover Next = "Recover" // a run that died has left something: undo that first
	NextWait    Next = "Wait"
	NextEnd     Next = "End"
)

// IntakeOutput begins the execution's state. The empty fields are there because JSONPath has no way
// to ask for what may be absent.
type IntakeOutput struct {
	Run           string          `json:"run"`
	Next          Next            `json:"next"`
	WaitSeconds   int             `json:"waitSeconds"`
	Previous      string          `json:"previous"` // the run to recover
	DryRun        bool            `json:"dryRun"`
	Summary       string          `json:"summary"`
	Layers        []Item          `json:"layers"`
	Error         any             `json:"error"`
	RollbackError any             `json:"rollbackError"`
	Ending        *release.Ending `json:"ending"`
}

// Limits of a pushed workspace.
const (
	MaxWorkspaceFiles     = 4096
	MaxWorkspaceFileBytes = 8 << 20 // a lock of a thousand distributions is 2 MB
	MaxWorkspaceBytes     = 64 << 20
)

// waits between two looks at a lease that another run holds, and after losing a race for it.
const (
	leaseWaitSeconds = 30
	raceWaitSeconds  = 2
)

// upload is what is read of an EventBridge event "Object Created" (S3 user guide, "EventBridge
// event message structure"). Everything else in it is left alone: AWS adds fields.
type upload struct {
	Source string `json:"source"`
	Detail struct {
		Object struct {
			Key       string `json:"key"`
			ETag      string `json:"etag"`
			VersionID string `json:"version-id"`
		} `json:"object"`
	} `json:"detail"`
}

// Run decides.
func (s Intake) Run(ctx context.Context, in IntakeInput) (IntakeOutput, error) {
	out := IntakeOutput{Run: in.Run, Layers: []Item{}}
	if err := release.CheckRun(in.Run); err != nil {
		return out, fault.New(fault.BadInput, "start", "execution", err).WithHint("give the execution another name")
	}

	request, event, err := readInput(in.Input)
	if err != nil {
		return out, err
	}

	out.DryRun = request.DryRun
	files, err := s.Sources.List(ctx)
	if err != nil {
		return out, err
	}

	trigger := cmp.Or(request.Trigger, "operator")
	if event != nil {
		name := strings.TrimPrefix(event.Detail.Object.Key, workspaceRoot+"/")
		trigger = "upload of " + event.Detail.Object.Key
		later, settle := superseded(files, name, *event, s.Now(), s.Settle)
		switch {
		case later != "":
			return end(out, "a later upload, %s/%s, has an execution of its own", workspaceRoot, later), nil
		case settle > 0:
			return wait(out, int(settle/time.Second)+1, "uploads are still coming in"), nil
		}
	}

	if out, ok, err := s.lease(ctx, in, out); err != nil || !ok {
		return out, err
	}

	run := release.Run{
		SchemaVersion: release.SchemaVersion,
		Run:           in.Run,
		Execution:     in.Execution,
		StartedAt:     in.StartedAt,
		Trigger:       trigger,
		Request:       request,
	}
	released, _, err := s.released(ctx)
	if err != nil {
		return out, err
	}

	if request.Rollback != nil {
		target, err := restoreOf(released, *request.Rollback)
		if err != nil {
			return out, err
		}

		out.Next = NextRestore
		out.Summary = target
	}

	if run.Workspace, err = s.snapshot(ctx, files); err != nil {
		return out, err
	}

	w, _, closeIt, err := openWorkspace(ctx, s.Blobs, run.Workspace)
	if err != nil {
		return out, pushedFault(err)
	}

	closeIt()
	for _, l := range request.Layers {
		if _, ok := w.Layer(l); !ok {
			return out, fault.New(fault.BadInput, "start", "layers: "+l, errors.New("no such layer")).
				WithHint("layers here: " + strings.Join(w.Names(), ", "))
		}
	}

	if out.Next == "" {
		if released.Workspace == run.Workspace.SHA256 && released.Tool == s.Tool && !request.Force && !request.Refresh {
			return end(out, "nothing changed since %s; %d layers are as released by %s",
				released.At.UTC().Format("2006-01-02 15:04 UTC"), len(released.Layers), released.Run), nil
		}

		out.Next = NextBuild
		out.Summary = trigger
	}

	return out, s.remember(ctx, run)
}

// remember stores the run's document. Intake may be tried again, so the same document again is no
// error.
func (s Intake) remember(ctx context.Context, run release.Run) error {
	old, tag, found, err := load[release.Run](ctx, s.Registers, release.RunName(run.Run))
	if err != nil {
		return err
	}

	if found && old.Ending != nil {
		return fault.New(fault.BadInput, "start", run.Run, errors.New("a run of that name is over")).
			WithHint("give the execution a name that was not used before")
	}

	_, err = store(ctx, s.Registers, release.RunName(run.Run), run, tag)
	return err
}

// readInput tells an upload's event from a request; exactly one of both is returned.
func readInput(raw json.RawMessage) (release.Request, *upload, error) {
	var event upload
	if json.Unmarshal(raw, &event) == nil && event.Source == "aws.s3" {
		if event.Detail.Object.Key == "" {
			return release.Request{}, nil, fault.New(fault.BadInput, "read", "event",
				errors.New("detail.object.key is missing")).
				WithHint("start an execution with {} instead")
		}

		return release.Request{}, &event, nil
	}

	var r release.Request
	hint := `give {} for all that is stale, or any of "layers": ["NAME"], "force": true, "refresh": true, "dryRun": true, "rollback": {"layer": "NAME", "to": 41}`
	if !bytes.HasPrefix(bytes.TrimSpace(raw), []byte("{")) {
		return r, nil, fault.New(fault.BadInput, "read", "input", errors.New("is not a JSON object")).WithHint(hint)
	}

	if err := release.Decode(raw, &r); err != nil {
		return r, nil, fault.New(fault.BadInput, "read", "input", err).WithHint(hint)
	}

	if r.Rollback != nil && (len(r.Layers) > 0 || r.Force || r.Refresh || r.DryRun) {
		return r, nil, fault.New(fault.BadInput, "read", "input", errors.New("rollback goes with nothing else")).
			WithHint(hint)
	}

	return r, nil, nil
}

// superseded names a later upload than the event's, which has an event of its own; "" when there is
// none. Otherwise it says how long to wait until uploads have settled. Events come late, twice and
// out of order; the listing does not.
func superseded(
	files []Source,
	name string,
	event upload,
	now time.Time,
	settle time.Duration,
) (later string, wait time.Duration) {
	mine := slices.IndexFunc(files, func(f Source) bool { return f.Name == name })
	if mine < 0 {
		return "", 0 // it is gone: nobody else may have an event for that
	}

	o := event.Detail.Object
	if o.VersionID != "" && files[mine].VersionID != "" && o.VersionID != files[mine].VersionID {
		return name, 0
	}

	newest := mine
	for i, f := range files {
		if c := f.Modified.Compare(files[newest].Modified); c > 0 || c == 0 && f.Name > files[newest].Name {
			newest = i
		}
	}

	if newest != mine {
		return files[newest].Name, 0
	}

	return "", max(0, files[mine].Modified.Add(settle).Sub(now))
}

// lease takes it. ok is false when out is the answer already.
func (s Intake) lease(ctx context.Context, in IntakeInput, out IntakeOutput) (_ IntakeOutput, ok bool, err error) {
	lease, tag, _, err := load[release.Lease](ctx, s.Registers, release.LeaseName)
	if err != nil {
		return out, false, err
	}

	now := s.Now()
	runs := false
	if lease.Run != "" && lease.Run != in.Run {
		if runs, err = s.Runs(ctx, lease.Execution); err != nil {
			return out, false, err
		}
	}

	unfinished := lease.Recovers
	switch lease.Decide(in.Run, now, runs) {
	case release.Wait:
		return wait(out, leaseWaitSeconds, "execution "+lease.Run+" works"), false, nil
	case release.TakeOver:
		unfinished = cmp.Or(unfinished, lease.Run)
	}

	if unfinished != "" {
		dead, _, found, err := load[release.Run](ctx, s.Registers, release.RunName(unfinished))
		if err != nil {
			return out, false, err
		}

		if !found || dead.Ending != nil {
			unfinished = ""
		}
	}

	mine := release.Lease{
		SchemaVersion: release.SchemaVersion,
		Run:           in.Run,
		Execution:     in.Execution,
		Until:         now.Add(release.LeaseFor),
		Recovers:      unfinished,
	}
	if _, err = store(ctx, s.Registers, release.LeaseName, mine, tag); fault.CodeOf(err) == fault.Changed {
		return wait(out, raceWaitSeconds, "another execution was first"), false, nil
	}

	if err == nil && unfinished != "" {
		out.Next = NextRecover
		out.Previous = unfinished
		out.Summary = "execution " + unfinished + " died in the middle"
		return out, false, nil
	}

	return out, err == nil, err
}

func wait(out IntakeOutput, seconds int, why string) IntakeOutput {
	out.Next = NextWait
	out.WaitSeconds = seconds
	out.Summary = why
	return out
}

func end(out IntakeOutput, format string, args ...any) IntakeOutput {
	out.Next = NextEnd
	out.Ending = &release.Ending{Outcome: release.Unchanged, Message: "Unchanged: " + fmt.Sprintf(format, args...)}
	out.Summary = out.Ending.Message
	return out
}

// snapshot packs the workspace as it is now into one zip, which everything in the run reads:
// uploads during the run belong to the next.
func (s Intake) snapshot(ctx context.Context, files []Source) (blob.Ref, error) {
	if len(files) == 0 {
		return blob.Ref{}, fault.New(fault.BadInput, "read", workspaceRoot+"/",
			errors.New("the bucket holds no workspace")).
			WithHint("run: layersmith push")
	}

	if len(files) > MaxWorkspaceFiles {
		return blob.Ref{}, fault.New(fault.BadInput, "read", workspaceRoot+"/",
			fmt.Errorf("%d files, at most %d", len(files), MaxWorkspaceFiles)).
			WithHint("keep only the workspace below " + workspaceRoot + "/")
	}

	var total int64
	entries := make([]ziptree.Entry, 0, len(files))
	for _, f := range files {
		if total += f.Size; total > MaxWorkspaceBytes {
			return blob.Ref{}, fault.New(fault.BadInput, "read", workspaceRoot+"/",
				fmt.Errorf("more than %d bytes", MaxWorkspaceBytes)).
				WithHint("keep only the workspace below " + workspaceRoot + "/")
		}

		if strings.HasSuffix(f.Name, "/") {
			continue // the console makes such objects for folders
		}

		b, err := s.Sources.Read(ctx, f, MaxWorkspaceFileBytes)
		if err != nil {
			return blob.Ref{}, err
		}

		entries = append(entries, ziptree.File(f.Name, b, false, workspaceRoot+"/"+f.Name))
	}

	t, err := ziptree.New(entries)
	if err != nil {
		return blob.Ref{}, fault.New(fault.BadInput, "read", workspaceRoot+"/", err).WithHint("rename the object")
	}

	return s.Blobs.Put(ctx, "workspaces/", ".zip",
		func(w io.Writer) error { _, err := ziptree.Write(ctx, w, t); return err })
}

// pushedFault turns what is wrong with a pushed workspace into one fault: the first finding with
// its hint, and how many more there are.
func pushedFault(err error) error {
	var findings workspace.Findings
	if errors.As(err, &findings) && len(findings) > 0 {
		f := findings[0]
		more := ""
		if n := len(findings) - 1; n > 0 {
			more = fmt.Sprintf(" (and %d more)", n)
		}

		return fault.New(fault.BadInput, "read", f.Where, errors.New(f.Message+more)).WithHint(f.Hint)
	}

	if errors.Is(err, fs.ErrNotExist) {
		return fault.New(fault.BadInput, "read", workspaceRoot, err).WithHint("run: layersmith push")
	}

	return err
}

// restoreOf says what going back would mean, or why it cannot be.
func restoreOf(r release.Released, want release.Restore) (string, error) {
	var said []string
	for _, l := range r.Layers {
		if l.Layer != want.Layer {
			continue
		}

		v, err := l.Back(want.To)
		if err != nil {
			return "", fault.New(fault.BadInput, "roll back", want.Layer, err).
				WithHint("choose one of: " + l.Versions())
		}

		said = append(said, fmt.Sprintf("%s %d -> %d", l.LayerName, l.Current.Version, v.Version))
	}

	if len(said) == 0 {
		var names []string
		for _, l := range r.Layers {
			names = append(names, l.Layer)
		}

		return "", fault.New(fault.BadInput, "roll back", want.Layer, errors.New("nothing of that name is released")).
			WithHint("released are: " + cmp.Or(strings.Join(names, ", "), "no layers yet"))
	}

	return strings.Join(said, ", "), nil
}
