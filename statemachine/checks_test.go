package statemachine_test

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/layersmith/layersmith/statemachine"
)

// What the definition may do. Validators know the language; they do not know these.
const (
	firstMutation = "Publish each" // from here on an error must be taken back
	takesBack     = "Rollback"
	buildTask     = "arn:aws:states:::codebuild:startBuild.sync" // the one integration beside Lambda functions
	// Lambda's longest run is 900 seconds (docs: "Lambda quotas"). A Task that outlasts it never
	// leaves a function at work behind its back, while Rollback begins.
	longestFunction = 900
)

// retried must be tried again wherever a Lambda function is called.
var retried = []string{
	"Lambda.ServiceException",
	"Lambda.AWSLambdaException",
	"Lambda.SdkClientException",
	"Lambda.TooManyRequestsException",
	"Unreachable",
	"Throttled",
}

// A check finds what is wrong with a definition. Each finding begins with the state.
type check func(definition string, m statemachine.Machine) []string

// checks have a name each, and the table of TestBrokenDefinitionsAreFound breaks every one.
var checks = map[string]check{
	"keys":        duplicateKeys,
	"names":       uniqueNames,
	"next":        nextExists,
	"reach":       allReachable,
	"default":     choicesHaveDefault,
	"timeout":     tasksHaveTimeout,
	"catch":       tasksAreCaught,
	"all":         allIsLastAndAlone,
	"interval":    retriesAreBounded,
	"integration": knownIntegrations,
	"case":        codebuildIsPascalCase,
	"errors":      knownErrors,
	"retry":       retryableIsRetried,
	"comment":     commentsDiffer,
	"rollback":    mutationsAreTakenBack,
	"end":         endsAreOutcomes,
	"ending":      endingsHaveMessages,
	"placeholder": placeholdersAreInStrings,
}

// problems runs all checks.
func problems(definition string) map[string][]string {
	m, err := statemachine.Parse(definition)
	if err != nil {
		return map[string][]string{"parse": {err.Error()}}
	}

	found := map[string][]string{}
	for name, check := range checks {
		if p := check(definition, m); len(p) > 0 {
			found[name] = p
		}
	}

	return found
}

func duplicateKeys(definition string, _ statemachine.Machine) (found []string) {
	d := json.NewDecoder(strings.NewReader(definition))
	var walk func(at string)
	walk = func(at string) {
		t, err := d.Token()
		if err != nil {
			return
		}

		switch t {
		case json.Delim('{'):
			seen := map[string]bool{}
			for d.More() {
				k, err := d.Token()
				if err != nil {
					return
				}

				key := k.(string)
				if seen[key] {
					found = append(found, fmt.Sprintf("%s/%s: the key is there twice", at, key))
				}

				seen[key] = true
				walk(at + "/" + key)
			}

			_, _ = d.Token()
		case json.Delim('['):
			for d.More() {
				walk(at)
			}

			_, _ = d.Token()
		}
	}
	walk("")
	return found
}

// uniqueNames holds across Maps: the history of an execution does not tell one Prune from another.
func uniqueNames(_ string, m statemachine.Machine) (found []string) {
	all := m.All()
	for i, s := range all {
		if i > 0 && s.Name == all[i-1].Name {
			found = append(found, s.Name+": two states have the name")
		}

		if len(s.Name) > 80 { // docs: "Amazon States Language", States
			found = append(found, s.Name+": longer than 80 characters")
		}
	}

	return found
}

// follows are the states after a state, those of its Catch included.
func follows(s statemachine.State) []string {
	var to []string
	for _, name := range []string{s.Next, s.Default} {
		if name != "" {
			to = append(to, name)
		}
	}

	for _, c := range s.Choices {
		to = append(to, c.Next)
	}

	for _, c := range s.Catch {
		to = append(to, c.Next)
	}

	return to
}

