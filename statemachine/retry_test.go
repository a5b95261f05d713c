package statemachine_test

import (
	"encoding/json"
	"fmt"

	"github.com/google/go-cmp/cmp"

	"github.com/layersmith/layersmith/statemachine"
)

// retryKinds are the kinds of states, and the Retry block that every state of a kind has. ASL
// cannot share a block, so the definition repeats it in each state.
var retryKinds = []struct {
	name  string
	is    func(statemachine.State) bool
	retry string
}{
	{
		// Lambda's own errors pass in seconds (docs: "Handle transient Lambda service exceptions").
		// A function that reports Unreachable or Throttled has already retried for a while itself,
		// so the pauses are longer.
		name: "a Lambda function",
		is:   func(s statemachine.State) bool { return s.Function() != "" },
		retry: `[
			{
				"ErrorEquals": [
					"Lambda.ServiceException",
					"Lambda.AWSLambdaException",
					"Lambda.SdkClientException",
					"Lambda.TooManyRequestsException"
				],
				"IntervalSeconds": 2, "MaxAttempts": 5, "BackoffRate": 2
			},
			{ "ErrorEquals": ["Unreachable", "Throttled"], "IntervalSeconds": 15, "MaxAttempts": 4, "BackoffRate": 2 }
		]`,
	},
	{
		// Only the start of the build is retried. These errors pass when other builds have ended,
		// which takes longer than Lambda's. A build that fails is States.TaskFailed.
		name: "the build",
		is:   func(s statemachine.State) bool { return s.Resource == buildTask },
		retry: `[
			{
				"ErrorEquals": [
					"CodeBuild.AccountLimitExceededException",
					"CodeBuild.ThrottlingException",
					"CodeBuild.SdkClientException"
				],
				"IntervalSeconds": 30, "MaxAttempts": 5, "BackoffRate": 2
			}
		]`,
	},
	{
		// A Map would repeat all its items, including those that succeeded: its Tasks retry
		// instead.
		name:  "a state that is not a Task",
		is:    func(s statemachine.State) bool { return s.Type != "Task" },
		retry: `[]`,
	},
}

// retriesAreCanonical checks that every state has the Retry block of its kind.
func retriesAreCanonical(_ string, m statemachine.Machine) (found []string) {
	for _, kind := range retryKinds {
		want := []statemachine.Retrier{}
		if err := json.Unmarshal([]byte(kind.retry), &want); err != nil {
			return []string{fmt.Sprintf("retryKinds: %s: %v", kind.name, err)}
		}

		for _, s := range m.All() {
			if !kind.is(s.State) {
				continue
			}

			got := append([]statemachine.Retrier{}, s.Retry...) // not nil
			if diff := cmp.Diff(want, got); diff != "" {
				found = append(found,
					fmt.Sprintf("%s: Retry is not that of %s (- want, + got):\n%s", s.Name, kind.name, diff))
			}
		}
	}

	return found
}
