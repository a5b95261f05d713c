// Package workflow releases layers in an AWS account. Each function of the state machine is a type
// with a method Run, in a file of the same name. What must outlive a function is in the Ledger. The
// package uses the engine; the engine does not import it.
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

// This file contains the ports: what the workflow needs of an account. All methods return faults:
// Unreachable and Throttled are retryable, NotAllowed is a missing permission, TimedOut a deadline.

// Blobs stores immutable objects.
type Blobs interface {
	// Put stores the bytes that write writes as prefix + SHA-256 + suffix, and returns the
	// reference. The same bytes give the same reference. If write fails, nothing is stored.
	Put(ctx context.Context, prefix, suffix string, write func(io.Writer) error) (blob.Ref, error)
	// Open returns the bytes, after checking size and digest. Faults: NotFound, HashMismatch.
	Open(ctx context.Context, ref blob.Ref) (engine.Blob, error)
}

// Registers stores small documents that change, and writes them conditionally.
type Registers interface {
	// Load returns a document and a tag of its content. Fault NotFound.
	Load(ctx context.Context, name string) (doc []byte, tag string, err error)
	// Store writes a document if it still has the tag, and returns the new tag. The tag "" means
	// that the document must not exist. Fault Changed otherwise.
	Store(ctx context.Context, name string, doc []byte, tag string) (string, error)
	// List returns the names with a prefix, sorted.
	List(ctx context.Context, prefix string) ([]string, error)
}

// Source is one file of the pushed workspace.
type Source struct {
	Name      string // relative to layers/
	VersionID string
	ETag      string // MD5 of files that push wrote; only compared
	Size      int64  // bytes
	Modified  time.Time
}

// Sources is the current state of the pushed workspace.
type Sources interface {
	// List returns all files, sorted by name.
	List(ctx context.Context) ([]Source, error)
	// Read returns the listed version. Fault Changed if it was deleted, BadInput if it has more
	// than limit bytes.
	Read(ctx context.Context, s Source, limit int64) ([]byte, error)
}

// LayerVersion is a published layer version.
type LayerVersion struct {
	ARN         string
	LayerName   string
	Version     int64
	Description string
	CodeSHA256  string // base64; "" in lists, which do not contain it
	Created     time.Time
}

// NewLayerVersion is a layer version to publish.
type NewLayerVersion struct {
	LayerName   string
	Description string // at most 256 characters
	Target      pydist.Target
	License     string
	Zip         blob.Ref
}

// LayerVersions publishes layers.
type LayerVersions interface {
	// List returns the versions of a layer, newest first; none if the layer does not exist.
	List(ctx context.Context, layerName string) ([]LayerVersion, error)
	// Get returns all fields of a version. Fault NotFound.
	Get(ctx context.Context, arn string) (LayerVersion, error)
	Publish(ctx context.Context, v NewLayerVersion) (LayerVersion, error)
	// Share allows an organization ("o-...") or an account (12 digits) to use the version. It may
	// be repeated.
	Share(ctx context.Context, v LayerVersion, with string) error
	// Unzipped returns the unzipped size of a version, which may belong to another account. Fault
	// NotFound.
	Unzipped(ctx context.Context, arn string) (measure.Bytes, error)
	// Delete deletes a version; without effect if it does not exist. It cannot be undone.
	Delete(ctx context.Context, arn string) error
}

// Function is a version of a Lambda function.
type Function struct {
	ARN        string // without a version
	Name       string
	Version    string // "$LATEST", or a number
	Runtime    string // "python3.13"; "" for an image
	Arch       string // "x86_64", "arm64"
	Layers     []Layered
	CodeBytes  measure.Bytes // of the function's own zip
	CodeSHA256 string        // base64
	// of the configuration without layers and description: equal if two versions have the same
	ConfigHash  string
	Description string // a version's own, as given to PublishVersion
	RevisionID  string
}

// Layered is a layer version of a function.
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

// Functions reads and changes consumers. Methods with a revision return the fault Changed if the
// function or alias has another revision.
type Functions interface {
	// Get returns a function's version; qualifier "" is $LATEST. Fault NotFound.
	Get(ctx context.Context, function, qualifier string) (Function, error)
	// Alias returns an alias. Fault NotFound.
	Alias(ctx context.Context, function, alias string) (Alias, error)
	// Tagged returns the ARNs of the functions that have all the tags, sorted.
	Tagged(ctx context.Context, tags map[string]string) ([]string, error)
	// CodeUnzipped returns the unzipped size of a function's own zip.
	CodeUnzipped(ctx context.Context, function, qualifier string) (measure.Bytes, error)
	// SetLayers replaces the layers of $LATEST and waits until the update is done.
	SetLayers(ctx context.Context, function string, layers []string, revision string) (Function, error)
	// PublishVersion publishes $LATEST and waits until the version can be invoked. It returns the
	// last version if $LATEST has not changed since.
	PublishVersion(ctx context.Context, function, description, revision string) (version string, err error)
	// MoveAlias points an alias to one version, with all of its weight.
	MoveAlias(ctx context.Context, function, alias, version, revision string) (Alias, error)
	// DeleteVersion deletes one published version, never the function; without effect if it does
	// not exist. Fault Changed if an alias points to it.
	DeleteVersion(ctx context.Context, function, version string) error
	// LayersInUse returns the ARNs of all layer versions that a function or a published version in
	// the account uses.
	LayersInUse(ctx context.Context) (map[string]bool, error)
}

// Sandbox is a probe function: a Lambda function that is created for one probe and deleted after
// it.
type Sandbox struct {
	Name    string
	Target  pydist.Target
	Zip     []byte // the function's own code
	Handler string
	Layers  []string // ARNs of versions, lowest first
	Memory  int      // MiB
	Timeout time.Duration
}

// Invocation is the answer of a probe function.
type Invocation struct {
	Payload      []byte
	Error        string  // errorType of a function error; "" for none
	InitSeconds  float64 // of the REPORT line; 0 without a cold start, or if the line has none
	MaxMemoryMiB int64
	LogTail      string // the last 4 KB
}

// Sandboxes runs probe functions.
type Sandboxes interface {
	// Create creates the function and waits until it can be invoked. It replaces one of the same
	// name.
	Create(ctx context.Context, s Sandbox) error
	Invoke(ctx context.Context, name string, payload []byte) (Invocation, error)
	// Delete deletes it; without effect if it does not exist.
	Delete(ctx context.Context, name string) error
}

// AlarmState is the state of a CloudWatch alarm.
type AlarmState string

// All states.
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
	Unit       string // of CloudWatch: Megabytes, Seconds, Count, None
	Value      float64
	Dimensions []Dimension // in order
}

// Dimension is a name and a value.
type Dimension struct{ Name, Value string }

// Metrics writes values, all with the same time.
type Metrics func(ctx context.Context, at time.Time, values []Metric) error

// Notify sends a message to people. subject is at most 100 ASCII characters, text at most 256 KiB.
type Notify func(ctx context.Context, subject, text string) error

// ExecutionRuns reports whether an execution is running; false if it does not exist.
type ExecutionRuns func(ctx context.Context, arn string) (bool, error)

// Account is the part of the stack's configuration that the workflow uses.
type Account struct {
	Prefix  string   // of the names of layers in Lambda
	Share   []string // organizations and accounts that may use the published versions
	Keep    int      // number of released versions of a layer that are kept
	Console string   // URL of an execution in the console, without its ARN; "" for none
	Stack   string   // name of the deployed stack, a dimension of the metrics
}
