// Package engine turns requirements into tested layers: lock, fetch, assemble, plan, prune,
// compile, check, probe, heal, report.
//
// A use case is a struct whose fields are the ports that it needs, with a method Run; each has a
// file of its own. The ports are interfaces in this package. Package localport implements them on a
// developer's machine, packages awsport and lambdamain in an account.
package engine

import (
	"context"
	"io"
	"time"

	"github.com/layersmith/layersmith/internal/digest"
	"github.com/layersmith/layersmith/internal/lock"
	"github.com/layersmith/layersmith/internal/probe"
	"github.com/layersmith/layersmith/internal/prune"
	"github.com/layersmith/layersmith/internal/pydist"
	"github.com/layersmith/layersmith/internal/workspace"
	"github.com/layersmith/layersmith/internal/ziptree"
)

// Resolver finds versions and files for requirements. Package localport runs uv.
type Resolver interface {
	// Resolve resolves all layers together. Faults: LockConflict, WheelMissing, BadInput,
	// Unreachable, ToolMissing.
	Resolve(ctx context.Context, r ResolveRequest) (Resolution, error)
	// Locate returns the URLs of locked files, by digest. Files that the index does not have are
	// left out. Faults as Resolve.
	Locate(ctx context.Context, r LocateRequest) (map[digest.SHA256]string, error)
	// BuildWheel builds a wheel from the source distribution at a path, in the same folder, and
	// returns the path of the wheel. The wheel is for this machine.
	BuildWheel(ctx context.Context, sdist string, t pydist.Target) (string, error)
}

// ResolveRequest is what to resolve.
type ResolveRequest struct {
	Target       pydist.Target
	Workspace    workspace.Workspace
	Locked       *lock.Lock // versions to keep where possible; nil for none
	Upgrade      []string   // distributions that may leave the locked version
	ExcludeNewer string     // uv's --exclude-newer
	AllowSource  bool
	Offline      bool
}

// Resolution is the result: one file for each distribution, and what each layer needs.
type Resolution struct {
	Distributions []lock.Distribution
	Closures      map[string][]pydist.Name // by layer: all that it requires, directly or not
	Notes         []string                 // what users should know, such as a version that is held back
}

// LocateRequest asks for the URLs of locked files.
type LocateRequest struct {
	Lock      lock.Lock
	Workspace workspace.Workspace
	Wanted    []lock.Distribution
}

// Blob is an open file.
type Blob interface {
	io.ReaderAt
	io.Closer
	Size() int64
}

// WheelStore keeps files by digest. Digests are verified when files are stored, not when they are
// opened.
type WheelStore interface {
	// Open opens a file. The error wraps fs.ErrNotExist when the store does not have it.
	Open(ctx context.Context, sum digest.SHA256) (Blob, error)
	// Put stores a file. It calls from with the offset to start at, to resume an interrupted call,
	// and from returns the offset that it starts at. When the size, if it is known, or the digest
	// differs, Put stores nothing: fault HashMismatch.
	Put(
		ctx context.Context,
		f lock.File,
		from func(ctx context.Context, offset int64) (io.ReadCloser, int64, error),
	) error
}

// Download opens a URL, or a path of this machine, at an offset in bytes. It returns the offset at
// which the body starts: 0 when the server does not support ranges.
type Download func(ctx context.Context, url string, offset int64) (io.ReadCloser, int64, error)

// Interpreter is the target's Python on this machine.
type Interpreter interface {
	// Identity is the implementation and the full version: "cpython-3.13.0". Bytecode and probe
	// results are reused for the same identity only.
	Identity() string
	// Compile compiles sources to unchecked hash-based .pyc files (PEP 552). It calls job.Failed
	// for a source that does not compile.
	Compile(ctx context.Context, job CompileJob) error
	// World says what of Lambda's world probes on this machine lack; "" for nothing.
	World(ctx context.Context) (string, error)
	// Probe runs jobs with a mounted stack on sys.path, in new processes with limits. Modules of
	// one group may share a process; one that fails, and is not Loose, has failed in its own. It
	// calls done after each job.
	Probe(ctx context.Context, mount string, jobs []probe.Job, done func()) ([]probe.Result, error)
	// Import imports modules in a new process, rounds times, and returns the fastest round.
	Import(ctx context.Context, mount string, modules []string, rounds int) (probe.ImportTime, error)
}

// CompileJob is the sources of one wheel.
type CompileJob struct {
	Sources  []ziptree.Entry // named relative to Root; tracebacks show Root and the name
	Root     string          // the site folder on Lambda: /opt/python/
	Optimize int             // as python -O (1), -OO (2)
	Emit     func(name string, pyc []byte) error
	Failed   func(name, reason string)
}

// Mounts unpacks stacks of layers as Lambda does: a file of an upper layer replaces that of a lower
// one.
type Mounts interface {
	// Mount unpacks a stack, lowest layer first, into a new folder. unmount removes it.
	Mount(ctx context.Context, stack []ziptree.Tree, o MountOptions) (dir string, unmount func(), err error)
}

// MountOptions is what to leave out of a mounted stack. The zero value leaves out nothing.
type MountOptions struct {
	OmitBytecode bool // to measure what it saves
}

// Outputs is the folder of zips, manifests and the report. Names have no slash.
type Outputs interface {
	// Write replaces a file as a whole. When write returns an error, the old file stays.
	Write(ctx context.Context, name string, write func(io.Writer) error) error
	Read(ctx context.Context, name string) ([]byte, error)
	Open(ctx context.Context, name string) (Blob, error)
}

// Cache stores what can be computed again; see prune.Cache.
type Cache = prune.Cache

// Progress shows how far long work has come. Its methods may be called from several goroutines.
type Progress interface {
	// Start begins a task of total units. unit is "bytes" or a plural noun: "wheels".
	Start(task string, total int64, unit string) Task
}

// Task is one line of progress.
type Task interface {
	Add(n int64)
	Done()
}

// Clock returns the current time.
type Clock func() time.Time
