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

// Intake reads the input of an execution and decides what the execution does: build, restore an
// earlier version, first undo a run that died, wait for a running one, or nothing.
type Intake struct {
	Ledger
	Sources Sources
	Runs    ExecutionRuns
	Tool    string        // name and version of this program
	Settle  time.Duration // time without uploads before an upload is handled: a push is many files
}

// IntakeInput is the input of an execution and what the state machine adds.
type IntakeInput struct {
	Run       string          `json:"run"`       // the execution's name
	Execution string          `json:"execution"` // its ARN
	StartedAt time.Time       `json:"startedAt"`
	Input     json.RawMessage `json:"input"`
}

// Next is what the execution does after Intake.
type Next string

// All values of Next.
const (
	NextBuild   Next = "Build"
	NextRestore Next = "Restore"
	NextRecover Next = "Recover" // undo a run that died, then ask Intake again
	NextWait    Next = "Wait"
	NextEnd     Next = "End"
)

// IntakeOutput is the first state of the execution. It contains null fields because a JSONPath of
// the state machine fails on a missing field.
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

func (out IntakeOutput) wait(seconds int, why string) IntakeOutput {
	out.Next = NextWait
	out.WaitSeconds = seconds
	out.Summary = why
	return out
}

func (out IntakeOutput) recover(run string) IntakeOutput {
	out.Next = NextRecover
	out.Previous = run
	out.Summary = "execution " + run + " ended without cleaning up"
	return out
}

// end ends the execution as unchanged, for a reason.
func (out IntakeOutput) end(format string, args ...any) IntakeOutput {
	out.Next = NextEnd
	out.Ending = &release.Ending{Outcome: release.Unchanged, Message: "Unchanged: " + fmt.Sprintf(format, args...)}
	out.Summary = out.Ending.Message
	return out
}

// Limits of a pushed workspace.
const (
	MaxWorkspaceFiles     = 4096
	MaxWorkspaceFileBytes = 8 << 20 // a lock of a thousand distributions is 2 MB
	MaxWorkspaceBytes     = 64 << 20
)

// Waiting times.
const (
	leaseWaitSeconds = 30 // polling interval while another run holds the lease
	raceWaitSeconds  = 2  // after another run took the lease first
)

// upload is the part of an EventBridge event "Object Created" that Intake reads (S3 user guide,
// "EventBridge event message structure"). Other fields are ignored, since AWS adds fields.
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

// Run decides. It takes the lease, stores the request, and stores the workspace as it is now.
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

	if event != nil {
		if waiting, ok := s.handleUpload(out, files, *event); !ok {
			return waiting, nil
		}
	}

	if waiting, ok, err := s.takeLease(ctx, in, out); err != nil || !ok {
		return waiting, err
	}

	return s.start(ctx, release.Run{
		SchemaVersion: release.SchemaVersion,
		Run:           in.Run,
		Execution:     in.Execution,
		StartedAt:     in.StartedAt,
		Trigger:       triggerOf(request, event),
		Request:       request,
	}, files, out)
}

// triggerOf is the reason for the execution, as reports show it.
func triggerOf(request release.Request, event *upload) string {
	if event != nil {
		return "upload of " + event.Detail.Object.Key
	}

	return cmp.Or(request.Trigger, "operator")
}

// handleUpload reports whether the execution of an upload goes on. Otherwise out is its answer.
func (s Intake) handleUpload(out IntakeOutput, files []Source, event upload) (_ IntakeOutput, ok bool) {
	name := strings.TrimPrefix(event.Detail.Object.Key, workspaceRoot+"/")
	later, settle := superseded(files, name, event, s.Now(), s.Settle)
	switch {
	case later != "":
		return out.end("the later upload of %s/%s has its own execution", workspaceRoot, later), false
	case settle > 0:
		return out.wait(int(settle/time.Second)+1, "files are still being uploaded"), false
	}

	return out, true
}

// start decides between build, restore and nothing, and stores the run unless there is nothing to
// do. The run must hold the lease.
func (s Intake) start(ctx context.Context, run release.Run, files []Source, out IntakeOutput) (IntakeOutput, error) {
	released, _, err := s.readReleased(ctx)
	if err != nil {
		return out, err
	}

	request := run.Request
	if request.Rollback != nil {
		out.Next = NextRestore
		if out.Summary, err = describeRestore(released, *request.Rollback); err != nil {
			return out, err
		}
	}

	if run.Workspace, err = s.snapshot(ctx, files); err != nil {
		return out, err
	}

	if err := s.checkWorkspace(ctx, run); err != nil {
		return out, err
	}

	if out.Next == "" {
		if s.unchanged(run, released) {
			return out.end("nothing changed since %s; %d layers are as released by %s",
				released.At.UTC().Format("2006-01-02 15:04 UTC"), len(released.Layers), released.Run), nil
		}

		out.Next = NextBuild
		out.Summary = run.Trigger
	}

	return out, s.storeRun(ctx, run)
}

