// Package release holds the documents of a run, from a built artifact to the functions that use it,
// and the decisions about them: which run may take the lease, whether a change can be undone. Its
// functions work on values only.
//
// There are two kinds of document. Documents that never change (Built, PrunedLayer, Measured,
// Candidate, Verified) have content-addressed keys. A blob.Ref refers to them, and each names the
// document that it was made from. Documents that change (Run, Change, Lease, Released) have fixed
// names, and are written conditionally:
//
//	state/lease.json                   the run that works; one at a time
//	state/released.json                the promoted versions
//	runs/<run>/run.json                the request and the ending of a run
//	runs/<run>/built.json              the artifacts that CodeBuild made
//	runs/<run>/failure.json            the error, if CodeBuild failed
//	runs/<run>/candidates/<layer>.json a published version; written before and after publishing
//	runs/<run>/changes/<n>.json        a change of one consumer; written before and after the update
//	runs/<run>/report.json             the outcome of a run
package release

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"time"

	"github.com/layersmith/layersmith/internal/blob"
	"github.com/layersmith/layersmith/internal/digest"
	"github.com/layersmith/layersmith/internal/measure"
	"github.com/layersmith/layersmith/internal/pydist"
	"github.com/layersmith/layersmith/internal/report"
)

// SchemaVersion is raised when a program that knows the old version would misread a document of the
// new one.
const SchemaVersion = 1

// Names of documents that change.
const (
	LeaseName    = "state/lease.json"
	ReleasedName = "state/released.json"
)

// RunName, BuiltName, FailureName and ReportName are the names of the documents that a run has once.
func RunName(run string) string     { return "runs/" + run + "/run.json" }
func BuiltName(run string) string   { return "runs/" + run + "/built.json" }
func FailureName(run string) string { return "runs/" + run + "/failure.json" }
func ReportName(run string) string  { return "runs/" + run + "/report.json" }

// CandidatesPrefix and ChangesPrefix are the prefixes of a run's candidates and changes.
func CandidatesPrefix(run string) string { return "runs/" + run + "/candidates/" }
func ChangesPrefix(run string) string    { return "runs/" + run + "/changes/" }

// CandidateName is the name of the document of one layer, ChangeName that of one consumer.
func CandidateName(run, layerName string) string { return CandidatesPrefix(run) + layerName + ".json" }
func ChangeName(run string, n int) string        { return fmt.Sprintf("%s%03d.json", ChangesPrefix(run), n) }

// runID matches the names that this package allows of those that Step Functions allows for an
// execution (API: StartExecution). A run has the name of its execution.
var runID = regexp.MustCompile(`^[A-Za-z0-9._-]{1,80}$`)

// CheckRun checks the name of a run, which becomes part of keys.
func CheckRun(run string) error {
	if !runID.MatchString(run) || strings.Trim(run, ".") == "" {
		return fmt.Errorf("%q is not the name of a run: letters, digits, . - and _, at most 80", run)
	}

	return nil
}

// Outcome is how a run ended.
type Outcome string

// All outcomes.
const (
	Promoted    Outcome = "Released"    // the new versions are verified, and every consumer uses them
	Unchanged   Outcome = "Unchanged"   // there was nothing to do, or the run was a dry run
	RolledBack  Outcome = "RolledBack"  // consumers were changed, and are restored
	FailedClean Outcome = "FailedClean" // no consumer was changed, no resource is left
	FailedDirty Outcome = "FailedDirty" // the rollback failed: a person must finish it
)

// Ending is the outcome of a run, and one sentence that says what to do next.
type Ending struct {
	Outcome Outcome `json:"outcome"`
	Message string  `json:"message"`
}

// Request is the input of an execution. The zero Request releases all layers that are out of date.
type Request struct {
	Layers   []string `json:"layers,omitempty"`   // empty for all
	Force    bool     `json:"force,omitempty"`    // even if nothing changed
	Refresh  bool     `json:"refresh,omitempty"`  // lock the newest versions that the requirements allow
	DryRun   bool     `json:"dryRun,omitempty"`   // stop before publishing
	Rollback *Restore `json:"rollback,omitempty"` // go back to a released version, instead of building
	Trigger  string   `json:"trigger,omitempty"`  // for reports: "schedule", "operator", ...
}

// Restore requests an earlier version of a layer.
type Restore struct {
	Layer string `json:"layer"`
	To    int64  `json:"to,omitempty"` // version number; 0 for the one before the current
}

