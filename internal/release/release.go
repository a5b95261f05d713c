// Package release holds the values of the way from a built artifact to functions that use it, and
// the decisions on that way. All of it is arithmetic over values: who may hold the lease, whether a
// change can be undone, what an execution amounts to.
//
// There are two kinds of document. Those that are made once (Built, Pruned, Measured, Candidate,
// Verified) lie below content-addressed keys, are referred to by blob.Ref, and name the one that
// they were made from. Those that change (Run, Change, Lease, Released) lie below fixed names and
// are written conditionally:
//
//	state/lease.json                   who works: one execution at a time
//	state/released.json                what is promoted
//	runs/<run>/run.json                what an execution was asked for
//	runs/<run>/built.json              what CodeBuild made for it; runs/<run>/failure.json why it made nothing
//	runs/<run>/candidates/<n>.json     what it published, written before and after
//	runs/<run>/changes/<n>.json        what it changed of one consumer, written before and after
//	runs/<run>/report.json             what it amounted to
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

// SchemaVersion is raised when a reader of the old form of any document here would misunderstand
// the new one.
const SchemaVersion = 1

// Names of documents that change.
const (
	LeaseName    = "state/lease.json"
	ReleasedName = "state/released.json"
)

// RunName, BuiltName, FailureName and ReportName are the names of a run's own documents;
// CandidateName and ChangeName number those of which there are many.
func RunName(run string) string     { return "runs/" + run + "/run.json" }
func BuiltName(run string) string   { return "runs/" + run + "/built.json" }
func FailureName(run string) string { return "runs/" + run + "/failure.json" }
func ReportName(run string) string  { return "runs/" + run + "/report.json" }

// CandidatesPrefix and ChangesPrefix are where they lie.
func CandidatesPrefix(run string) string { return "runs/" + run + "/candidates/" }
func ChangesPrefix(run string) string    { return "runs/" + run + "/changes/" }

// CandidateName names the record of one layer of a run, ChangeName that of one consumer.
func CandidateName(run, layerName string) string { return CandidatesPrefix(run) + layerName + ".json" }
func ChangeName(run string, n int) string        { return fmt.Sprintf("%s%03d.json", ChangesPrefix(run), n) }

// runID is what Step Functions allows in the name of an execution (API: StartExecution), which is
// where a run gets its name.
var runID = regexp.MustCompile(`^[A-Za-z0-9._-]{1,80}$`)

// CheckRun says what is wrong with a run's name; nil when nothing is. It becomes part of keys.
func CheckRun(run string) error {
	if !runID.MatchString(run) || strings.Trim(run, ".") == "" {
		return fmt.Errorf("%q is not the name of a run: letters, digits, . - and _, at most 80", run)
	}

	return nil
}

// Outcome is how a run ended.
type Outcome string

// The outcomes; there are no others.
const (
	Promoted    Outcome = "Released"    // versions are published and verified, every consumer uses them
	Unchanged   Outcome = "Unchanged"   // there was nothing to do, or only a plan was asked for
	RolledBack  Outcome = "RolledBack"  // consumers were touched, and are as before
	FailedClean Outcome = "FailedClean" // no consumer was touched, nothing is left behind
	FailedDirty Outcome = "FailedDirty" // a person is needed
)

// Ending is how a run ends: an outcome and one sentence that says what to do next.
type Ending struct {
	Outcome Outcome `json:"outcome"`
	Message string  `json:"message"`
}

// Request is what an operator or the schedule asks for: the execution's input. The zero Request is
// everything that is stale.
type Request struct {
	Layers   []string `json:"layers,omitempty"`   // empty for all
	Force    bool     `json:"force,omitempty"`    // even if nothing changed
	Refresh  bool     `json:"refresh,omitempty"`  // take newer versions within the constraints
	DryRun   bool     `json:"dryRun,omitempty"`   // everything up to publishing
	Rollback *Restore `json:"rollback,omitempty"` // instead of building: consumers go back to a released version
	Trigger  string   `json:"trigger,omitempty"`  // who asks, for reports; the schedule says "schedule"
}

