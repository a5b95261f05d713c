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

	"github.com/layersmith/layersmith/statemachine"
)

// The names that the checks refer to.
const (
	firstMutation = "Publish each" // from this state on an error must lead to rollback
	rollback      = "Rollback"
	buildTask     = "arn:aws:states:::codebuild:startBuild.sync" // the only integration besides Lambda functions
)

// longestFunction is Lambda's longest timeout in seconds (docs: "Lambda quotas"). A Task must wait
// longer: if it gave up first, the function could still be working when Rollback starts.
const longestFunction = 900

// retried are the errors that every call of a Lambda function must retry.
var retried = []string{
	"Lambda.ServiceException",
	"Lambda.AWSLambdaException",
	"Lambda.SdkClientException",
	"Lambda.TooManyRequestsException",
	"Unreachable",
	"Throttled",
}

// A check returns the mistakes in a definition. Each begins with the name of the state.
type check func(definition string, m statemachine.Machine) []string

// checks are the rules of this project, which validators of the language do not know. For each of
// them TestBrokenDefinitionsAreFound has a definition that breaks it.
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
	"canonical":   retriesAreCanonical,
	"comment":     commentsDiffer,
	"rollback":    mutationsAreUndone,
	"end":         endsAreOutcomes,
	"ending":      endingsHaveMessages,
	"placeholder": placeholdersAreInStrings,
}

// problems runs all checks and returns their findings by name.
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
					found = append(found, fmt.Sprintf("%s/%s: the key occurs twice", at, key))
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

// uniqueNames counts states inside Maps too: the history of an execution names a state without the
// Map around it.
func uniqueNames(_ string, m statemachine.Machine) (found []string) {
	all := m.All()
	for i, s := range all {
		if i > 0 && s.Name == all[i-1].Name {
			found = append(found, s.Name+": two states have this name")
		}

		if len(s.Name) > 80 { // docs: "Amazon States Language", States
			found = append(found, s.Name+": longer than 80 characters")
		}
	}

	return found
}

// follows returns the states that can come after a state, including those of its Catch.
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

// each visits the machine and the machines inside its Maps.
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
					found = append(found, fmt.Sprintf("%s: leads to %q, which does not exist", name, to))
				}
			}

			ends := s.End || s.Type == "Succeed" || s.Type == "Fail" || s.Type == "Choice"
			if ends == (s.Next != "") {
				found = append(found, name+": must have either Next or End")
			}
		}
	})
	return found
}

// reachable returns the states that a machine can reach from one of its states, itself included.
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
			found = append(found, s.Name+": no Default; engines differ when no rule matches")
		}
	}

	return found
}

func tasksHaveTimeout(_ string, m statemachine.Machine) (found []string) {
	if m.TimeoutSeconds == 0 {
		found = append(found, "the machine: no TimeoutSeconds")
	}

	for _, s := range m.All() {
		seconds := s.TimeoutSeconds
		if s.Type == "Task" && seconds <= longestFunction {
			found = append(found,
				fmt.Sprintf("%s: TimeoutSeconds %d, must be more than %d", s.Name, seconds, longestFunction))
		}

		if seconds >= m.TimeoutSeconds {
			found = append(found,
				fmt.Sprintf("%s: TimeoutSeconds %d, the machine has %d", s.Name, seconds, m.TimeoutSeconds))
		}
	}

	return found
}

// catchesAll requires two names, because States.ALL does not match States.DataLimitExceeded (docs:
// "Handling errors in Step Functions workflows").
func catchesAll(s statemachine.State) bool {
	has := func(name string) bool {
		return slices.ContainsFunc(s.Catch, func(c statemachine.Catcher) bool {
			return slices.Contains(c.ErrorEquals, name)
		})
	}

	return has("States.ALL") && has("States.DataLimitExceeded")
}