// each visits the machine and those inside of its Maps.
func each(m statemachine.Machine, visit func(statemachine.Machine)) {
	visit(m)
	for _, s := range m.States {
		if s.ItemProcessor != nil {
			each(*s.ItemProcessor, visit)
		}
	}
}

func nextExists(_ string, m statemachine.Machine) (found []string) {
	each(m, func(m statemachine.Machine) {
		if _, ok := m.States[m.StartAt]; !ok {
			found = append(found, fmt.Sprintf("StartAt: no state %q", m.StartAt))
		}

		for _, name := range slices.Sorted(maps.Keys(m.States)) {
			s := m.States[name]
			for _, to := range follows(s) {
				if _, ok := m.States[to]; !ok {
					found = append(found, fmt.Sprintf("%s: leads to %q, which is not there", name, to))
				}
			}

			ends := s.End || s.Type == "Succeed" || s.Type == "Fail" || s.Type == "Choice"
			if ends == (s.Next != "") {
				found = append(found, name+": has neither Next nor an end, or both")
			}
		}
	})
	return found
}

// reachable are the states from which a machine can come from one of its states.
func reachable(m statemachine.Machine, from string) map[string]bool {
	seen := map[string]bool{}
	queue := []string{from}
	for len(queue) > 0 {
		name := queue[0]
		queue = queue[1:]
		if s, ok := m.States[name]; ok && !seen[name] {
			seen[name] = true
			queue = append(queue, follows(s)...)
		}
	}

	return seen
}

func allReachable(_ string, m statemachine.Machine) (found []string) {
	each(m, func(m statemachine.Machine) {
		seen := reachable(m, m.StartAt)
		for _, name := range slices.Sorted(maps.Keys(m.States)) {
			if !seen[name] {
				found = append(found, name+": cannot be reached")
			}
		}
	})
	return found
}

func choicesHaveDefault(_ string, m statemachine.Machine) (found []string) {
	for _, s := range m.All() {
		if s.Type == "Choice" && s.Default == "" {
			found = append(found, s.Name+": no Default; engines differ where nothing matches")
		}
	}

	return found
}

func tasksHaveTimeout(_ string, m statemachine.Machine) (found []string) {
	if m.TimeoutSeconds == 0 {
		found = append(found, "the machine: no TimeoutSeconds")
	}

	for _, s := range m.All() {
		if s.Type == "Task" && s.TimeoutSeconds <= longestFunction {
			found = append(
				found,
				fmt.Sprintf("%s: TimeoutSeconds %d, must be more than %d", s.Name, s.TimeoutSeconds, longestFunction),
			)
		}

		if s.TimeoutSeconds >= m.TimeoutSeconds {
			found = append(
				found,
				fmt.Sprintf("%s: TimeoutSeconds %d, the machine has %d", s.Name, s.TimeoutSeconds, m.TimeoutSeconds),
			)
		}
	}

	return found
}

// catchesAll wants both: States.ALL does not match States.DataLimitExceeded (docs: "Handling errors
// in Step Functions workflows").
func catchesAll(s statemachine.State) bool {
	has := func(name string) bool {
		return slices.ContainsFunc(
			s.Catch,
			func(c statemachine.Catcher) bool { return slices.Contains(c.ErrorEquals, name) },
		)
	}
	return has("States.ALL") && has("States.DataLimitExceeded")
}

func tasksAreCaught(_ string, m statemachine.Machine) (found []string) {
	for _, s := range m.All() {
		if s.Type != "Task" && s.Type != "Map" {
			continue
		}

		if s.Within == "" && !catchesAll(s.State) || s.Within != "" && len(s.Catch) > 0 {
			found = append(
				found,
				s.Name+": must catch States.DataLimitExceeded and States.ALL; inside of a Map, the Map does",
			)
		}
	}

	return found
}

