package workflow

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/sfn/types"
	"github.com/google/go-cmp/cmp"

	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/statemachine"
)

// released is the good path: without a fault, with one layer and one consumer. Most other paths
// begin like it.
var released = names(`Intake, What next?, Build, Select, Changed?, Prune each, Prune, Measure each, Measure,
	Record, Publish?, Publish each, Publish, Verify each, Verify, Update each, Update, Settle, Health, Quiet?,
	Moved, Promote, Report, Outcome?, Released`)

func names(list string) []string {
	all := strings.Split(list, ",")
	for i := range all {
		all[i] = strings.TrimSpace(all[i])
	}

	return all
}

// after is the good path up to a state, followed by other states.
func after(state, list string) []string {
	i := slices.Index(released, state)
	if i < 0 {
		panic(state + " is not on the good path")
	}

	return append(slices.Clone(released[:i+1]), names(list)...)
}

// instead is the good path up to before a state, followed by other states.
func instead(state, list string) []string {
	return after(released[slices.Index(released, state)-1], list)
}

// The last states of runs with errors.
const (
	clean   = "Nothing touched, Report, Outcome?, FailedClean"
	deleted = "Note what failed, Rollback, Report, Outcome?, FailedClean"
	undone  = "Note what failed, Rollback, Report, Outcome?, RolledBack"
	dirty   = "Note what failed, Rollback, Left dirty, Report, Outcome?, FailedDirty"
	stuck   = "Left dirty, Report, Outcome?, FailedDirty"
	decided = "Report, Outcome?, "
)

// What they leave behind: texts of docs/failure-modes.md.
const (
	leftNothing = "Nothing in Lambda. Documents of the run stay in the store"
	leftDeleted = "Candidates are deleted, no function was touched. Documents of the run stay in the store"
	leftBefore  = "Every function as before, which was read back; candidates are deleted. Documents of the run stay " +
		"in the store"
	leftDirty = "What could not be taken back: `runs/<run>/changes/` holds each function's before and after. The " +
		"alarm says so, and the message where"
	leftNew = "The new versions, in use"
)

// A scenario is one path through the workflow, and one row in docs/failure-modes.md.
type scenario struct {
	name    string // a sentence: what happens
	script  script
	changes map[string]map[string]any // of the definition, see quick
	input   string                    // "" is {}
	path    []string                  // its last state is the outcome
	asked   map[string]int            // number of calls of some functions
	told    string                    // the error in the input of report, "" for none
	dirt    string                    // the rollback's error in it, "" for none
	left    string                    // what is left behind
}