// Restore asks for an earlier version of a layer.
type Restore struct {
	Layer string `json:"layer"`
	To    int64  `json:"to,omitempty"` // version number; 0 for the one before the current
}

// Run is what an execution was asked for and works on: runs/<run>/run.json.
type Run struct {
	SchemaVersion int       `json:"schemaVersion"`
	Run           string    `json:"run"`       // the execution's name
	Execution     string    `json:"execution"` // its ARN
	StartedAt     time.Time `json:"startedAt"`
	Trigger       string    `json:"trigger"` // "upload of layers/x/requirements.txt", "schedule", "operator"
	Request       Request   `json:"request"`
	Workspace     blob.Ref  `json:"workspace,omitzero"` // a zip of layers/ as it was when the run began
	Ending        *Ending   `json:"ending,omitempty"`   // set when it is over: nothing remains to be done or undone
}

// Built is what CodeBuild made: runs/<run>/built.json.
type Built struct {
	SchemaVersion int           `json:"schemaVersion"`
	Run           string        `json:"run"`
	Tool          string        `json:"tool"`
	Workspace     digest.SHA256 `json:"workspaceSha256"` // of the zip that it was made from
	Seconds       float64       `json:"seconds"`         // that the build took
	Locks         []Lock        `json:"locks"`
	Layers        []BuiltLayer  `json:"layers"`
}

// Lock is the lock of one target.
type Lock struct {
	Target pydist.Target `json:"target"`
	File   blob.Ref      `json:"file"`
	// of the lock that lay in the workspace; a later push of another one wins over this
	Pushed digest.SHA256 `json:"pushedSha256,omitzero"`
	Since  time.Time     `json:"since,omitzero"` // when it was first released
}

// BuiltLayer is one unpruned artifact.
type BuiltLayer struct {
	Layer     string          `json:"layer"`
	Target    pydist.Target   `json:"target"`
	LayerName string          `json:"layerName"`       // what it is called in Lambda
	Key       digest.SHA256   `json:"key"`             // of everything that decides the published bytes
	Below     []string        `json:"below,omitempty"` // layers that it lies on, lowest first
	Artifact  blob.Ref        `json:"artifact"`
	Before    measure.Size    `json:"before"`
	Wheels    []report.Wheel  `json:"wheels"`
	Bytecode  report.Bytecode `json:"bytecode"`
}

// Pruned is a layer as it will be published, made from a BuiltLayer.
type Pruned struct {
	SchemaVersion int          `json:"schemaVersion"`
	Built         BuiltLayer   `json:"built"` // the predecessor, whole: it is small
	Zip           blob.Ref     `json:"zip"`
	Report        report.Layer `json:"report"` // without gate and verdict
	// modules that layer.yaml left out: a probe that needs one of them is skipped
	Chosen []string `json:"chosen,omitempty"`
}

// Measured is a Pruned that the gate let through and that fits.
type Measured struct {
	SchemaVersion int          `json:"schemaVersion"`
	Pruned        blob.Ref     `json:"pruned"` // the predecessor
	Built         BuiltLayer   `json:"built"`
	Zip           blob.Ref     `json:"zip"`
	Report        report.Layer `json:"report"` // with gate and verdict
}

// Candidate is a published version that is not promoted.
type Candidate struct {
	SchemaVersion int           `json:"schemaVersion"`
	Run           string        `json:"run"`
	Layer         string        `json:"layer"`
	Target        pydist.Target `json:"target"`
	LayerName     string        `json:"layerName"`
	Key           digest.SHA256 `json:"key"`
	Measured      blob.Ref      `json:"measured"`
	ARN           string        `json:"arn,omitempty"` // of the version; "" while it is only intended
	Version       int64         `json:"version,omitempty"`
	// the version was there before the run: never deleted by a rollback
	Reused bool `json:"reused,omitempty"`
}