func allIsLastAndAlone(_ string, m statemachine.Machine) (found []string) {
	for _, s := range m.All() {
		var lists [][]string
		for _, r := range s.Retry {
			lists = append(lists, r.ErrorEquals)
		}

		retriers := len(lists)
		for _, c := range s.Catch {
			lists = append(lists, c.ErrorEquals)
		}

		for i, names := range lists {
			if slices.Contains(names, "States.ALL") && (len(names) > 1 || i != retriers-1 && i != len(lists)-1) {
				found = append(found, s.Name+": States.ALL is not alone, or not last")
			}
		}
	}

	return found
}

func retriesAreBounded(_ string, m statemachine.Machine) (found []string) {
	for _, s := range m.All() {
		for _, r := range s.Retry {
			switch {
			case r.IntervalSeconds == nil || *r.IntervalSeconds < 1:
				found = append(found, s.Name+": IntervalSeconds must be at least 1")
			case r.MaxAttempts == nil || *r.MaxAttempts < 1 || *r.MaxAttempts > 10:
				found = append(found, s.Name+": MaxAttempts must be 1 to 10")
			case r.BackoffRate == nil || *r.BackoffRate <= 1:
				found = append(found, s.Name+": BackoffRate must be more than 1")
			}
		}
	}

	return found
}

func knownIntegrations(_ string, m statemachine.Machine) (found []string) {
	for _, s := range m.All() {
		if s.Type == "Task" && s.Resource != buildTask && !slices.Contains(statemachine.Functions(), s.Function()) {
			found = append(found, fmt.Sprintf("%s: unknown integration %q", s.Name, s.Resource))
		}

		if s.ItemProcessor != nil && s.ItemProcessor.ProcessorConfig.Mode != "INLINE" {
			found = append(found, s.Name+": the Map is not INLINE")
		}
	}

	return found
}

func codebuildIsPascalCase(_ string, m statemachine.Machine) (found []string) {
	for _, s := range m.All() {
		if !strings.Contains(s.Resource, ":codebuild:") {
			continue
		}

		var parameters any
		if err := json.Unmarshal(s.Parameters, &parameters); err != nil {
			found = append(found, fmt.Sprintf("%s: Parameters: %v", s.Name, err))
			continue
		}

		var walk func(v any)
		walk = func(v any) {
			switch v := v.(type) {
			case map[string]any:
				for _, key := range slices.Sorted(maps.Keys(v)) {
					if key[:1] != strings.ToUpper(key[:1]) {
						found = append(found, fmt.Sprintf("%s: parameter %s must be PascalCase", s.Name, key))
					}

					walk(v[key])
				}
			case []any:
				for _, e := range v {
					walk(e)
				}
			}
		}
		walk(parameters)
	}

	return found
}

// faultCodes are the constants of type Code in internal/fault. They are read from its source: Go
// keeps no list of constants.
func faultCodes() ([]string, error) {
	file, err := parser.ParseFile(token.NewFileSet(), "../internal/fault/fault.go", nil, 0)
	if err != nil {
		return nil, err
	}

	var codes []string
	for _, d := range file.Decls {
		g, ok := d.(*ast.GenDecl)
		if !ok || g.Tok != token.CONST {
			continue
		}

		for _, spec := range g.Specs {
			v := spec.(*ast.ValueSpec)
			if t, ok := v.Type.(*ast.Ident); !ok || t.Name != "Code" || len(v.Values) != 1 {
				continue
			}

			literal, ok := v.Values[0].(*ast.BasicLit)
			if !ok {
				continue
			}

			code, err := strconv.Unquote(literal.Value)
			if err != nil {
				return nil, err
			}

			codes = append(codes, code)
		}
	}

	return codes, nil
}

