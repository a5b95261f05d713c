// Package statemachine is the workflow: its definition in the Amazon States Language, and that
// definition as values, for whoever deploys, draws or checks it.
//
// The definition is JSONPath, which every engine executes alike, and valid JSON: placeholders such
// as ${Prune} stand inside strings only. A placeholder is the name of a function in functions/ with
// a capital, and stands for its ARN; ${BuildProject} is the one other. A state is an act or a
// question; a Comment says what the name cannot.
package statemachine

import (
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
)

//go:embed pipeline.asl.json
var definition string

// BuildProject is the placeholder of the CodeBuild project's name. All other placeholders are
// functions.
const BuildProject = "BuildProject"

// MaxStateBytes is what may travel between two states (docs: "Step Functions service quotas").
const MaxStateBytes = 256 << 10

// outcomes are in the order in which people like them.
var outcomes = []string{"Released", "Unchanged", "RolledBack", "FailedClean", "FailedDirty"}

// Outcomes returns the states in which an execution ends, the best first.
func Outcomes() []string { return slices.Clone(outcomes) }

// Definition returns the definition with its placeholders.
func Definition() string { return definition }

var placeholder = regexp.MustCompile(`\$\{([^}]*)\}`)

// Placeholders returns the names of all placeholders, sorted.
func Placeholders() []string {
	names := map[string]bool{}
	for _, m := range placeholder.FindAllStringSubmatch(definition, -1) {
		names[m[1]] = true
	}

	return slices.Sorted(maps.Keys(names))
}

// Functions returns the placeholders that stand for the ARNs of Lambda functions, sorted: "Health",
// "Intake", ... The function's folder is the name in lower case.
func Functions() []string {
	return slices.DeleteFunc(Placeholders(), func(name string) bool { return name == BuildProject })
}

// Resolve returns the definition with every placeholder replaced. A placeholder without a value is
// an error, and so is a value without a placeholder.
func Resolve(values map[string]string) (string, error) {
	var problems []error
	known := Placeholders()
	for _, name := range known {
		if values[name] == "" {
			problems = append(problems, fmt.Errorf("resolve ${%s}: no value", name))
		}
	}

	for _, name := range slices.Sorted(maps.Keys(values)) {
		if !slices.Contains(known, name) {
			problems = append(problems, fmt.Errorf("resolve ${%s}: the definition has no such placeholder", name))
		}
	}

	if len(problems) > 0 {
		return "", errors.Join(problems...)
	}

	return placeholder.ReplaceAllStringFunc(definition, func(p string) string {
		quoted, _ := json.Marshal(values[p[2:len(p)-1]]) // a string always encodes
		return string(quoted[1 : len(quoted)-1])
	}), nil
}

// Machine is a definition, or what a Map does with each item.
type Machine struct {
	Comment         string          `json:"Comment"`
	StartAt         string          `json:"StartAt"`
	TimeoutSeconds  int             `json:"TimeoutSeconds"`
	ProcessorConfig ProcessorConfig `json:"ProcessorConfig"` // of a Map only
	States          map[string]State
}

// ProcessorConfig says how a Map runs: INLINE, within the execution.
type ProcessorConfig struct{ Mode string }

// State is any state. The fields are all that the definition may use: what only some engines know
// is not among them.
type State struct {
	Type    string
	Comment string

	Next    string
	Default string // of a Choice
	End     bool
	Choices []Choice

	Resource       string // of a Task
	TimeoutSeconds int
	Retry          []Retrier
	Catch          []Catcher

	InputPath      json.RawMessage
	Parameters     json.RawMessage
	ResultSelector json.RawMessage
	ResultPath     json.RawMessage // null discards the result
	OutputPath     json.RawMessage

	SecondsPath string // of a Wait

	ItemsPath      string // of a Map
	ItemSelector   json.RawMessage
	MaxConcurrency int
	ItemProcessor  *Machine

	Error     string // of a Fail
	CausePath string
}

// Choice is one rule.
type Choice struct {
	Variable      string
	StringEquals  *string
	BooleanEquals *bool
	Next          string
}

// Retrier is one retry policy.
type Retrier struct {
	ErrorEquals     []string
	IntervalSeconds *int
	MaxAttempts     *int
	BackoffRate     *float64
}

// Catcher is where an error leads.
type Catcher struct {
	ErrorEquals []string
	ResultPath  string
	Next        string
}

// Parse reads a definition strictly: a field that is not in State is an error.
func Parse(definition string) (Machine, error) {
	d := json.NewDecoder(strings.NewReader(definition))
	d.DisallowUnknownFields()
	var m Machine
	if err := d.Decode(&m); err != nil {
		return Machine{}, fmt.Errorf("parse state machine: %w", err)
	}

	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return Machine{}, errors.New("parse state machine: something follows the definition")
	}

	return m, nil
}

// Placed is a state with its name and the Map around it, "" for none.
type Placed struct {
	Name, Within string
	State
}

// All returns all states, also those inside of Maps, sorted by name.
func (m Machine) All() []Placed {
	var all []Placed
	var gather func(m Machine, within string)
	gather = func(m Machine, within string) {
		for name, s := range m.States {
			all = append(all, Placed{name, within, s})
			if s.ItemProcessor != nil {
				gather(*s.ItemProcessor, name)
			}
		}
	}
	gather(m, "")
	slices.SortFunc(all, func(a, b Placed) int {
		if c := strings.Compare(a.Name, b.Name); c != 0 {
			return c
		}

		return strings.Compare(a.Within, b.Within)
	})
	return all
}

// Function is the placeholder of the Lambda function that a Task calls, "" for every other state.
func (s State) Function() string {
	m := placeholder.FindStringSubmatch(s.Resource)
	if s.Type != "Task" || m == nil || m[0] != s.Resource {
		return ""
	}

	return m[1]
}