// Run is the request of an execution and its state: runs/<run>/run.json.
type Run struct {
	SchemaVersion int       `json:"schemaVersion"`
	Run           string    `json:"run"`       // the execution's name
	Execution     string    `json:"execution"` // its ARN
	StartedAt     time.Time `json:"startedAt"`
	Trigger       string    `json:"trigger"` // "upload of layers/x/requirements.txt", "schedule", "operator"
	Request       Request   `json:"request"`
	Workspace     blob.Ref  `json:"workspace,omitzero"` // a zip of layers/ at the start of the run
	Ending        *Ending   `json:"ending,omitempty"`   // set once nothing remains to be done or undone
}

// Built lists the artifacts of a run: runs/<run>/built.json.
type Built struct {
	SchemaVersion int           `json:"schemaVersion"`
	Run           string        `json:"run"`
	Tool          string        `json:"tool"`
	Workspace     digest.SHA256 `json:"workspaceSha256"` // of the zip of layers/
	Seconds       float64       `json:"seconds"`         // duration of the build
	Locks         []LockFile    `json:"locks"`
	Layers        []BuiltLayer  `json:"layers"`
}

// LockFile is the lock file of one target.
type LockFile struct {
	Target pydist.Target `json:"target"`
	File   blob.Ref      `json:"file"`
	// of the lock file in the workspace; once another one is pushed, it replaces this lock
	Pushed digest.SHA256 `json:"pushedSha256,omitzero"`
	Since  time.Time     `json:"since,omitzero"` // when it was first released
}

// BuiltLayer is one unpruned artifact.
type BuiltLayer struct {
	Layer     string          `json:"layer"`
	Target    pydist.Target   `json:"target"`
	LayerName string          `json:"layerName"`       // name in Lambda
	Key       digest.SHA256   `json:"key"`             // digest of all inputs: the same key gives the same bytes
	Below     []string        `json:"below,omitempty"` // the layers that it extends, lowest first
	Artifact  blob.Ref        `json:"artifact"`
	Before    measure.Size    `json:"before"`
	Wheels    []report.Wheel  `json:"wheels"`
	Bytecode  report.Bytecode `json:"bytecode"`
}

// PrunedLayer is a layer as it will be published, and the BuiltLayer that it was made from.
type PrunedLayer struct {
	SchemaVersion int          `json:"schemaVersion"`
	Built         BuiltLayer   `json:"built"` // the predecessor
	Zip           blob.Ref     `json:"zip"`
	Report        report.Layer `json:"report"` // without gate and verdict
	// modules that layer.yaml excludes: a job of the probe that needs one is skipped
	Chosen []string `json:"chosen,omitempty"`
}

// Measured is a PrunedLayer that passed the gate and fits the budgets.
type Measured struct {
	SchemaVersion int          `json:"schemaVersion"`
	Pruned        blob.Ref     `json:"pruned"` // the predecessor
	Built         BuiltLayer   `json:"built"`
	Zip           blob.Ref     `json:"zip"`
	Report        report.Layer `json:"report"` // with gate and verdict
}

// Candidate is a version that is published, or about to be, and not promoted.
type Candidate struct {
	SchemaVersion int           `json:"schemaVersion"`
	Run           string        `json:"run"`
	Layer         string        `json:"layer"`
	Target        pydist.Target `json:"target"`
	LayerName     string        `json:"layerName"`
	Key           digest.SHA256 `json:"key"`
	Measured      blob.Ref      `json:"measured"`
	ARN           string        `json:"arn,omitempty"` // of the version; "" until it is published
	Version       int64         `json:"version,omitempty"`
	// the version existed before the run: a rollback does not delete it
	Reused bool `json:"reused,omitempty"`
}

// Verified is a Candidate that passed the probe in Lambda.
type Verified struct {
	SchemaVersion int          `json:"schemaVersion"`
	Candidate     Candidate    `json:"candidate"`
	Probe         report.Probe `json:"probe"`
	// duration of the probe function's cold start, from Lambda's log; 0 if it is not logged
	InitSeconds  float64 `json:"initSeconds"`
	MaxMemoryMiB int64   `json:"maxMemoryMiB"`
}

// Released lists the promoted versions: state/released.json.
type Released struct {
	SchemaVersion int       `json:"schemaVersion"`
	Run           string    `json:"run"` // the run that promoted them
	At            time.Time `json:"at"`
	Tool          string    `json:"tool"`
	// zero after a restore or a partial release, so that the next run builds again
	Workspace digest.SHA256   `json:"workspaceSha256,omitzero"`
	Consumers digest.SHA256   `json:"consumersSha256,omitzero"` // of consumers.yaml
	Locks     []LockFile      `json:"locks"`
	Layers    []ReleasedLayer `json:"layers"`
}