// ways are the scenarios without a fault.
var ways = []scenario{
	{name: "all is well", path: released, left: leftNew},
	{
		name: "nothing is stale",
		path: names("Intake, What next?, Report, Outcome?, Unchanged"),
		left: "Nothing",
		script: script{
			"intake": {next("End", map[string]any{"ending": ending("Unchanged", "nothing is stale")})},
		},
		asked: map[string]int{"build": 0},
	},
	{
		name: "the build gives what is released already",
		path: after("Changed?", "Nothing new, Report, Outcome?, Unchanged"),
		left: "Nothing in Lambda",
		script: script{
			"select": {{over: map[string]any{"changed": false, "layers": []any{}}}},
		},
		asked: map[string]int{"prune": 0},
	},
	{
		name:  "a dry run",
		path:  after("Publish?", "Only planned, Report, Outcome?, Unchanged"),
		left:  "Nothing in Lambda; the report",
		input: `{"dryRun":true}`,
		script: script{
			"intake": {next("Build", map[string]any{"dryRun": true})},
		},
		asked: map[string]int{"publish": 0, "update": 0},
	},
	{
		name:   "no consumers",
		path:   after("Update each", "Promote, Report, Outcome?, Released"),
		left:   leftNew,
		script: script{"record": {{over: map[string]any{"consumers": []any{}}}}},
		asked:  map[string]int{"update": 0},
	},
	{
		name: "a window of three looks",
		path: after("Quiet?",
			"Settle, Health, Quiet?, Settle, Health, Quiet?, Moved, Promote, Report, Outcome?, Released"),
		left: leftNew,
		script: script{
			"health": first(answer{over: map[string]any{"quiet": false}}, answer{over: map[string]any{"quiet": false}}),
		},
		asked: map[string]int{"health": 3, "update": 1},
	},
	{
		name:  "a restore",
		left:  "The earlier versions, in use",
		input: `{"rollback":{"layer":"ml","to":3}}`,
		path: names(
			"Intake, What next?, Record, Publish?, Update each, Update, Settle, Health, Quiet?, Moved, Promote, " +
				"Report, Outcome?, Released",
		),
		script: script{"intake": {next("Restore")}},
		asked:  map[string]int{"build": 0, "publish": 0},
	},
	{
		name: "a dry run of a restore",
		left: "Nothing",
		path: names("Intake, What next?, Record, Publish?, Only planned, Report, Outcome?, Unchanged"),
		script: script{
			"intake": {next("Restore", map[string]any{"dryRun": true})},
		},
		asked: map[string]int{"update": 0},
	},
	{
		name:   "another run is at work",
		left:   leftNew,
		path:   append(names("Intake, What next?, Wait for the other run"), released...),
		script: script{"intake": first(next("Wait"))},
		asked:  map[string]int{"intake": 2},
	},
	{
		name:   "an earlier run died",
		left:   leftNew,
		path:   append(names("Intake, What next?, Recover, Recovered?"), released...),
		script: script{"intake": first(next("Recover"))},
		asked:  map[string]int{"intake": 2, "rollback": 1},
	},
}

// faults are the scenarios with a fault, without those that are made of tasks.
var faults = []scenario{
	{
		name:   "the build fails",
		path:   after("Build", clean),
		script: script{"build": {fails("FAILED")}},
		told:   "States.TaskFailed",
		asked:  map[string]int{"build": 1},
		left:   leftNothing,
	},
	{
		name:   "CodeBuild may not be started",
		path:   after("Build", clean),
		script: script{"build": {refuses(400, "AccessDeniedException")}},
		told:   "CodeBuild.AccessDeniedException",
		asked:  map[string]int{"build": 1},
		left:   leftNothing,
	},
	{
		name:  "CodeBuild has no capacity for a while",
		path:  released,
		asked: map[string]int{"build": 3},
		left:  leftNew,
		script: script{
			"build": first(refuses(400, "AccountLimitExceededException"), refuses(400, "ThrottlingException")),
		},
	},
	{
		name:   "CodeBuild has no capacity",
		path:   after("Build", clean),
		script: script{"build": {refuses(400, "AccountLimitExceededException")}},
		told:   "CodeBuild.AccountLimitExceededException",
		asked:  map[string]int{"build": 6},
		left:   leftNothing,
	},

	{
		name:   "a consumer is unhealthy",
		path:   after("Health", undone),
		script: script{"health": {fails(fault.Unhealthy)}},
		told:   "Unhealthy",
		asked:  map[string]int{"health": 1, "promote": 0},
		left:   leftBefore,
	},
	{
		name:   "a consumer is unhealthy in the middle of its window",
		path:   after("Quiet?", "Settle, Health, "+undone),
		told:   "Unhealthy",
		asked:  map[string]int{"health": 2},
		left:   leftBefore,
		script: script{"health": {{over: map[string]any{"quiet": false}}, fails(fault.Unhealthy)}},
	},
	{
		name:   "a consumer is unhealthy after a restore",
		path:   names("Intake, What next?, Record, Publish?, Update each, Update, Settle, Health, " + undone),
		script: script{"intake": {next("Restore")}, "health": {fails(fault.Unhealthy)}},
		told:   "Unhealthy",
		left:   leftBefore,
	},
	{
		name: "somebody else changed a function, and rollback refuses",
		path: after("Update", "Note what failed, Rollback, Report, Outcome?, FailedDirty"),
		told: "Changed",
		left: leftDirty,
		script: script{
			"update":   {fails(fault.Changed)},
			"rollback": {{over: ending("FailedDirty", "function api is neither before nor after")}},
		},
	},
	{
		name:   "a function crashes without a word",
		path:   after("Update", undone),
		script: script{"update": {fails("Runtime.ExitError")}},
		told:   "Runtime.ExitError",
		asked:  map[string]int{"update": 1},
		left:   leftBefore,
	},

	{
		name:  "what an earlier run left cannot be taken back",
		path:  names("Intake, What next?, Recover, Recovered?, Report, Outcome?, FailedDirty"),
		asked: map[string]int{"intake": 1, "build": 0},
		left:  leftDirty,
		script: script{
			"intake":   {next("Recover")},
			"rollback": {{over: ending("FailedDirty", "function api is neither before nor after")}},
		},
	},
	{
		name:   "the report fails after a failure",
		path:   after("Update", undone),
		script: script{"update": {fails(fault.Internal)}, "report": {fails(fault.NotAllowed)}},
		told:   "Internal",
		left:   leftBefore,
	},
	{
		name:   "the report names an outcome that is none",
		path:   instead("Released", "FailedDirty"),
		script: script{"report": {{over: ending("Fine", "all is well")}}},
		left:   leftNew,
	},

	{
		name: "Lambda is busy, a function that only reads",
		path: after("Prune", clean),
		script: script{
			"prune": {refuses(429, "TooManyRequestsException")},
		},
		told:  "Lambda.TooManyRequestsException",
		asked: map[string]int{"prune": 6},
		left:  leftNothing,
	},
	{
		name: "Lambda is busy, a function that changes",
		path: after("Update", undone),
		script: script{
			"update": {refuses(429, "TooManyRequestsException")},
		},
		told:  "Lambda.TooManyRequestsException",
		asked: map[string]int{"update": 6},
		left:  leftBefore,
	},
	{
		name:   "Lambda denies the call",
		path:   after("Update", undone),
		script: script{"update": {refuses(403, "AccessDeniedException")}},
		told:   "Lambda.AccessDeniedException",
		asked:  map[string]int{"update": 1},
		left:   leftBefore,
	},
}

