// Package operator decides what the commands that steer a deployed stack do: push, start, watch,
// executions, versions, rollback. The command line only reads flags and prints.
package operator

import (
	"context"
	"time"

	"github.com/layersmith/layersmith/internal/workflow"
)

// Account is a deployed stack.
type Account struct {
	Name            string // of the stack
	WorkspaceBucket string // push writes layers/ to it
	StoreBucket     string // artifacts, documents, state
	Executions      Executions
	Registers       workflow.Registers // in the store bucket
	Workspace       Workspace          // what was pushed last
}

// Execution is one run of the state machine. Fields that a list of executions does not have are
// empty.
type Execution struct {
	ARN     string
	Name    string
	Status  string // RUNNING, SUCCEEDED, FAILED, TIMED_OUT, ABORTED, PENDING_REDRIVE
	Started time.Time
	Stopped time.Time // zero while it runs
	Input   string    // JSON
	Output  string    // JSON, of one that succeeded
	Error   string    // of one that did not
	Cause   string
}

// Event is one entry of an execution's history.
type Event struct {
	ID       int64
	Previous int64 // 0 for the first, and in engines that leave it out
	At       time.Time
	Type     string // HistoryEventType of the API: TaskStateEntered, LambdaFunctionSucceeded...
	State    string // of ...StateEntered and ...StateExited
	Index    int    // of MapIteration...
	Output   string // JSON: the result of a Task, before ResultPath
	Error    string // of ...Failed, ...TimedOut, ...Aborted
	Cause    string
}

// Executions are those of one state machine.
type Executions interface {
	// ARN is that of the execution with the name; an ARN is its own.
	ARN(name string) string
	// Console is the page of an execution in the console.
	Console(arn string) string
	// Start begins an execution. The same name and input again are the same execution; the same
	// name with another input is a fault Changed.
	Start(ctx context.Context, name string, input []byte) (Execution, error)
	// Describe returns an execution with its input and how it ended. Fault NotFound.
	Describe(ctx context.Context, arn string) (Execution, error)
	// List returns the newest executions, newest first, at most limit. status "" is all.
	List(ctx context.Context, status string, limit int) ([]Execution, error)
	// History returns the events after the one with that number, in order.
	History(ctx context.Context, arn string, after int64) ([]Event, error)
}

// Workspace is the pushed workspace in its bucket. Names are relative to layers/.
type Workspace interface {
	List(ctx context.Context) ([]workflow.Source, error)
	// Same reports whether an object has the content.
	Same(ctx context.Context, s workflow.Source, content []byte) (bool, error)
	Put(ctx context.Context, name string, content []byte) error
	Delete(ctx context.Context, name string) error
}