// unchanged reports whether a build would give the released layers.
func (s Intake) unchanged(run release.Run, released release.Released) bool {
	return released.Workspace == run.Workspace.SHA256 && released.Tool == s.Tool &&
		!run.Request.Force && !run.Request.Refresh
}

// checkWorkspace checks the workspace of the run, and that it has the requested layers.
func (s Intake) checkWorkspace(ctx context.Context, run release.Run) error {
	w, err := readWorkspace(ctx, s.Blobs, run.Workspace)
	if err != nil {
		return workspaceFault(err)
	}

	for _, l := range run.Request.Layers {
		if _, ok := w.Layer(l); !ok {
			return fault.New(fault.BadInput, "start", "layers: "+l, errors.New("no such layer")).
				WithHint("layers here: " + strings.Join(w.Names(), ", "))
		}
	}

	return nil
}

// storeRun stores the document of a run. It may exist already: Step Functions retries Intake.
func (s Intake) storeRun(ctx context.Context, run release.Run) error {
	old, tag, found, err := load[release.Run](ctx, s.Registers, release.RunName(run.Run))
	if err != nil {
		return err
	}

	if found && old.Ending != nil {
		return fault.New(fault.BadInput, "start", run.Run, errors.New("a run of this name has ended already")).
			WithHint("give the execution a name that was not used before")
	}

	_, err = store(ctx, s.Registers, release.RunName(run.Run), run, tag)
	return err
}

// inputHint shows all keys of a request.
const inputHint = `give {} for all that is stale, or any of "layers": ["NAME"], "force": true, "refresh": true, ` +
	`"dryRun": true, "rollback": {"layer": "NAME", "to": 41}`

// readInput reads an input, which is an upload event or a request. It returns one of the two.
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

	r, err := readRequest(raw)
	if err != nil {
		return r, nil, fault.New(fault.BadInput, "read", "input", err).WithHint(inputHint)
	}

	return r, nil, nil
}

func readRequest(raw json.RawMessage) (r release.Request, err error) {
	if !bytes.HasPrefix(bytes.TrimSpace(raw), []byte("{")) {
		return r, errors.New("is not a JSON object")
	}

	if err := release.Decode(raw, &r); err != nil {
		return r, err
	}

	if r.Rollback != nil && (len(r.Layers) > 0 || r.Force || r.Refresh || r.DryRun) {
		return r, errors.New("rollback cannot be combined with layers, force, refresh or dryRun")
	}

	return r, nil
}