func knownErrors(_ string, m statemachine.Machine) (found []string) {
	codes, err := faultCodes()
	if err != nil {
		return []string{err.Error()}
	}

	foreign := regexp.MustCompile(
		`^((Lambda|CodeBuild)\.[A-Z][A-Za-z]+Exception|States\.(ALL|DataLimitExceeded|Timeout|TaskFailed))$`,
	)
	for _, s := range m.All() {
		var names []string
		for _, r := range s.Retry {
			names = append(names, r.ErrorEquals...)
		}

		for _, c := range s.Catch {
			names = append(names, c.ErrorEquals...)
		}

		for _, name := range names {
			if !slices.Contains(codes, name) && !foreign.MatchString(name) {
				found = append(
					found,
					fmt.Sprintf(
						"%s: %q is no code of internal/fault, and no error of an engine or service",
						s.Name,
						name,
					),
				)
			}

			if strings.HasPrefix(name, "CodeBuild.") && s.Resource != buildTask ||
				strings.HasPrefix(name, "Lambda.") && s.Function() == "" {
				found = append(found, fmt.Sprintf("%s: cannot have %s", s.Name, name))
			}
		}
	}

	return found
}

func retryableIsRetried(_ string, m statemachine.Machine) (found []string) {
	for _, s := range m.All() {
		if s.Function() == "" {
			continue
		}

		var names []string
		for _, r := range s.Retry {
			names = append(names, r.ErrorEquals...)
		}

		for _, name := range retried {
			if !slices.Contains(names, name) {
				found = append(found, fmt.Sprintf("%s: %s is not retried", s.Name, name))
			}
		}
	}

	return found
}

func commentsDiffer(_ string, m statemachine.Machine) (found []string) {
	of := map[string]string{"": ""}
	if m.Comment == "" {
		found = append(found, "the machine: no Comment")
	}

	of[m.Comment] = "the machine"
	for _, s := range m.All() {
		if other, ok := of[s.Comment]; ok && s.Comment != "" {
			found = append(found, fmt.Sprintf("%s: has the Comment of %s", s.Name, other))
		}

		of[s.Comment] = s.Name
	}

	return found
}

// mutationsAreTakenBack follows the good path from the first mutation to the report, which is its
// end: what goes wrong on it must come to Rollback before it ends.
func mutationsAreTakenBack(_ string, m statemachine.Machine) (found []string) {
	seen := map[string]bool{}
	queue := []string{firstMutation}
	for len(queue) > 0 {
		name := queue[0]
		queue = queue[1:]
		s, ok := m.States[name]
		if !ok || seen[name] || name == "Report" {
			continue
		}

		seen[name] = true
		for _, c := range s.Catch {
			to := c.Next
			for m.States[to].Type == "Pass" { // notes the error
				to = m.States[to].Next
			}

			if to != takesBack {
				found = append(
					found,
					fmt.Sprintf(
						"%s: %s leads to %s, not to %s",
						name,
						strings.Join(c.ErrorEquals, ", "),
						to,
						takesBack,
					),
				)
			}
		}

		s.Catch = nil
		queue = append(queue, follows(s)...)
	}

	if !seen["Promote"] {
		found = append(found, firstMutation+": does not come to Promote")
	}

	return found
}

// endsAreOutcomes: the last states have the names of the outcomes, good ones succeed, bad ones fail
// and say why, and nothing else ends an execution.
func endsAreOutcomes(_ string, m statemachine.Machine) (found []string) {
	good := []string{"Released", "Unchanged"}
	for _, name := range slices.Sorted(maps.Keys(m.States)) {
		s := m.States[name]
		isEnd := s.End || s.Type == "Succeed" || s.Type == "Fail"
		isOutcome := slices.Contains(statemachine.Outcomes(), name)
		switch {
		case isEnd != isOutcome:
			found = append(found, name+": ends the execution, and is no outcome")
		case isOutcome && slices.Contains(good, name) != (s.Type == "Succeed"):
			found = append(found, fmt.Sprintf("%s: must not be %s", name, s.Type))
		case s.Type == "Fail" && (s.Error != name || s.CausePath != "$.message"):
			found = append(found, name+": must fail with its name as the error, and the ending's message as the cause")
		}
	}

	for _, outcome := range statemachine.Outcomes() {
		if _, ok := m.States[outcome]; !ok {
			found = append(found, outcome+": is not there")
		}
	}

	for name, s := range m.States {
		if len(s.Catch) == 0 || name == "Report" {
			continue
		}

		for _, c := range s.Catch {
			for _, end := range good {
				if withoutReport(m, c.Next)[end] {
					found = append(found, fmt.Sprintf("%s: an error leads to %s", name, end))
				}
			}
		}
	}

	slices.Sort(found)
	return found
}

