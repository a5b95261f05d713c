package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/layersmith/layersmith/statemachine"
)

func machine(t *testing.T, states string) statemachine.Machine {
	t.Helper()
	m, err := statemachine.Parse(`{"StartAt": "A", "States": {` + states + `}}`)
	if err != nil {
		t.Fatal(err)
	}

	return m
}

const (
	task   = `"A": {"Type": "Task", "Next": "End"}, "End": {"Type": "Succeed"}`
	caught = `"A": {"Type": "Task", "Next": "End", "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "Sorry"}]},
		"Sorry": {"Type": "Pass", "Next": "Failed"},
		"Failed": {"Type": "Fail"}, "End": {"Type": "Succeed"}`
	loop = `"A": {"Type": "Wait", "Next": "Q"},
		"Q": {"Type": "Choice", "Choices": [{"Variable": "$.x", "BooleanEquals": true, "Next": "End"}], "Default": "A"},
		"End": {"Type": "Succeed"}`
	items = `"A": {"Type": "Map", "MaxConcurrency": 2,
		"ItemProcessor": {"StartAt": "One", "States": {
			"One": {"Type": "Task", "Next": "Two"}, "Two": {"Type": "Pass", "End": true}}},
		"Catch": [{"ErrorEquals": ["States.ALL"], "Next": "Failed"}], "Next": "End"},
		"Failed": {"Type": "Fail"}, "End": {"Type": "Succeed"}`
)

// All counts are made by hand: the states that are executed, and one for the start.
func TestTransitionsAreThoseCountedByHand(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		states string
		route  Route
		want   int
		end    string
	}{
		"a task and the end":                  {task, Route{}, 3, "End"},
		"a task that fails: task, pass, fail": {caught, Route{Fails: "A"}, 4, "Failed"},
		"a loop: wait and question three times, the end": {
			loop,
			Route{Choose: map[string][]string{"Q": {"A", "A", "End"}}},
			8,
			"End",
		},
		"a map over no items":                 {items, Route{Items: map[string]int{"A": 0}}, 3, "End"},
		"a map over five items of two states": {items, Route{Items: map[string]int{"A": 5}}, 13, "End"},
		"a map that fails: two items of one state began": {
			items,
			Route{Items: map[string]int{"A": 5}, Fails: "One"},
			5,
			"Failed",
		},
		"a map that fails with fewer items than may run": {
			items,
			Route{Items: map[string]int{"A": 1}, Fails: "One"},
			4,
			"Failed",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, err := Follow(machine(t, c.states), c.route)
			if err != nil {
				t.Fatal(err)
			}

			if s.Transitions() != c.want || s.End() != c.end {
				t.Errorf("%d transitions to %s, want %d to %s: %v", s.Transitions(), s.End(), c.want, c.end, s.Entered)
			}
		})
	}
}

func TestRoutesThatTheDefinitionDoesNotHaveAreRefused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		states string
		route  Route
		want   string
	}{
		"a question without an answer": {loop, Route{Name: "r"}, "follow r: Q has no answer after 0"},
		"an answer that leads nowhere": {
			loop,
			Route{Name: "r", Choose: map[string][]string{"Q": {"B"}}},
			"follow r: Q does not lead to B",
		},
		"an answer too many": {
			loop,
			Route{Name: "r", Choose: map[string][]string{"Q": {"End", "End"}}},
			"follow r: Q is asked 1 times, not 2",
		},
		"items not said": {items, Route{Name: "r"}, "follow r: A: over how many items?"},
		"items of a map not reached": {
			task,
			Route{Name: "r", Items: map[string]int{"M": 1}},
			"follow r: M is never reached",
		},
		"a failure that nobody catches": {
			task,
			Route{Name: "r", Fails: "A"},
			"follow r: A fails and nothing catches it",
		},
		"a state that is not there": {`"A": {"Type": "Pass", "Next": "B"}`, Route{Name: "r"}, `follow r: no state "B"`},
		"a circle": {
			`"A": {"Type": "Pass", "Next": "A"}`,
			Route{Name: "r"},
			"follow r: more than 10000 states",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := Follow(machine(t, c.states), c.route); err == nil || err.Error() != c.want {
				t.Errorf("error %v, want %s", err, c.want)
			}
		})
	}
}

// The paths are written here as people read them in the definition; the counts of Released are 16
// states outside of Maps and the start, 4 maps over 3 layers with 1 state each, and for each of 2
// consumers Update, 10 times Settle, Health and Quiet?, and Moved.
func TestRoutesOfThePipeline(t *testing.T) {
	t.Parallel()
	m, err := statemachine.Parse(statemachine.Definition())
	if err != nil {
		t.Fatal(err)
	}

	c := Case{Layers: 3, Consumers: 2, Looks: 10}
	const build = "Intake, What next?, Build, Select, Changed?, "
	const publish = build + "Prune each, Measure each, Record, Publish?, Publish each, Verify each, Update each, "
	for name, want := range map[string]struct {
		route Route
		path  string
		n     int
	}{
		"released": {
			Released(c),
			publish + "Promote, Report, Outcome?, Released",
			16 + 1 + 4*3 + 2*(1+10*3+1),
		},
		"unchanged at intake":    {UnchangedAtIntake(c), "Intake, What next?, Report, Outcome?, Unchanged", 5 + 1},
		"unchanged after select": {UnchangedAfterSelect(c), build + "Nothing new, Report, Outcome?, Unchanged", 9 + 1},
		"failed in build": {
			FailedInBuild(c),
			"Intake, What next?, Build, Nothing touched, Report, Outcome?, FailedClean",
			7 + 1,
		},
		"rolled back in health": {
			RolledBackInHealth(c),
			publish + "Note what failed, Rollback, Report, Outcome?, RolledBack",
			17 + 1 + 4*3 + 2*(1+9*3+2),
		},
		"nobody to move": {Released(Case{Layers: 1}), publish + "Promote, Report, Outcome?, Released", 16 + 1 + 4},
		"after two waits": {
			UnchangedAtIntake(Case{Waits: 2}),
			strings.Repeat("Intake, What next?, Wait for the other run, ", 2) + "Intake, What next?, Report, " +
				"Outcome?, Unchanged",
			11 + 1,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, err := Follow(m, want.route)
			if err != nil {
				t.Fatal(err)
			}

			if !slices.Equal(s.Path, strings.Split(want.path, ", ")) {
				t.Errorf("path %s, want %s", strings.Join(s.Path, ", "), want.path)
			}

			if s.Transitions() != want.n {
				t.Errorf("%d transitions, want %d: %v", s.Transitions(), want.n, s.Entered)
			}
		})
	}
}
