// Package operator is the logic of the commands for a deployed stack: push, start, watch,
// executions, versions, rollback. Package cli reads flags and prints.
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

// Execution is one execution of the state machine. Input, Output, Error and Cause are empty in a
// list of executions.
type Execution struct {
	ARN     string
	Name    string
	Status  string // RUNNING, SUCCEEDED, FAILED, TIMED_OUT, ABORTED, PENDING_REDRIVE
	Started time.Time
	Stopped time.Time // zero while it runs
	Input   string    // JSON
	Output  string    // JSON, of one that succeeded
	Error   string    // of one that failed
	Cause   string
}

// Event is one entry of an execution's history.
type Event struct {
	ID       int64
	Previous int64 // ID of the event before it; 0 for the first, and in emulators that leave it out
	At       time.Time
	Type     string // HistoryEventType of the API: TaskStateEntered, LambdaFunctionSucceeded...
	State    string // of ...StateEntered and ...StateExited
	Index    int    // of MapIteration...
	Output   string // JSON: the result of a Task, before ResultPath
	Error    string // of ...Failed, ...TimedOut, ...Aborted
	Cause    string
}

// Executions are the executions of one state machine.
type Executions interface {
	// ARN returns the ARN of the execution with a name. An ARN is returned as it is.
	ARN(name string) string
	// Console returns the URL of an execution in the AWS console.
	Console(arn string) string
	// Start starts an execution. A second call with the same name and input returns the same one.
	// Fault Changed when the name was used with another input.
	Start(ctx context.Context, name string, input []byte) (Execution, error)
	// Describe returns an execution with its input and how it ended. Fault NotFound.
	Describe(ctx context.Context, arn string) (Execution, error)
	// List returns the newest executions of a status, newest first, at most limit. "" is all
	// statuses.
	List(ctx context.Context, status string, limit int) ([]Execution, error)
	// History returns the events after the one with the ID after, in order.
	History(ctx context.Context, arn string, after int64) ([]Event, error)
}

// Workspace is the pushed workspace in its bucket. Names are relative to layers/.
type Workspace interface {
	List(ctx context.Context) ([]workflow.Source, error)
	// Same reports whether an object in the bucket has the content.
	Same(ctx context.Context, s workflow.Source, content []byte) (bool, error)
	Put(ctx context.Context, name string, content []byte) error
	Delete(ctx context.Context, name string) error
}
