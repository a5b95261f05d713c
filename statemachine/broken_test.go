package statemachine_test

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/layersmith/layersmith/statemachine"
)

func TestDefinitionIsSound(t *testing.T) {
	t.Parallel()
	found := problems(statemachine.Definition())
	for _, name := range slices.Sorted(maps.Keys(found)) {
		for _, p := range found[name] {
			t.Errorf("%s: %s", name, p)
		}
	}
}

// Each row breaks the definition in one place. The named check must find it.
func TestBrokenDefinitionsAreFound(t *testing.T) {
	t.Parallel()
	broken := map[string]struct{ old, new, check, finding string }{
		"a field that only some engines know": {
			`"MaxConcurrency": 5,`, `"MaxConcurrency": 5, "ToleratedFailurePercentage": 10,`,
			"parse", `unknown field "ToleratedFailurePercentage"`,
		},
		"JSONata": {
			`"StartAt": "Intake",`, `"StartAt": "Intake", "QueryLanguage": "JSONata",`,
			"parse", `unknown field "QueryLanguage"`,
		},
		"something after the end": {
			`"CausePath": "$.message" } } } `, `"CausePath": "$.message" } } } {}`,
			"parse", "unexpected data after the definition",
		},
		"a key twice": {
			`"StartAt": "Intake",`, `"StartAt": "Intake", "StartAt": "Intake",`,
			"keys", "/StartAt: the key occurs twice",
		},
		"a state's key twice": {
			`"ResultPath": null,`, `"ResultPath": null, "ResultPath": "$.built",`,
			"keys", "/ResultPath: the key occurs twice",
		},
		"two states with one name": {
			`"Moved": {`, `"Report": {`,
			"names", "Report: two states have this name",
		},
		"a Next that does not exist": {
			`"Next": "Select"`, `"Next": "Selekt"`,
			"next", `Build: leads to "Selekt", which does not exist`,
		},
		"a start that does not exist": {
			`"StartAt": "Update"`, `"StartAt": "Before"`,
			"next", `StartAt: no state "Before"`,
		},
		"a Next out of a Map": {
			`"InputPath": "$.updated.consumer",`, `"InputPath": "$.updated.consumer", "Next": "Promote",`,
			"next", `Moved: leads to "Promote", which does not exist`,
		},
		"an unreachable state": {
			`"Default": "Nothing new"`, `"Default": "Report"`,
			"reach", "Nothing new: cannot be reached",
		},
		"a Choice without Default": {
			`"Default": "Nothing new"`, `"Comment": "none"`,
			"default", "Changed?: no Default",
		},
		"a machine without a timeout": {
			`"TimeoutSeconds": 21600,`, ``,
			"timeout", "the machine: no TimeoutSeconds",
		},
		"a Task without a timeout": {
			`"TimeoutSeconds": 7200,`, ``,
			"timeout", "Build: TimeoutSeconds 0",
		},
		"a Task that gives up before its function": {
			`"TimeoutSeconds": 7200,`, `"TimeoutSeconds": 900,`,
			"timeout", "Build: TimeoutSeconds 900, must be more than 900",
		},
		"a Task that outlasts the machine": {
			`"TimeoutSeconds": 7200,`, `"TimeoutSeconds": 21600,`,
			"timeout", "Build: TimeoutSeconds 21600, the machine has 21600",
		},
		"a Task that catches less than all": {
			`{ "ErrorEquals": ["States.ALL"], "ResultPath": "$", "Next": "Nothing touched" }`,
			`{ "ErrorEquals": ["States.Timeout"], "ResultPath": "$", "Next": "Nothing touched" }`,
			"catch", "Intake: must catch",
		},
		"a Task that misses what States.ALL misses": {
			`{ "ErrorEquals": ["States.DataLimitExceeded"], "ResultPath": "$", "Next": "Nothing touched" },`, ``,
			"catch", "Intake: must catch",
		},
		"States.ALL in company": {
			`"ErrorEquals": ["States.ALL"]`, `"ErrorEquals": ["States.Timeout", "States.ALL"]`,
			"all", "Intake: States.ALL is not alone",
		},
		"States.ALL not last": {
			`"ErrorEquals": ["States.DataLimitExceeded"]`, `"ErrorEquals": ["States.ALL"]`,
			"all", "Intake: States.ALL is not alone, or not last",
		},
		"States.ALL not last in Retry": {
			`{ "ErrorEquals": ["Unreachable", "Throttled"],`,
			`{ "ErrorEquals": ["States.ALL"], "IntervalSeconds": 1, "MaxAttempts": 1, "BackoffRate": 2 }, ` +
				`{ "ErrorEquals": ["Unreachable", "Throttled"],`,
			"all", "Intake: States.ALL is not alone, or not last",
		},
		"a retry at once": {
			`"IntervalSeconds": 30,`, `"IntervalSeconds": 0,`,
			"interval", "Build: IntervalSeconds must be at least 1",
		},
		"a retry without end": {
			`"IntervalSeconds": 30, "MaxAttempts": 5,`, `"IntervalSeconds": 30, "MaxAttempts": 99,`,
			"interval", "Build: MaxAttempts must be 1 to 10",
		},
		"a retry that does not back off": {
			`"IntervalSeconds": 30, "MaxAttempts": 5, "BackoffRate": 2`,
			`"IntervalSeconds": 30, "MaxAttempts": 5, "BackoffRate": 1`,
			"interval", "Build: BackoffRate must be more than 1",
		},
		"an unknown integration": {
			`codebuild:startBuild.sync`, `codebuild:startTheBuild.sync`,
			"integration", `Build: unknown integration "arn:aws:states:::codebuild:startTheBuild.sync"`,
		},
		"an unknown function": {
			`"${Select}"`, `"${Selekt}"`,
			"integration", `Select: unknown integration "${Selekt}"`,
		},
		"a Map of child executions": {
			`"INLINE"`, `"DISTRIBUTED"`,
			"integration", "Prune each: the Map is not INLINE",
		},
		"camelCase for CodeBuild": {
			`"ProjectName"`, `"projectName"`,
			"case", "Build: parameter projectName must be PascalCase",
		},
		"camelCase deeper for CodeBuild": {
			`"Value.$": "$.run"`, `"value.$": "$.run"`,
			"case", "Build: parameter value.$ must be PascalCase",
		},
		"an error that does not exist": {
			`"Unreachable", "Throttled"`, `"Unreachable", "Throttled", "Unreached"`,
			"errors", `Intake: "Unreached" is neither a code of internal/fault`,
		},
		"an error of another service": {
			`"CodeBuild.ThrottlingException"`, `"Lambda.TooManyRequestsException"`,
			"errors", "Build: cannot have the error Lambda.TooManyRequestsException",
		},
		"a retryable fault that is not retried": {
			`["Unreachable", "Throttled"]`, `["Unreachable"]`,
			"retry", "Intake: Throttled is not retried",
		},
		"a Lambda error that is not retried": {
			`"Lambda.SdkClientException", `, ``,
			"retry", "Intake: Lambda.SdkClientException is not retried",
		},
		"a function with a Retry of its own": {
			`"IntervalSeconds": 15, "MaxAttempts": 4`, `"IntervalSeconds": 15, "MaxAttempts": 3`,
			"canonical", "Intake: Retry is not that of a Lambda function",
		},
		"a build with a Retry of its own": {
			`"IntervalSeconds": 30, "MaxAttempts": 5`, `"IntervalSeconds": 60, "MaxAttempts": 5`,
			"canonical", "Build: Retry is not that of the build",
		},
		"a Map with a Retry": {
			`"ItemsPath": "$.selected.layers",`,
			`"ItemsPath": "$.selected.layers", "Retry": [{ "ErrorEquals": ["States.ALL"] }],`,
			"canonical", "Prune each: Retry is not that of a state that is not a Task",
		},
		"a comment twice": {
			`"Comment": "There was nothing to do, a later upload does it, or this was a dry run."`,
			`"Comment": "A person must repair something. An alarm is raised too."`,
			"comment", "Unchanged: has the same Comment as FailedDirty",
		},
		"an ending without a message": {
			`"outcome": "FailedDirty", "message.$"`, `"outcome": "FailedDirty", "text.$"`,
			"ending", `Left dirty: the ending "FailedDirty" has no message`,
		},
		"an unknown ending": {
			`"outcome": "Unchanged", "message.$": "$.selected.summary"`,
			`"outcome": "Same", "message.$": "$.selected.summary"`,
			"ending", `Nothing new: the ending has the unknown outcome "Same"`,
		},
		"a mutation that is not undone": {
			`{ "ErrorEquals": ["States.ALL"], "ResultPath": "$", "Next": "Note what failed" }`,
			`{ "ErrorEquals": ["States.ALL"], "ResultPath": "$", "Next": "Nothing touched" }`,
			"rollback", "Publish each: States.ALL leads to Report, not to Rollback",
		},
		"a failure that succeeds": {
			`"Type": "Fail",`, `"Type": "Succeed",`,
			"end", "RolledBack: must not be Succeed",
		},
		"a failure without a reason": {
			`"CausePath": "$.message"`, `"CausePath": "$.outcome"`,
			"end", "RolledBack: must fail with its name as the error",
		},
		"a state that leads nowhere": {
			`"SecondsPath": "$.waitSeconds", "Next": "Intake"`, `"SecondsPath": "$.waitSeconds"`,
			"next", "Wait for the other run: must have either Next or End",
		},
		"an end that is not an outcome": {
			`"Unchanged": {`, `"Same": {`,
			"end", "Same: ends the execution but is not an outcome",
		},
		"an outcome that is missing": {
			`"Unchanged": {`, `"Same": {`,
			"end", "Unchanged: the state is missing",
		},
		"an error that ends well": {
			`"ResultPath": "$.rollbackError", "Next": "Left dirty"`,
			`"ResultPath": "$.rollbackError", "Next": "Released"`,
			"end", "Recover: an error leads to Released",
		},
		"a placeholder within a string": {
			`"${BuildProject}"`, `"project-${BuildProject}"`,
			"placeholder", "must be a whole string",
		},
	}

	sound := regexp.MustCompile(`\s+`).ReplaceAllString(statemachine.Definition(), " ")
	proved := map[string]bool{}
	for name, b := range broken {
		proved[b.check] = true
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if !strings.Contains(sound, b.old) {
				t.Fatalf("the definition has no %s", b.old)
			}

			found := problems(strings.Replace(sound, b.old, b.new, 1))
			if !slices.ContainsFunc(found[b.check], func(p string) bool { return strings.Contains(p, b.finding) }) {
				t.Errorf("found %q, want %s: %s", found, b.check, b.finding)
			}
		})
	}

	for name := range checks {
		if !proved[name] {
			t.Errorf("no broken definition for the check %q", name)
		}
	}
}