// withoutReport are the states to which an error can lead before anything is reported: the report
// only repeats the outcome.
func withoutReport(m statemachine.Machine, from string) map[string]bool {
	cut := statemachine.Machine{States: maps.Clone(m.States)}
	delete(cut.States, "Report")
	return reachable(cut, from)
}

// endingsHaveMessages: a Pass that decides the outcome says why.
func endingsHaveMessages(_ string, m statemachine.Machine) (found []string) {
	for _, s := range m.All() {
		if s.Type != "Pass" || !strings.Contains(string(s.Parameters), `"outcome"`) {
			continue
		}

		var p struct {
			Outcome, Message string
			MessagePath      string `json:"message.$"`
			Ending           struct {
				Outcome, Message string
				MessagePath      string `json:"message.$"`
			}
		}
		if err := json.Unmarshal(s.Parameters, &p); err != nil {
			found = append(found, fmt.Sprintf("%s: %v", s.Name, err))
			continue
		}

		if p.Outcome == "" {
			p.Outcome = p.Ending.Outcome
			p.Message = p.Ending.Message
			p.MessagePath = p.Ending.MessagePath
		}

		if !slices.Contains(statemachine.Outcomes(), p.Outcome) || p.Message+p.MessagePath == "" {
			found = append(
				found,
				fmt.Sprintf(
					"%s: the ending has the outcome %q and no message, or an outcome that is none",
					s.Name,
					p.Outcome,
				),
			)
		}
	}

	return found
}

// placeholdersAreInStrings: what is put in for them cannot break the JSON, and each is the whole of
// its string.
func placeholdersAreInStrings(definition string, _ statemachine.Machine) (found []string) {
	for _, p := range regexp.MustCompile(`.?\$\{[^}]*\}.?`).FindAllString(definition, -1) {
		if !strings.HasPrefix(p, `"`) || !strings.HasSuffix(p, `"`) {
			found = append(found, p+": must be a string by itself")
		}
	}

	return found
}

func TestDefinitionIsSound(t *testing.T) {
	t.Parallel()
	found := problems(statemachine.Definition())
	for _, name := range slices.Sorted(maps.Keys(found)) {
		for _, p := range found[name] {
			t.Errorf("%s: %s", name, p)
		}
	}
}