// common are the errors that every function declares.
var common = []fault.Code{
	fault.BadInput,
	fault.NotAllowed,
	fault.NotFound,
	fault.Throttled,
	fault.Unreachable,
	fault.TimedOut,
	fault.Internal,
	"Panic",
	fault.HashMismatch,
	fault.ProvenanceMismatch,
}

// retryable are the errors that the definition retries.
var retryable = []fault.Code{fault.Throttled, fault.Unreachable}

// attempts is the number of calls of a function that keeps failing with a retryable error.
const attempts = 5

// A task is a state that calls a function.
type task struct {
	state, function string
	lease           bool         // the function declares LeaseLost
	declares        []fault.Code // other errors that it declares beside the common ones
	script          script       // of the run before this state
	path            []string     // of the run if the function fails
	dirt            bool         // the function is the rollback
	ok              []string     // path of the run if the function does not fail
	left            string       // what is left behind
}

// onlyCandidates is a rollback before a function was changed.
var onlyCandidates = script{
	"rollback": {{over: ending("FailedClean", "1 candidate is deleted, no function was touched")}},
}

var tasks = []task{
	{state: "Intake", function: "intake", path: names("Intake, " + clean), ok: released, left: "Nothing"},
	{
		state:    "Recover",
		function: "rollback",
		lease:    true,
		script:   script{"intake": first(next("Recover"))},
		path:     names("Intake, What next?, Recover, " + stuck),
		dirt:     true,
		ok:       append(names("Intake, What next?, Recover, Recovered?"), released...),
		left:     leftDirty + ". They are the earlier run's",
	},
	{state: "Select", function: "select", lease: true, path: after("Select", clean), ok: released, left: leftNothing},
	{
		state:    "Prune",
		function: "prune",
		lease:    true,
		declares: []fault.Code{fault.CorruptArchive, fault.OverLimit},
		path:     after("Prune", clean),
		ok:       released,
		left:     leftNothing,
	},
	{
		state:    "Measure",
		function: "measure",
		lease:    true,
		declares: []fault.Code{fault.GateFailed, fault.OverLimit, fault.CorruptArchive},
		path:     after("Measure", clean),
		ok:       released,
		left:     leftNothing,
	},
	{
		state:    "Record",
		function: "record",
		lease:    true,
		declares: []fault.Code{fault.OverLimit, fault.Changed},
		path:     after("Record", clean),
		ok:       released,
		left:     leftNothing,
	},
	{
		state:    "Publish",
		function: "publish",
		lease:    true,
		declares: []fault.Code{fault.OverLimit, fault.Changed},
		script:   onlyCandidates,
		path:     after("Publish", deleted),
		ok:       released,
		left:     leftDeleted,
	},
	{
		state:    "Verify",
		function: "verify",
		lease:    true,
		declares: []fault.Code{fault.ProbeFailed},
		script:   onlyCandidates,
		path:     after("Verify", deleted),
		ok:       released,
		left:     leftDeleted,
	},
	{
		state:    "Update",
		function: "update",
		lease:    true,
		declares: []fault.Code{fault.Changed},
		path:     after("Update", undone),
		ok:       released,
		left:     leftBefore,
	},
	{
		state:    "Health",
		function: "health",
		lease:    true,
		declares: []fault.Code{fault.Unhealthy},
		path:     after("Health", undone),
		ok:       released,
		left:     leftBefore,
	},
	{
		state:    "Promote",
		function: "promote",
		lease:    true,
		declares: []fault.Code{fault.Changed},
		path:     after("Promote", undone),
		ok:       released,
		left:     leftBefore,
	},
	{
		state:    "Rollback",
		function: "rollback",
		lease:    true,
		script:   script{"update": {fails(fault.Internal)}},
		path:     after("Update", dirty),
		dirt:     true,
		ok:       after("Update", undone),
		left:     leftDirty,
	},
	{
		state:    "Report",
		function: "report",
		path:     released,
		ok:       released,
		left:     leftNew + ". Metrics and the notification are missing",
	},
}