func tasksAreCaught(_ string, m statemachine.Machine) (found []string) {
	for _, s := range m.All() {
		if s.Type != "Task" && s.Type != "Map" {
			continue
		}

		switch {
		case s.Within == "" && !catchesAll(s.State):
			found = append(found, s.Name+": must catch States.DataLimitExceeded and States.ALL")
		case s.Within != "" && len(s.Catch) > 0:
			found = append(found, s.Name+": must catch nothing, because the Map around it catches")
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

// faultCodes returns the constants of type Code in internal/fault. It reads the source, because a
// Go program cannot list constants.
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

	ofAWS := regexp.MustCompile(
		`^((Lambda|CodeBuild)\.[A-Z][A-Za-z]+Exception|States\.(ALL|DataLimitExceeded|Timeout|TaskFailed))$`)
	for _, s := range m.All() {
		for _, name := range append(retriedErrors(s.State), caughtErrors(s.State)...) {
			if !slices.Contains(codes, name) && !ofAWS.MatchString(name) {
				found = append(found,
					fmt.Sprintf("%s: %q is neither a code of internal/fault nor an error of AWS", s.Name, name))
			}

			if strings.HasPrefix(name, "CodeBuild.") && s.Resource != buildTask ||
				strings.HasPrefix(name, "Lambda.") && s.Function() == "" {
				found = append(found, fmt.Sprintf("%s: cannot have the error %s", s.Name, name))
			}
		}
	}

	return found
}

func retriedErrors(s statemachine.State) (names []string) {
	for _, r := range s.Retry {
		names = append(names, r.ErrorEquals...)
	}

	return names
}

func caughtErrors(s statemachine.State) (names []string) {
	for _, c := range s.Catch {
		names = append(names, c.ErrorEquals...)
	}

	return names
}

func retryableIsRetried(_ string, m statemachine.Machine) (found []string) {
	for _, s := range m.All() {
		if s.Function() == "" {
			continue
		}

		for _, name := range retried {
			if !slices.Contains(retriedErrors(s.State), name) {
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
			found = append(found, fmt.Sprintf("%s: has the same Comment as %s", s.Name, other))
		}

		of[s.Comment] = s.Name
	}

	return found
}

// mutationsAreUndone follows the path without errors from the first mutation to Report: every error
// on it must lead to Rollback.
func mutationsAreUndone(_ string, m statemachine.Machine) (found []string) {
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
			for m.States[to].Type == "Pass" { // it only records the error
				to = m.States[to].Next
			}

			if to != rollback {
				errors := strings.Join(c.ErrorEquals, ", ")
				found = append(found, fmt.Sprintf("%s: %s leads to %s, not to %s", name, errors, to, rollback))
			}
		}

		s.Catch = nil
		queue = append(queue, follows(s)...)
	}

	if !seen["Promote"] {
		found = append(found, firstMutation+": does not lead to Promote")
	}

	return found
}

// good are the outcomes that no error may lead to.
var good = []string{"Released", "Unchanged"}

// endsAreOutcomes checks that exactly the states with the names of outcomes end an execution, that
// the good ones succeed, that the others fail with a reason, and that no error leads to a good one.
func endsAreOutcomes(_ string, m statemachine.Machine) (found []string) {
	for _, name := range slices.Sorted(maps.Keys(m.States)) {
		found = append(found, endMistakes(name, m.States[name])...)
	}

	for _, outcome := range statemachine.Outcomes() {
		if _, ok := m.States[outcome]; !ok {
			found = append(found, outcome+": the state is missing")
		}
	}

	found = append(found, errorsThatEndWell(m)...)
	slices.Sort(found)

	return found
}

func endMistakes(name string, s statemachine.State) (found []string) {
	isEnd := s.End || s.Type == "Succeed" || s.Type == "Fail"
	isOutcome := slices.Contains(statemachine.Outcomes(), name)

	switch {
	case isEnd != isOutcome:
		found = append(found, name+": ends the execution but is not an outcome, or the other way round")
	case isOutcome && slices.Contains(good, name) != (s.Type == "Succeed"):
		found = append(found, fmt.Sprintf("%s: must not be %s", name, s.Type))
	case s.Type == "Fail" && (s.Error != name || s.CausePath != "$.message"):
		found = append(found, name+": must fail with its name as the error, and the ending's message as the cause")
	}

	return found
}

// errorsThatEndWell follows every Catch, except that of Report, whose errors do not change the
// outcome.
func errorsThatEndWell(m statemachine.Machine) (found []string) {
	for name, s := range m.States {
		if name == "Report" {
			continue
		}

		for _, c := range s.Catch {
			reached := beforeReport(m, c.Next)
			for _, end := range good {
				if reached[end] {
					found = append(found, fmt.Sprintf("%s: an error leads to %s", name, end))
				}
			}
		}
	}

	return found
}

// beforeReport returns the states that an error can lead to without passing through Report. What
// follows Report only repeats the outcome.
func beforeReport(m statemachine.Machine, from string) map[string]bool {
	cut := statemachine.Machine{States: maps.Clone(m.States)}
	delete(cut.States, "Report")

	return reachable(cut, from)
}

// endingsHaveMessages checks that a Pass that sets the outcome also sets a message.
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

		switch {
		case !slices.Contains(statemachine.Outcomes(), p.Outcome):
			found = append(found, fmt.Sprintf("%s: the ending has the unknown outcome %q", s.Name, p.Outcome))
		case p.Message+p.MessagePath == "":
			found = append(found, fmt.Sprintf("%s: the ending %q has no message", s.Name, p.Outcome))
		}
	}

	return found
}

// placeholdersAreInStrings checks that each placeholder is a whole JSON string.
func placeholdersAreInStrings(definition string, _ statemachine.Machine) (found []string) {
	for _, p := range regexp.MustCompile(`.?\$\{[^}]*\}.?`).FindAllString(definition, -1) {
		if !strings.HasPrefix(p, `"`) || !strings.HasSuffix(p, `"`) {
			found = append(found, p+": must be a whole string")
		}
	}

	return found
}
