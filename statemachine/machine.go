package statemachine

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Machine is a parsed definition, or the part of one that a Map runs for each item.
type Machine struct {
	Comment         string
	StartAt         string
	TimeoutSeconds  int
	ProcessorConfig ProcessorConfig // of a Map only
	States          map[string]State
}

// ProcessorConfig is how a Map runs its items. INLINE is within the same execution.
type ProcessorConfig struct{ Mode string }

// State is a state of any type. Its fields are all that the definition may use; fields that only
// some engines support are left out, so that Parse refuses them.
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

// Choice is one rule of a Choice state.
type Choice struct {
	Variable      string
	StringEquals  *string
	BooleanEquals *bool
	Next          string
}

// Retrier says how often a state is tried again after certain errors. Its numbers are nil when the
// definition omits them.
type Retrier struct {
	ErrorEquals     []string
	IntervalSeconds *int
	MaxAttempts     *int
	BackoffRate     *float64
}

// Catcher names the state that follows certain errors.
type Catcher struct {
	ErrorEquals []string
	ResultPath  string
	Next        string
}

// Parse reads a definition. A field that State does not have is an error.
func Parse(definition string) (Machine, error) {
	d := json.NewDecoder(strings.NewReader(definition))
	d.DisallowUnknownFields()

	var m Machine
	if err := d.Decode(&m); err != nil {
		return Machine{}, fmt.Errorf("parse state machine: %w", err)
	}

	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return Machine{}, errors.New("parse state machine: unexpected data after the definition")
	}

	return m, nil
}

// Placed is a state with its name and the name of the Map around it, "" for none.
type Placed struct {
	Name, Within string
	State
}

// All returns all states, including those inside Maps, sorted by name.
func (m Machine) All() []Placed {
	all := m.placed("")
	slices.SortFunc(all, func(a, b Placed) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Within, b.Within))
	})

	return all
}

func (m Machine) placed(within string) []Placed {
	var all []Placed
	for name, s := range m.States {
		all = append(all, Placed{name, within, s})
		if s.ItemProcessor != nil {
			all = append(all, s.ItemProcessor.placed(name)...)
		}
	}

	return all
}

// Function returns the placeholder of the Lambda function that a Task calls, "" for all other
// states.
func (s State) Function() string {
	m := placeholder.FindStringSubmatch(s.Resource)
	if s.Type != "Task" || m == nil || m[0] != s.Resource {
		return ""
	}

	return m[1]
}