// build is not a function: it can time out, and it has its own faults.
var build = task{state: "Build", function: "build", path: after("Build", clean), left: leftNothing}

func (k task) codes() []fault.Code {
	all := append(slices.Clone(common), k.declares...)
	if k.lease {
		all = append(all, fault.LeaseLost)
	}

	return all
}

// with is the script of a run up to the task, with the answers of its function.
func (k task) with(answers ...answer) script {
	s := script{k.function: answers}
	for f, a := range k.script {
		s[f] = a
	}

	return s
}

// expects is a scenario in which the task fails.
func (k task) expects(code string) scenario {
	sc := scenario{path: k.path, told: code}
	switch {
	case k.state == "Report":
		sc.told = ""
	case k.state == "Recover":
		sc.told = ""
		sc.dirt = code
	case k.dirt:
		sc.told = string(fault.Internal)
		sc.dirt = code
	}

	return sc
}

func (sc scenario) run(t *testing.T) {
	t.Parallel()
	input := sc.input
	if input == "" {
		input = "{}"
	}

	e := execute(t, quick(t, sc.changes), input, sc.script)
	if diff := cmp.Diff(sc.path, e.path); diff != "" {
		t.Fatalf("path (- want, + got):\n%s\nstatus %s, error %q, cause %q", diff, e.status, e.error, e.cause)
	}

	outcome := sc.path[len(sc.path)-1]
	e.ends(t, outcome)
	for function, n := range sc.asked {
		if got := e.asked(function); got != n {
			t.Errorf("%s was asked %d times, want %d", function, got, n)
		}
	}

	told := e.report(t)
	if got := told.Error.name(); got != sc.told {
		t.Errorf("report is told the error %q, want %q", got, sc.told)
	}

	if got := told.RollbackError.name(); got != sc.dirt {
		t.Errorf("report is told the rollback's error %q, want %q", got, sc.dirt)
	}
}

