package operator

import (
	"cmp"
	"encoding/json"
	"strings"

	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/release"
)

// Outcomes of an execution that the workflow itself does not report. They come from the statuses of
// Step Functions.
const (
	Running  release.Outcome = "Running"
	Stopped  release.Outcome = "Stopped"  // by StopExecution
	TimedOut release.Outcome = "TimedOut" // over the state machine's own limit
	Failed   release.Outcome = "Failed"   // without reaching an outcome
	Unknown  release.Outcome = "Unknown"  // the output is of another version of Layersmith
)

// nextUndoes ends the message for an execution that was cut off: the next execution takes over its
// lease.
const nextUndoes = "the next execution first undoes what it left; start one with: layersmith start"

// EndingOf returns how an execution ended. The output of one that succeeded is its ending. One that
// failed has the outcome as its error, unless the state machine itself failed.
func EndingOf(x Execution) release.Ending {
	switch x.Status {
	case "SUCCEEDED":
		return succeeded(x.Output)
	case "FAILED":
		return failed(x)
	case "TIMED_OUT":
		return release.Ending{
			Outcome: TimedOut,
			Message: "it took longer than the state machine allows; " + nextUndoes,
		}
	case "ABORTED":
		why := cmp.Or(reason(x.Error, x.Cause), "it was stopped")
		return release.Ending{Outcome: Stopped, Message: why + "; " + nextUndoes}
	}

	return release.Ending{Outcome: Running}
}

// succeeded reads the ending from the output of the state machine.
func succeeded(output string) release.Ending {
	var e release.Ending
	if err := json.Unmarshal([]byte(output), &e); err != nil || e.Outcome == "" {
		return release.Ending{
			Outcome: Unknown,
			Message: "its output names no outcome: use the version of Layersmith that is deployed",
		}
	}

	return e
}

func failed(x Execution) release.Ending {
	for _, o := range []release.Outcome{release.RolledBack, release.FailedClean, release.FailedDirty} {
		if x.Error == string(o) {
			return release.Ending{Outcome: o, Message: x.Cause}
		}
	}

	why := strings.TrimSuffix(reason(x.Error, x.Cause), ".")
	return release.Ending{Outcome: Failed, Message: why + "; " + nextUndoes}
}

// Sentence is the outcome and the message. Most messages begin with the outcome already.
func Sentence(e release.Ending) string {
	o := string(e.Outcome)
	switch {
	case e.Message == "":
		return o
	case strings.HasPrefix(e.Message, o):
		return e.Message
	}

	return o + ": " + e.Message
}

// maxReason is how many characters of a cause are shown. A longer one is a document.
const maxReason = 300

// reason is an error of Step Functions in one line, without its hint, which the ending shows. The
// cause of a Lambda function is a JSON document with an errorMessage; other services give text.
func reason(code, cause string) string {
	var lambda struct {
		ErrorMessage string `json:"errorMessage"`
	}
	if json.Unmarshal([]byte(cause), &lambda) == nil {
		cause, _, _ = strings.Cut(lambda.ErrorMessage, fault.HintMark)
	}

	cause = strings.Join(strings.Fields(cause), " ")
	if r := []rune(cause); len(r) > maxReason {
		cause = string(r[:maxReason]) + "..."
	}

	switch {
	case cause == "":
		return code
	case code == "":
		return cause
	}

	return code + ": " + cause
}
