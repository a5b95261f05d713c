// Package engine turns requirements into tested layers, on any machine: lock, fetch, assemble, plan,
// prune, compile, check, probe, heal, report. A use case is a plain struct whose fields are the
// ports that it needs, one use case a file; localport fills them on a laptop, the workflow's
// functions in an account.
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

// Resolver finds versions and files for requirements. uv is the one that there is.
type Resolver interface {
	// Resolve resolves all layers together. Faults: LockConflict, WheelMissing, BadInput,
	// Unreachable, ToolMissing.
	Resolve(ctx context.Context, r ResolveRequest) (Resolution, error)
	// Locate says where the files of a lock are, by digest. Faults as Resolve.
	Locate(ctx context.Context, r LocateRequest) (map[digest.SHA256]string, error)
	// BuildWheel builds a wheel of a source distribution, on this machine, for this machine, beside
	// it, and returns its path.
	BuildWheel(ctx context.Context, sdist string, t pydist.Target) (string, error)
}

// ResolveRequest is what to resolve.
type ResolveRequest struct {
	Target       pydist.Target
	Workspace    workspace.Workspace
	Locked       *lock.Lock // versions to stay with where possible; nil for none
	Upgrade      []string   // distributions that may leave the locked version
	ExcludeNewer string     // uv's --exclude-newer
	AllowSource  bool
	Offline      bool
}

// Resolution is what was found.
type Resolution struct {
	Distributions []lock.Distribution
	Closures      map[string][]pydist.Name
}

// LocateRequest names the locked distributions whose files are wanted.
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

// WheelStore keeps verified files by digest. What is in it was checked when it came in.
type WheelStore interface {
	// Open returns fs.ErrNotExist for a file that is not there.
	Open(ctx context.Context, sum digest.SHA256) (Blob, error)
	// Put stores the file, taking it from a source that can be asked to start at an offset. It
	// resumes what an earlier call began, verifies size (when known) and digest, and leaves nothing
	// readable behind when they differ: fault HashMismatch.
	Put(
		ctx context.Context,
		f lock.File,
		from func(ctx context.Context, offset int64) (io.ReadCloser, int64, error),
	) error
}

// Download opens an address at an offset. It returns the offset that it got: 0 when the server does
// not resume.
type Download func(ctx context.Context, url string, offset int64) (io.ReadCloser, int64, error)

// Interpreter is the target's Python on this machine.
type Interpreter interface {
	// Identity names implementation and full version ("cpython-3.13.0"): bytecode and probe results
	// belong to it.
	Identity() string
	// Compile turns sources into the bytes of unchecked hash-based .pyc files. A source that does
	// not compile is reported and left out.
	Compile(ctx context.Context, job CompileJob) error
	// Probe runs jobs against a mounted stack, each in a fresh process with limits.
	Probe(ctx context.Context, mount string, jobs []probe.Job, done func()) ([]probe.Result, error)
	// Import times imports in fresh processes, rounds times, and returns the fastest round.
	Import(ctx context.Context, mount string, modules []string, rounds int) (probe.ImportTime, error)
}

// CompileJob is the sources of one wheel.
type CompileJob struct {
	Sources  []ziptree.Entry // names are what tracebacks will show, relative to Root
	Root     string          // where the site folder will be: /opt/python/
	Optimize int             // as python -O (1), -OO (2)
	Emit     func(name string, pyc []byte) error
	Failed   func(name, reason string)
}

// Mounts unpacks stacks of layers as Lambda mounts them: one over the other, the last one wins.
type Mounts interface {
	// Mount unpacks a stack, lowest first, into a folder that unmount removes.
	Mount(ctx context.Context, stack []ziptree.Tree, o MountOptions) (dir string, unmount func(), err error)
}

// MountOptions is what to leave out of a mounted stack. The zero value leaves out nothing.
type MountOptions struct {
	OmitBytecode bool // to measure what it saves
}

// Outputs is the folder of finished things. Names are flat.
type Outputs interface {
	// Write stores a file under its name when write has succeeded, and leaves what was there before
	// otherwise.
	Write(ctx context.Context, name string, write func(io.Writer) error) error
	Read(ctx context.Context, name string) ([]byte, error)
	Open(ctx context.Context, name string) (Blob, error)
}

// Cache is the store of what can be made again; see prune.Cache.
type Cache = prune.Cache

// Progress says how far long work has come. Its methods may be called from several goroutines.
type Progress interface {
	// Start begins a task of total units; unit is "bytes" or what is counted.
	Start(task string, total int64, unit string) Task
}

// Task is one line of progress.
type Task interface {
	Add(n int64)
	Done()
}

// Clock is the time, for durations.
type Clock func() time.Time
