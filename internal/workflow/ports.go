// Package workflow releases layers in an account: one use case for each function of the state machine,
// in a file of the same name. What must outlive a function is in the ledger: registers, which change,
// and documents, which do not. It knows the engine; the engine does not know it.
package workflow

import (
	"context"
	"io"
	"time"

	"github.com/layersmith/layersmith/internal/blob"
	"github.com/layersmith/layersmith/internal/engine"
	"github.com/layersmith/layersmith/internal/measure"
	"github.com/layersmith/layersmith/internal/pydist"
)

// The ports of the workflow: what it needs of an account. All of them return faults: Unreachable
// and Throttled are worth another try, NotAllowed is a missing grant, TimedOut a deadline.

// Blobs keeps immutable objects.
type Blobs interface {
	// Put stores what write gives as prefix + its SHA-256 + suffix, and returns the reference. The
	// same bytes again are the same reference. Nothing readable is left when write fails.
	Put(ctx context.Context, prefix, suffix string, write func(io.Writer) error) (blob.Ref, error)
	// Open returns the bytes, checked against the reference. Faults: NotFound, HashMismatch.
	Open(ctx context.Context, ref blob.Ref) (engine.Blob, error)
}

// Registers keeps small documents that change, and writes them conditionally.
type Registers interface {
	// Load returns a document and a tag of its state. Fault NotFound when there is none.
	Load(ctx context.Context, name string) (doc []byte, tag string, err error)
	// Store writes a document if it still has the tag, "" meaning that there is none, and returns
	// the new tag. Fault Changed when it does not.
	Store(ctx context.Context, name string, doc []byte, tag string) (string, error)
	// List returns the names below a prefix, sorted.
	List(ctx context.Context, prefix string) ([]string, error)
}

// Source is one file of the pushed workspace.
type Source struct {
	Name      string // relative to layers/
	VersionID string
	ETag      string // MD5 for what push writes; only compared
	Size      int64  // bytes
	Modified  time.Time
}

// Sources is the pushed workspace, as it is now.
type Sources interface {
	// List returns all files, sorted by name.
	List(ctx context.Context) ([]Source, error)
	// Read returns the version that was listed. Fault Changed when it is gone, BadInput when it is
	// larger than limit.
	Read(ctx context.Context, s Source, limit int64) ([]byte, error)
}

// LayerVersion is a published layer version.
type LayerVersion struct {
	ARN         string
	LayerName   string
	Version     int64
	Description string
	CodeSHA256  string // base64, as Lambda gives it; "" in lists, which do not tell
	Created     time.Time
}

// NewLayerVersion is what to publish.
type NewLayerVersion struct {
	LayerName   string
	Description string // at most 256 characters
	Target      pydist.Target
	License     string
	Zip         blob.Ref
}

// LayerVersions publishes layers.
type LayerVersions interface {
	// List returns the versions of a layer, newest first; none when there is no such layer.
	List(ctx context.Context, layerName string) ([]LayerVersion, error)
	// Get fills in what List leaves out. Fault NotFound.
	Get(ctx context.Context, arn string) (LayerVersion, error)
	Publish(ctx context.Context, v NewLayerVersion) (LayerVersion, error)
	// Share lets an organization ("o-...") or an account (12 digits) use the version. Sharing again
	// is no error.
	Share(ctx context.Context, v LayerVersion, with string) error
	// Unzipped returns what a version weighs unzipped, also one of another account that may be
	// read. Fault NotFound.
	Unzipped(ctx context.Context, arn string) (measure.Bytes, error)
	// Delete removes a version for good; one that is gone is no error.
	Delete(ctx context.Context, arn string) error
}

// Function is a Lambda function as a change sees it.
type Function struct {
	ARN        string // without a version
	Name       string
	Version    string // "$LATEST", or a number
	Runtime    string // "python3.13"; "" for an image
	Arch       string // "x86_64", "arm64"
	Layers     []Layered
	CodeBytes  measure.Bytes // of the function's own zip, as Lambda gives it: compressed
	CodeSHA256 string        // base64
	// of everything that a version freezes but layers and description: equal when two versions are
	// configured alike
	ConfigHash  string
	Description string // a version's own, as given to PublishVersion
	RevisionID  string
}

// Layered is a layer version that a function has.
type Layered struct {
	ARN   string
	Bytes measure.Bytes // of its zip
}