// Verified is a Candidate that the real runtime has answered for.
type Verified struct {
	SchemaVersion int          `json:"schemaVersion"`
	Candidate     Candidate    `json:"candidate"`
	Probe         report.Probe `json:"probe"`
	// of the throw-away function's cold start, as Lambda billed it; 0 where it is not told
	InitSeconds  float64 `json:"initSeconds"`
	MaxMemoryMiB int64   `json:"maxMemoryMiB"`
}

// Released is what is promoted: state/released.json.
type Released struct {
	SchemaVersion int       `json:"schemaVersion"`
	Run           string    `json:"run"` // that promoted it
	At            time.Time `json:"at"`
	Tool          string    `json:"tool"`
	// zero after a restore or a partial release: the next run looks again
	Workspace digest.SHA256   `json:"workspaceSha256,omitzero"`
	Consumers digest.SHA256   `json:"consumersSha256,omitzero"` // of consumers.yaml
	Locks     []Lock          `json:"locks"`
	Layers    []ReleasedLayer `json:"layers"`
}

// ReleasedLayer is one promoted version, and those before it, newest first.
type ReleasedLayer struct {
	Layer     string            `json:"layer"`
	Target    pydist.Target     `json:"target"`
	LayerName string            `json:"layerName"`
	Current   ReleasedVersion   `json:"current"`
	Earlier   []ReleasedVersion `json:"earlier,omitempty"`
}

// ReleasedVersion is a version that was promoted once.
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
	UnprunedBytes measure.Bytes  `json:"unprunedBytes"` // what the layer would weigh as an installer leaves it
	ImportSeconds float64        `json:"importSeconds,omitempty"`
	Wheels        []report.Wheel `json:"wheels"`
}

// Report is what a run amounts to, for people and for the next tool: runs/<run>/report.json.
type Report struct {
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

// Failure is why a run did not end well.
type Failure struct {
	Code    string `json:"code"` // a fault's, or Step Functions' own: States.Timeout
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"`
}

// ReportedLayer is what a run did about a layer.
type ReportedLayer struct {
	Layer     string          `json:"layer"`
	LayerName string          `json:"layerName"`
	Target    pydist.Target   `json:"target"`
	ARN       string          `json:"arn,omitempty"`
	Versions  []string        `json:"versions,omitempty"` // "pandas 3.1.1 -> 3.1.2", against what was released before
	Released  ReleasedVersion `json:"released,omitzero"`  // what it stands at now
	Before    ReleasedVersion `json:"before,omitzero"`    // what it stood at before
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

// MaxDocumentBytes bounds every document here: the largest, a report, is some 200 kB.
const MaxDocumentBytes = 16 << 20

// Decode reads a document strictly: one JSON object, no unknown key, of this schema version if it
// says one, at most MaxDocumentBytes.
func Decode(b []byte, into any) error {
	if len(b) > MaxDocumentBytes {
		return fmt.Errorf("%d bytes, at most %d are read", len(b), MaxDocumentBytes)
	}

	if !bytes.HasPrefix(bytes.TrimLeft(b, " \t\r\n"), []byte("{")) {
		return errors.New("is not a JSON object")
	}

	var version struct {
		SchemaVersion *int `json:"schemaVersion"`
	}
	// What is wrong otherwise, the strict reading below says better.
	if json.Unmarshal(b, &version) == nil && version.SchemaVersion != nil && *version.SchemaVersion != SchemaVersion {
		return fmt.Errorf("schema version %d; known: %d", *version.SchemaVersion, SchemaVersion)
	}

	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return err
	}

	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something follows the document")
	}

	return nil
}

// Encode writes a document: two spaces of indent, a newline at the end, the same bytes for the same
// value.
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

// LayerName is what a layer is called in Lambda: prefix and name, and the target too unless it is
// the workspace's first. Dots are not allowed there.
func LayerName(prefix, layer string, t, first pydist.Target) string {
	if t == first {
		return prefix + layer
	}

	return prefix + layer + "-" + strings.ReplaceAll(t.String(), ".", "_")
}
