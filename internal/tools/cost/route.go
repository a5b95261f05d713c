package main

import (
	"fmt"
	"slices"

	"github.com/layersmith/layersmith/statemachine"
)

// Route is one way through the state machine: what each question answers, and which task fails.
type Route struct {
	Name   string
	Choose map[string][]string // by Choice: where it leads, the first time, the second time, ...
	Items  map[string]int      // by Map: over how many items
	// the task that fails; "" for none. Nothing is retried: an error that is no fault of the
	// network or of Lambda itself is not
	Fails  string
	FailAt int // at which of its executions
}

// Steps is what a route executes.
type Steps struct {
	Entered map[string]int // how often each state is executed, with all the items of Maps
	Path    []string       // states outside of Maps, in order
}

// start is the transition that an execution begins with. The page says what counts ("each time a
// step of your workflow is executed", retries too) but not whether the start is a step; to count it
// can only be too much, by one.
const start = 1

// Transitions is what is billed.
func (s Steps) Transitions() int {
	n := start
	for _, e := range s.Entered {
		n += e
	}

	return n
}

// End is the last state.
func (s Steps) End() string { return s.Path[len(s.Path)-1] }

// Follow walks a route. An answer that is not one of the Choice's, that is missing, or that is
// never asked for is an error: then the route is not what the definition says.
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

// longest bounds a walk: a route that goes round for ever is a mistake.
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
			if next != s.Default &&
				!slices.ContainsFunc(s.Choices, func(c statemachine.Choice) bool { return c.Next == next }) {
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

// items executes a Map. All items go the same way. When it fails, those that run at the same time
// have come as far, which is the most that they can, and no more are begun.
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

// Case is what a run finds: how many layers changed, whom they concern, and what came first.
type Case struct {
	Layers, Consumers int
	Looks             int // at the alarm of each consumer
	Waits             int // of Intake, for uploads to settle or for another run
}

// answers are those of Intake's question: so many waits, then the way on.
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

// UnchangedAtIntake is a run that finds the workspace as it was released, or a later upload that
// does the work.
func UnchangedAtIntake(c Case) Route {
	return Route{
		Name:   "Unchanged at Intake",
		Choose: map[string][]string{"What next?": c.answers("Report"), "Outcome?": {"Unchanged"}},
	}
}

// UnchangedAfterSelect is a run whose build gives the released layers again: another comment,
// another order.
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

// RolledBackInHealth is a run in which an alarm rises at the last look: the most that such a run
// can execute.
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