// Each row breaks the definition in one place, and one check says so.
func TestBrokenDefinitionsAreFound(t *testing.T) {
	t.Parallel()
	broken := map[string]struct{ old, new, check, finding string }{
		"a field that only some engines know": {
			`"MaxConcurrency": 5,`,
			`"MaxConcurrency": 5, "ToleratedFailurePercentage": 10,`,
			"parse",
			`unknown field "ToleratedFailurePercentage"`,
		},
		"JSONata": {`"StartAt": "Intake",`, `"StartAt": "Intake", "QueryLanguage": "JSONata",`,
			"parse", `unknown field "QueryLanguage"`},
		"something after the end": {`"CausePath": "$.message" } } } `, `"CausePath": "$.message" } } } {}`,
			"parse", "something follows"},
		"a key twice": {`"StartAt": "Intake",`, `"StartAt": "Intake", "StartAt": "Intake",`,
			"keys", "/StartAt: the key is there twice"},
		"a state's key twice": {`"ResultPath": null,`, `"ResultPath": null, "ResultPath": "$.built",`,
			"keys", "/ResultPath: the key is there twice"},
		"two states with one name": {`"Moved": {`, `"Report": {`, "names", "Report: two states have the name"},
		"a Next that is not there": {
			`"Next": "Select"`,
			`"Next": "Selekt"`,
			"next",
			`Build: leads to "Selekt", which is not there`,
		},
		"a start that is not there": {
			`"StartAt": "Update"`,
			`"StartAt": "Before"`,
			"next",
			`StartAt: no state "Before"`,
		},
		"a Next out of a Map": {
			`"InputPath": "$.updated.consumer",`,
			`"InputPath": "$.updated.consumer", "Next": "Promote",`,
			"next",
			`Moved: leads to "Promote", which is not there`,
		},
		"a state that nothing leads to": {
			`"Default": "Nothing new"`,
			`"Default": "Report"`,
			"reach",
			"Nothing new: cannot be reached",
		},
		"a Choice without Default": {
			`"Default": "Nothing new"`,
			`"Comment": "none"`,
			"default",
			"Changed?: no Default",
		},
		"a machine without a timeout": {`"TimeoutSeconds": 21600,`, ``, "timeout", "the machine: no TimeoutSeconds"},
		"a Task without a timeout":    {`"TimeoutSeconds": 7200,`, ``, "timeout", "Build: TimeoutSeconds 0"},
		"a Task that gives up before its function": {`"TimeoutSeconds": 7200,`, `"TimeoutSeconds": 900,`,
			"timeout", "Build: TimeoutSeconds 900, must be more than 900"},
		"a Task that outlasts the machine": {`"TimeoutSeconds": 7200,`, `"TimeoutSeconds": 21600,`,
			"timeout", "Build: TimeoutSeconds 21600, the machine has 21600"},
		"a Task that catches less than all": {
			`{ "ErrorEquals": ["States.ALL"], "ResultPath": "$", "Next": "Nothing touched" }`,
			`{ "ErrorEquals": ["States.Timeout"], "ResultPath": "$", "Next": "Nothing touched" }`,
			"catch",
			"Intake: must catch",
		},
		"a Task that misses what States.ALL misses": {
			`{ "ErrorEquals": ["States.DataLimitExceeded"], "ResultPath": "$", "Next": "Nothing touched" },`,
			``,
			"catch",
			"Intake: must catch",
		},
		"States.ALL in company": {`"ErrorEquals": ["States.ALL"]`, `"ErrorEquals": ["States.Timeout", "States.ALL"]`,
			"all", "Intake: States.ALL is not alone"},
		"States.ALL not last": {`"ErrorEquals": ["States.DataLimitExceeded"]`, `"ErrorEquals": ["States.ALL"]`,
			"all", "Intake: States.ALL is not alone, or not last"},
		"States.ALL not last in Retry": {
			`{ "ErrorEquals": ["Unreachable", "Throttled"],`,
			`{ "ErrorEquals": ["States.ALL"], "IntervalSeconds": 1, "MaxAttempts": 1, "BackoffRate": 2 }, { "ErrorEquals": ["Unreachable", "Throttled"],`,
			"all",
			"Intake: States.ALL is not alone, or not last",
		},
		"a retry at once": {
			`"IntervalSeconds": 30,`,
			`"IntervalSeconds": 0,`,
			"interval",
			"Build: IntervalSeconds must be at least 1",
		},
		"a retry without end": {`"IntervalSeconds": 30, "MaxAttempts": 5,`, `"IntervalSeconds": 30, "MaxAttempts": 99,`,
			"interval", "Build: MaxAttempts must be 1 to 10"},
		"a retry that does not back off": {
			`"IntervalSeconds": 30, "MaxAttempts": 5, "BackoffRate": 2`,
			`"IntervalSeconds": 30, "MaxAttempts": 5, "BackoffRate": 1`,
			"interval",
			"Build: BackoffRate must be more than 1",
		},
		"an unknown integration": {`codebuild:startBuild.sync`, `codebuild:startTheBuild.sync`,
			"integration", `Build: unknown integration "arn:aws:states:::codebuild:startTheBuild.sync"`},
		"a function that is none": {
			`"${Select}"`,
			`"${Selekt}"`,
			"integration",
			`Select: unknown integration "${Selekt}"`,
		},
		"a Map of child executions": {
			`"INLINE"`,
			`"DISTRIBUTED"`,
			"integration",
			"Prune each: the Map is not INLINE",
		},
		"camelCase for CodeBuild": {
			`"ProjectName"`,
			`"projectName"`,
			"case",
			"Build: parameter projectName must be PascalCase",
		},
		"camelCase deeper for CodeBuild": {
			`"Value.$": "$.run"`,
			`"value.$": "$.run"`,
			"case",
			"Build: parameter value.$ must be PascalCase",
		},
		"an error that nobody has": {`"Unreachable", "Throttled"`, `"Unreachable", "Throttled", "Unreached"`,
			"errors", `Intake: "Unreached" is no code of internal/fault`},
		"an error of another service": {`"CodeBuild.ThrottlingException"`, `"Lambda.TooManyRequestsException"`,
			"errors", "Build: cannot have Lambda.TooManyRequestsException"},
		"a retryable fault that is not retried": {
			`["Unreachable", "Throttled"]`,
			`["Unreachable"]`,
			"retry",
			"Intake: Throttled is not retried",
		},
		"a Lambda error that is not retried": {
			`"Lambda.SdkClientException", `,
			``,
			"retry",
			"Intake: Lambda.SdkClientException is not retried",
		},
		"a comment twice": {
			`"Comment": "Nothing to do, or a dry run."`,
			`"Comment": "Somebody must look; an alarm says so too."`,
			"comment",
			"Unchanged: has the Comment of FailedDirty",
		},
		"an ending without a message": {`"outcome": "FailedDirty", "message.$"`, `"outcome": "FailedDirty", "text.$"`,
			"ending", `Left dirty: the ending has the outcome "FailedDirty" and no message`},
		"an ending that is none": {
			`"outcome": "Unchanged", "message.$": "$.selected.summary"`,
			`"outcome": "Same", "message.$": "$.selected.summary"`,
			"ending",
			`Nothing new: the ending has the outcome "Same"`,
		},
		"a mutation that is not taken back": {
			`{ "ErrorEquals": ["States.ALL"], "ResultPath": "$", "Next": "Note what failed" }`,
			`{ "ErrorEquals": ["States.ALL"], "ResultPath": "$", "Next": "Nothing touched" }`,
			"rollback",
			"Publish each: States.ALL leads to Report, not to Rollback",
		},
		"a failure that is green": {`"Type": "Fail",`, `"Type": "Succeed",`, "end", "RolledBack: must not be Succeed"},
		"a failure that does not say why": {`"CausePath": "$.message"`, `"CausePath": "$.outcome"`,
			"end", "RolledBack: must fail with its name as the error"},
		"a state that leads nowhere": {
			`"SecondsPath": "$.waitSeconds", "Next": "Intake"`,
			`"SecondsPath": "$.waitSeconds"`,
			"next",
			"Wait for the other run: has neither Next nor an end",
		},
		"an end that is no outcome": {
			`"Unchanged": {`,
			`"Same": {`,
			"end",
			"Same: ends the execution, and is no outcome",
		},
		"an outcome that is missing": {`"Unchanged": {`, `"Same": {`, "end", "Unchanged: is not there"},
		"an error that ends well": {`"ResultPath": "$.rollbackError", "Next": "Left dirty"`,
			`"ResultPath": "$.rollbackError", "Next": "Released"`, "end", "Recover: an error leads to Released"},
		"a placeholder within a string": {
			`"${BuildProject}"`,
			`"project-${BuildProject}"`,
			"placeholder",
			"must be a string by itself",
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
			t.Errorf("nothing shows that the check %q can fail", name)
		}
	}
}