// ReleasedLayer is the current version of a layer for a target, and the earlier ones, newest first.
type ReleasedLayer struct {
	Layer     string            `json:"layer"`
	Target    pydist.Target     `json:"target"`
	LayerName string            `json:"layerName"`
	Current   ReleasedVersion   `json:"current"`
	Earlier   []ReleasedVersion `json:"earlier,omitempty"`
}

// ReleasedVersion is a version that is or was promoted.
type ReleasedVersion struct {
	ARN           string         `json:"arn"`
	Version       int64          `json:"version"`
	Run           string         `json:"run"`
	At            time.Time      `json:"at"`
	Key           digest.SHA256  `json:"key"`
	Measured      blob.Ref       `json:"measured"`
	Zip           blob.Ref       `json:"zip"`
	UnzippedBytes measure.Bytes  `json:"unzippedBytes"`
	ZippedBytes   measure.Bytes  `json:"zippedBytes"`
	UnprunedBytes measure.Bytes  `json:"unprunedBytes"` // of the installed wheels, unzipped
	ImportSeconds float64        `json:"importSeconds,omitempty"`
	Wheels        []report.Wheel `json:"wheels"`
}

// RunReport is the outcome of a run in detail: runs/<run>/report.json.
type RunReport struct {
	SchemaVersion int             `json:"schemaVersion"`
	Run           Run             `json:"run"`
	EndedAt       time.Time       `json:"endedAt"`
	Ending        Ending          `json:"ending"`
	Failure       *Failure        `json:"failure,omitempty"`
	RollbackError *Failure        `json:"rollbackFailure,omitempty"`
	Layers        []ReportedLayer `json:"layers,omitempty"`
	Changes       []Change        `json:"changes,omitempty"`
	Notified      bool            `json:"notified"`
}

// Failure is the error that ended a run.
type Failure struct {
	Code    string `json:"code"` // a fault.Code, or an error name of Step Functions: States.Timeout
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"`
}

// ReportedLayer is what a run changed of a layer.
type ReportedLayer struct {
	Layer     string          `json:"layer"`
	LayerName string          `json:"layerName"`
	Target    pydist.Target   `json:"target"`
	ARN       string          `json:"arn,omitempty"`
	Versions  []string        `json:"versions,omitempty"` // changed distributions: "pandas 3.1.1 -> 3.1.2"
	Released  ReleasedVersion `json:"released,omitzero"`  // current version after the run
	Before    ReleasedVersion `json:"before,omitzero"`    // current version before the run
}

// Find returns the released layer of that name for the target.
func (r Released) Find(layer string, t pydist.Target) (ReleasedLayer, bool) {
	for _, l := range r.Layers {
		if l.Layer == layer && l.Target == t {
			return l, true
		}
	}

	return ReleasedLayer{}, false
}

// MaxDocumentBytes is the limit of every document. The largest, a report, has about 200 kB.
const MaxDocumentBytes = 16 << 20

// Decode reads a document strictly: one JSON object of at most MaxDocumentBytes without unknown keys.
// A schemaVersion must be SchemaVersion.
func Decode(b []byte, into any) error {
	if len(b) > MaxDocumentBytes {
		return fmt.Errorf("%d bytes, limit %d", len(b), MaxDocumentBytes)
	}

	if !bytes.HasPrefix(bytes.TrimLeft(b, " \t\r\n"), []byte("{")) {
		return errors.New("is not a JSON object")
	}

	var version struct {
		SchemaVersion *int `json:"schemaVersion"`
	}
	// An error is left to the strict decoder below.
	if json.Unmarshal(b, &version) == nil && version.SchemaVersion != nil && *version.SchemaVersion != SchemaVersion {
		return fmt.Errorf("schema version %d; known: %d", *version.SchemaVersion, SchemaVersion)
	}

	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return err
	}

	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("the JSON document is followed by something")
	}

	return nil
}

// Encode returns a document, indented by two spaces, with a newline at the end. Equal values give
// the same bytes.
func Encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil {
		return nil, err
	}

	return b.Bytes(), nil
}

// LayerName is the name of a layer in Lambda: prefix and name, with the target unless it is the
// workspace's first. Lambda allows no dots in it.
func LayerName(prefix, layer string, t, first pydist.Target) string {
	if t == first {
		return prefix + layer
	}

	return prefix + layer + "-" + strings.ReplaceAll(t.String(), ".", "_")
}