// ends checks that the execution's output or error is the outcome with a message.
func (e execution) ends(t *testing.T, outcome string) {
	t.Helper()
	switch outcome {
	case "Released", "Unchanged":
		var out struct{ Outcome, Message string }
		err := json.Unmarshal([]byte(e.output), &out)
		if err != nil || e.status != types.ExecutionStatusSucceeded || out.Outcome != outcome || out.Message == "" {
			t.Errorf("%s with the output %s, want success with the outcome %s and a message",
				e.status, e.output, outcome)
		}
	default:
		if e.status != types.ExecutionStatusFailed || e.error != outcome || e.cause == "" {
			t.Errorf("%s with error %q and cause %q, want failure with the error %s and a message as its cause",
				e.status, e.error, e.cause, outcome)
		}
	}
}

// caught is the output of a Catch.
type caught struct{ Error, Cause string }

func (c *caught) name() string {
	if c == nil {
		return ""
	}

	return c.Error
}

// reported is the input of report.
type reported struct {
	Run, Execution, StartedAt string
	Ending                    struct{ Outcome, Message string }
	Error, RollbackError      *caught
}

// report returns the input of report, which every execution calls.
func (e execution) report(t *testing.T) reported {
	t.Helper()
	i := slices.IndexFunc(e.calls, func(c call) bool { return c.function == "report" })
	if i < 0 {
		t.Fatal("report was not asked")
	}

	var in reported
	if err := json.Unmarshal(e.calls[i].payload, &in); err != nil {
		t.Fatal(err)
	}

	if in.Ending.Message == "" || !slices.Contains(statemachine.Outcomes(), in.Ending.Outcome) {
		t.Errorf("report is told the ending %+v", in.Ending)
	}

	return in
}

func TestWays(t *testing.T) {
	t.Parallel()
	for _, sc := range ways {
		t.Run(sc.name, sc.run)
	}
}

func TestFaults(t *testing.T) {
	t.Parallel()
	for _, sc := range faults {
		t.Run(sc.name, sc.run)
	}
}

func TestDeclaredErrors(t *testing.T) {
	t.Parallel()
	for _, k := range tasks {
		t.Run(k.state, func(t *testing.T) {
			t.Parallel()
			for _, code := range k.codes() {
				t.Run(string(code), func(t *testing.T) {
					sc := k.expects(string(code))
					sc.script = k.with(fails(code))
					sc.asked = map[string]int{k.function: 1}
					if slices.Contains(retryable, code) {
						sc.asked[k.function] = attempts
					}

					sc.run(t)
				})
			}
		})
	}
}

// A function that succeeds after retries does not change the path.
func TestRetriesHelp(t *testing.T) {
	t.Parallel()
	passing := []answer{
		fails(fault.Unreachable),
		fails(fault.Throttled),
		refuses(429, "TooManyRequestsException"),
		refuses(500, "ServiceException"),
		refuses(500, "AWSLambdaException"),
		refuses(500, "SdkClientException"),
	}
	for _, k := range tasks {
		t.Run(k.state, func(t *testing.T) {
			sc := scenario{
				script: k.with(first(passing...)...),
				path:   k.ok,
				asked:  map[string]int{k.function: len(passing) + 1},
			}
			if k.state == "Rollback" {
				sc.told = string(fault.Internal)
			}

			sc.run(t)
		})
	}
}

// A function that does not answer times out.
func TestTimeouts(t *testing.T) {
	t.Parallel()
	for _, k := range append(slices.Clone(tasks), build) {
		t.Run(k.state, func(t *testing.T) {
			sc := k.expects("States.Timeout")
			sc.script = k.with(answer{hang: true})
			sc.changes = map[string]map[string]any{k.state: {"TimeoutSeconds": 1}}
			sc.asked = map[string]int{k.function: 1}
			sc.run(t)
		})
	}
}

// An answer over the limit of Step Functions is a failure.
func TestAnswersOverTheLimit(t *testing.T) {
	t.Parallel()
	huge := answer{over: map[string]any{"summary": strings.Repeat("s", maxStateBytes)}}
	for _, k := range tasks {
		t.Run(k.state, func(t *testing.T) {
			sc := k.expects("States.DataLimitExceeded")
			sc.script = k.with(huge)
			sc.asked = map[string]int{k.function: 1}
			sc.run(t)
		})
	}
}