// Alias points to a version.
type Alias struct {
	Name       string
	Version    string
	Weights    map[string]float64 // of further versions; nil for none
	RevisionID string
}

// Functions changes consumers. Whatever takes a revision fails with Changed when the function or
// alias has another one by now.
type Functions interface {
	// Get returns a function's version; qualifier "" is $LATEST. Fault NotFound.
	Get(ctx context.Context, function, qualifier string) (Function, error)
	// Alias returns an alias. Fault NotFound.
	Alias(ctx context.Context, function, alias string) (Alias, error)
	// Tagged returns the ARNs of the functions that have all the tags, sorted.
	Tagged(ctx context.Context, tags map[string]string) ([]string, error)
	// CodeUnzipped returns what a function's own package weighs unzipped.
	CodeUnzipped(ctx context.Context, function, qualifier string) (measure.Bytes, error)
	// SetLayers replaces the layers of $LATEST and returns when the update is done.
	SetLayers(ctx context.Context, function string, layers []string, revision string) (Function, error)
	// PublishVersion publishes $LATEST and returns when the version can be invoked. $LATEST that
	// did not change since the last version gives that one.
	PublishVersion(ctx context.Context, function, description, revision string) (version string, err error)
	// MoveAlias points an alias to one version, all of its weight.
	MoveAlias(ctx context.Context, function, alias, version, revision string) (Alias, error)
	// DeleteVersion removes one published version, never the function; one that is gone is no
	// error. Fault Changed when an alias points to it.
	DeleteVersion(ctx context.Context, function, version string) error
	// LayersInUse returns the ARNs of all layer versions that any function or published version of
	// the account has.
	LayersInUse(ctx context.Context) (map[string]bool, error)
}

// Sandbox is a throw-away function: made for one probe of one candidate, deleted after it.
type Sandbox struct {
	Name    string
	Target  pydist.Target
	Zip     []byte // the function's own code
	Handler string
	Layers  []string // ARNs of versions, lowest first
	Memory  int      // MiB
	Timeout time.Duration
}

// Invocation is what a sandbox answered.
type Invocation struct {
	Payload      []byte
	Error        string  // errorType of a function error; "" when it answered
	InitSeconds  float64 // of the REPORT line; 0 when there was no cold start or it does not tell
	MaxMemoryMiB int64
	LogTail      string // the last 4 KB
}

// Sandboxes runs them.
type Sandboxes interface {
	// Create makes the function and returns when it can be invoked; one of that name that is left
	// over is replaced.
	Create(ctx context.Context, s Sandbox) error
	Invoke(ctx context.Context, name string, payload []byte) (Invocation, error)
	// Delete removes it; one that is gone is no error.
	Delete(ctx context.Context, name string) error
}

// AlarmState is a CloudWatch alarm's: OK, ALARM or INSUFFICIENT_DATA.
type AlarmState string

// The states.
const (
	AlarmOK     AlarmState = "OK"
	AlarmRaised AlarmState = "ALARM"
	AlarmNoData AlarmState = "INSUFFICIENT_DATA"
)

// Alarm is a state and its reason.
type Alarm struct {
	State  AlarmState
	Reason string
	Since  time.Time
}

// Alarms returns a metric or composite alarm by name. Fault NotFound.
type Alarms func(ctx context.Context, name string) (Alarm, error)

// Metric is one value of the namespace Lambda/Optimization.
type Metric struct {
	Name       string
	Unit       string // CloudWatch's word: Megabytes, Seconds, Count, None
	Value      float64
	Dimensions []Dimension // in order
}

// Dimension is a name and a value.
type Dimension struct{ Name, Value string }

// Metrics stores values, all with the same time.
type Metrics func(ctx context.Context, at time.Time, values []Metric) error

// Notify sends a message to people. subject is at most 100 ASCII characters, text at most 256 KiB.
type Notify func(ctx context.Context, subject, text string) error

// ExecutionRuns reports whether an execution is still going on; one that is not known is not.
type ExecutionRuns func(ctx context.Context, arn string) (bool, error)

// Account is which release the workflow works for: what its functions are told of the stack.
type Account struct {
	Prefix  string   // of layers' names in Lambda
	Share   []string // organizations and accounts that may use what is published
	Keep    int      // how many versions of a layer stay when newer ones are promoted
	Console string   // address of an execution in the console, its ARN is appended; "" for none
	Stack   string   // name of the deployed stack: a dimension of metrics
}
