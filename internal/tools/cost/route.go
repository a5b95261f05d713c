package main

import (
	"fmt"
	"slices"

	"github.com/layersmith/layersmith/statemachine"
)

// Route is one path through the state machine.
type Route struct {
	Name   string
	Choose map[string][]string // by Choice: the next state of the first time, the second time, ...
	Items  map[string]int      // by Map: the number of items

	// Fails is the task that fails, "" for none, at its execution number FailAt. There are no
	// retries: only errors of the network and of Lambda itself have some.
	Fails  string
	FailAt int
}

// Steps are the states that a route executes.
type Steps struct {
	Entered map[string]int // executions of each state, with all items of Maps
	Path    []string       // states outside of Maps, in order
}

// start is the transition of an execution's start. AWS counts a transition "each time a step of your
// workflow is executed" and does not say whether the start is one. Counting it is at most one too
// many.
const start = 1

// Transitions is the billed number.
func (s Steps) Transitions() int {
	n := start
	for _, e := range s.Entered {
		n += e
	}

	return n
}

// End is the last state.
func (s Steps) End() string { return s.Path[len(s.Path)-1] }

// Follow walks a route. A choice that the definition does not have, that is missing, or that is not
// reached is an error.
func Follow(m statemachine.Machine, r Route) (Steps, error) {
	w := walker{route: r, entered: map[string]int{}, asked: map[string]int{}}
	path, failed, err := w.follow(m)
	if err == nil && failed {
		err = fmt.Errorf("%s fails and nothing catches it", r.Fails)
	}

	for c, answers := range r.Choose {
		if err == nil && w.asked[c] != len(answers) {
			err = fmt.Errorf("%s is asked %d times, not %d", c, w.asked[c], len(answers))
		}
	}

	for name := range r.Items {
		if err == nil && w.entered[name] == 0 {
			err = fmt.Errorf("%s is never reached", name)
		}
	}

	if err != nil {
		return Steps{}, fmt.Errorf("follow %s: %w", r.Name, err)
	}

	return Steps{w.entered, path}, nil
}

type walker struct {
	route   Route
	entered map[string]int
	asked   map[string]int
}

// longest is the most states of a walk, to end one that goes in circles.
const longest = 10_000

func (w *walker) follow(m statemachine.Machine) (path []string, failed bool, err error) {
	for name := m.StartAt; len(path) < longest; {
		s, ok := m.States[name]
		if !ok {
			return nil, false, fmt.Errorf("no state %q", name)
		}

		path = append(path, name)
		w.entered[name]++
		fails := name == w.route.Fails && w.entered[name] == max(1, w.route.FailAt)
		next := s.Next
		switch s.Type {
		case "Choice":
			answers := w.route.Choose[name]
			if w.asked[name] == len(answers) {
				return nil, false, fmt.Errorf("%s has no answer after %d", name, len(answers))
			}

			next = answers[w.asked[name]]
			w.asked[name]++
			leads := func(c statemachine.Choice) bool { return c.Next == next }
			if next != s.Default && !slices.ContainsFunc(s.Choices, leads) {
				return nil, false, fmt.Errorf("%s does not lead to %s", name, next)
			}
		case "Map":
			if fails, err = w.items(name, s); err != nil {
				return nil, false, err
			}
		case "Succeed", "Fail":
			return path, false, nil
		}

		switch {
		case fails && len(s.Catch) == 0:
			return path, true, nil
		case fails:
			next = s.Catch[len(s.Catch)-1].Next // the catch-all is the last
		case s.End:
			return path, false, nil
		}

		name = next
	}

	return nil, false, fmt.Errorf("more than %d states", longest)
}

// items executes a Map. All items take the same path. If one fails, those that run at the same time
// have come as far, which is the most possible, and no others start.
func (w *walker) items(name string, s statemachine.State) (failed bool, err error) {
	n, ok := w.route.Items[name]
	if !ok {
		return false, fmt.Errorf("%s: over how many items?", name)
	}

	if n == 0 {
		return false, nil
	}

	one := walker{route: w.route, entered: map[string]int{}, asked: map[string]int{}}
	if _, failed, err = one.follow(*s.ItemProcessor); err != nil {
		return false, fmt.Errorf("%s: %w", name, err)
	}

	if failed && s.MaxConcurrency > 0 {
		n = min(n, s.MaxConcurrency)
	}

	for state, times := range one.entered {
		w.entered[state] += n * times
	}

	for choice, times := range one.asked {
		w.asked[choice] += times
	}

	return failed, nil
}

// Case are the numbers that a route depends on.
type Case struct {
	Layers, Consumers int
	Looks             int // checks of each consumer's alarm
	Waits             int // at Intake, for uploads to settle or for another run
}

// answers are those of "What next?": the waits, then the next state.
func (c Case) answers(next string) []string {
	return append(slices.Repeat([]string{"Wait for the other run"}, c.Waits), next)
}

func (c Case) looks(last ...string) []string {
	return append(slices.Repeat([]string{"Settle"}, c.Looks-1), last...)
}

func (c Case) items(upTo string) map[string]int {
	items := map[string]int{}
	for _, name := range []string{"Prune each", "Measure each", "Publish each", "Verify each", "Update each"} {
		items[name] = c.Layers
		if name == "Update each" {
			items[name] = c.Consumers
		}

		if name == upTo {
			break
		}
	}

	return items
}

// Released is a run that publishes its layers and moves its consumers.
func Released(c Case) Route {
	r := Route{Name: "Released", Items: c.items("Update each"), Choose: map[string][]string{
		"What next?": c.answers("Build"),
		"Changed?":   {"Prune each"},
		"Publish?":   {"Publish each"},
		"Outcome?":   {"Released"},
	}}
	if c.Consumers > 0 {
		r.Choose["Quiet?"] = c.looks("Moved")
	}

	return r
}

// UnchangedAtIntake is a run that ends because the workspace is as released, or because a later
// upload does the work.
func UnchangedAtIntake(c Case) Route {
	return Route{
		Name:   "Unchanged at Intake",
		Choose: map[string][]string{"What next?": c.answers("Report"), "Outcome?": {"Unchanged"}},
	}
}

// UnchangedAfterSelect is a run that builds the released layers again: only a comment or the order
// of lines changed.
func UnchangedAfterSelect(c Case) Route {
	return Route{
		Name: "Unchanged after Select",
		Choose: map[string][]string{
			"What next?": c.answers("Build"),
			"Changed?":   {"Nothing new"},
			"Outcome?":   {"Unchanged"},
		},
	}
}

// FailedInBuild is a run whose requirements cannot be built.
func FailedInBuild(c Case) Route {
	return Route{
		Name:   "FailedClean in Build",
		Fails:  "Build",
		Choose: map[string][]string{"What next?": c.answers("Build"), "Outcome?": {"FailedClean"}},
	}
}

// RolledBackInHealth is a run in which an alarm goes off at its last check: the longest such run.
func RolledBackInHealth(c Case) Route {
	return Route{
		Name:   "RolledBack in Health",
		Fails:  "Health",
		FailAt: c.Looks,
		Items:  c.items("Update each"),
		Choose: map[string][]string{
			"What next?": c.answers("Build"), "Changed?": {"Prune each"}, "Publish?": {"Publish each"},
			"Quiet?": c.looks(), "Outcome?": {"RolledBack"},
		},
	}
}