// superseded returns the name of a later upload than the event's, "" if there is none: the later
// one has its own event. Otherwise it returns how long to wait until no upload was made for the
// duration settle. It uses the listing, because events may arrive late, twice or out of order.
func superseded(
	files []Source, name string, event upload, now time.Time, settle time.Duration,
) (later string, wait time.Duration) {
	mine := slices.IndexFunc(files, func(f Source) bool { return f.Name == name })
	if mine < 0 {
		return "", 0 // deleted since, and deletions have no event
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

// takeLease takes the lease. ok is false if the run must not start now; out is its answer then.
func (s Intake) takeLease(ctx context.Context, in IntakeInput, out IntakeOutput) (_ IntakeOutput, ok bool, err error) {
	lease, tag, _, err := load[release.Lease](ctx, s.Registers, release.LeaseName)
	if err != nil {
		return out, false, err
	}

	claim, err := s.claim(ctx, lease, in.Run)
	if err != nil {
		return out, false, err
	}

	dead := lease.Recovers
	switch claim {
	case release.Wait:
		return out.wait(leaseWaitSeconds, "execution "+lease.Run+" is running"), false, nil
	case release.TakeOver:
		dead = cmp.Or(dead, lease.Run)
	}

	if dead, err = s.unfinished(ctx, dead); err != nil {
		return out, false, err
	}

	_, err = store(ctx, s.Registers, release.LeaseName, release.Lease{
		SchemaVersion: release.SchemaVersion,
		Run:           in.Run,
		Execution:     in.Execution,
		Until:         s.Now().Add(release.LeaseFor),
		Recovers:      dead,
	}, tag)
	switch {
	case fault.CodeOf(err) == fault.Changed:
		return out.wait(raceWaitSeconds, "another execution took the lease first"), false, nil
	case err != nil:
		return out, false, err
	case dead != "":
		return out.recover(dead), false, nil
	}

	return out, true, nil
}

// claim returns what a run may do with the lease.
func (s Intake) claim(ctx context.Context, lease release.Lease, run string) (release.Claim, error) {
	holderRuns := false
	if lease.Run != "" && lease.Run != run {
		var err error
		if holderRuns, err = s.Runs(ctx, lease.Execution); err != nil {
			return "", err
		}
	}

	return lease.Decide(run, s.Now(), holderRuns), nil
}

// unfinished returns the run if there is something of it to undo: it was started and has no ending.
// Otherwise it returns "".
func (s Intake) unfinished(ctx context.Context, run string) (string, error) {
	if run == "" {
		return "", nil
	}

	dead, _, found, err := load[release.Run](ctx, s.Registers, release.RunName(run))
	if err != nil || !found || dead.Ending != nil {
		return "", err
	}

	return run, nil
}

// snapshot stores the current files of the workspace as one zip, which all stages of the run read.
// Files that are uploaded during the run belong to the next run.
func (s Intake) snapshot(ctx context.Context, files []Source) (blob.Ref, error) {
	if err := checkSources(files); err != nil {
		return blob.Ref{}, err
	}

	entries := make([]ziptree.Entry, 0, len(files))
	for _, f := range files {
		if strings.HasSuffix(f.Name, "/") {
			continue // the S3 console creates such objects for folders
		}

		b, err := s.Sources.Read(ctx, f, MaxWorkspaceFileBytes)
		if err != nil {
			return blob.Ref{}, err
		}

		entries = append(entries, ziptree.File(f.Name, b, workspaceRoot+"/"+f.Name))
	}

	t, err := ziptree.New(entries)
	if err != nil {
		return blob.Ref{}, fault.New(fault.BadInput, "read", workspaceRoot+"/", err).WithHint("rename the object")
	}

	return s.Blobs.Put(ctx, "workspaces/", ".zip", func(w io.Writer) error {
		_, err := ziptree.Write(ctx, w, t)
		return err
	})
}

// checkSources checks the number of files and their total size.
func checkSources(files []Source) error {
	refuse := func(why, hint string) error {
		return fault.New(fault.BadInput, "read", workspaceRoot+"/", errors.New(why)).WithHint(hint)
	}
	const hint = "keep only the workspace below " + workspaceRoot + "/"
	switch {
	case len(files) == 0:
		return refuse("the bucket holds no workspace", "run: layersmith push")
	case len(files) > MaxWorkspaceFiles:
		return refuse(fmt.Sprintf("%d files, at most %d", len(files), MaxWorkspaceFiles), hint)
	}

	var total int64
	for _, f := range files {
		if total += f.Size; total > MaxWorkspaceBytes {
			return refuse(fmt.Sprintf("more than %d bytes", MaxWorkspaceBytes), hint)
		}
	}

	return nil
}

// workspaceFault makes one fault of the findings in a pushed workspace: the first with its hint,
// and the number of the others.
func workspaceFault(err error) error {
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

// describeRestore describes the versions before and after a restore. Fault BadInput if it is not
// possible.
func describeRestore(r release.Released, want release.Restore) (string, error) {
	var moves []string
	for _, l := range r.Layers {
		if l.Layer != want.Layer {
			continue
		}

		v, err := restored(l, want)
		if err != nil {
			return "", err
		}

		moves = append(moves, fmt.Sprintf("%s %d -> %d", l.LayerName, l.Current.Version, v.Version))
	}

	if len(moves) > 0 {
		return strings.Join(moves, ", "), nil
	}

	var names []string
	for _, l := range r.Layers {
		names = append(names, l.Layer)
	}

	return "", fault.New(fault.BadInput, "roll back", want.Layer, errors.New("no layer of that name is released")).
		WithHint("released layers: " + cmp.Or(strings.Join(names, ", "), "none yet"))
}

// restored is the earlier version of a layer that a restore requests. Fault BadInput if there is
// none.
func restored(l release.ReleasedLayer, want release.Restore) (release.ReleasedVersion, error) {
	v, err := l.Back(want.To)
	if err != nil {
		return v, fault.New(fault.BadInput, "roll back", l.Layer, err).WithHint("choose one of: " + l.Versions())
	}

	return v, nil
}
