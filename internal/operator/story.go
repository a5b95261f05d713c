package operator

import (
	"cmp"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"
)

// Act is a line of watch: a Task of the workflow, or all the Tasks of one name in a Map.
type Act struct {
	State     string    `json:"state"`
	StartedAt time.Time `json:"startedAt"`
	Seconds   float64   `json:"seconds"`
	Summary   string    `json:"summary,omitempty"`
	Error     string    `json:"error,omitempty"`
}

// Story turns an execution's history into acts. Each event names the event before it, which tells
// the branches of a Map apart. Emulators may leave that out. Then the last event is taken, which is
// right where one state runs at a time.
type Story struct {
	Acts []Act // that are over
	Over bool  // the execution has ended

	at   map[int64]spot // by the ID of the event
	open []*visit       // entered and not left, in the order entered
	last int64
}

// spot is where an event happens: in a visit, and in which branch of it when that is a Map.
type spot struct {
	visit  *visit
	branch int
}

// visit is one stay in a state.
type visit struct {
	state   string
	kind    string // Task, Map, Wait, Pass, Choice...
	in      spot   // the Map it is in; zero at the top
	from    time.Time
	to      time.Time
	summary []string // of its results, in order
	err     string
	inner   []*visit // of a Map: its Tasks, in the order entered
}

// Tell takes the next event of the history and returns the acts that it completes.
func (s *Story) Tell(e Event) []Act {
	if s.at == nil {
		s.at = map[int64]spot{}
	}

	here, ok := s.at[cmp.Or(e.Previous, s.last)]
	if !ok {
		here = s.at[s.last]
	}

	here, done := s.follow(here, e)
	s.at[e.ID] = here
	s.last = e.ID
	s.Acts = append(s.Acts, done...)
	return done
}

// follow returns where the event leads from a spot, and the acts that it completes.
func (s *Story) follow(here spot, e Event) (spot, []Act) {
	switch {
	case strings.HasSuffix(e.Type, "StateEntered"):
		return s.enter(here, e)
	case strings.HasSuffix(e.Type, "StateExited"):
		return s.exit(here, e)
	case e.Type == "MapIterationStarted":
		here.branch = e.Index
	case e.Type == "ExecutionRedriven":
		s.Over = false
	case strings.HasPrefix(e.Type, "Execution") && e.Type != "ExecutionStarted":
		return spot{}, s.end(e)
	case here.visit != nil:
		here.visit.hear(e)
	}

	return here, nil
}

// enter begins a visit. It ends that of the state before, for which the history may lack an exit.
func (s *Story) enter(here spot, e Event) (spot, []Act) {
	var done []Act
	if here.visit != nil && here.visit.kind != "Map" {
		done = s.leave(here.visit, e.At)
		here = here.visit.in
	}

	v := &visit{state: e.State, kind: strings.TrimSuffix(e.Type, "StateEntered"), in: here, from: e.At}
	if here.visit != nil && v.kind == "Task" {
		here.visit.inner = append(here.visit.inner, v)
	}

	s.open = append(s.open, v)
	return spot{visit: v}, done
}

// exit ends the visit of the state that the event names.
func (s *Story) exit(here spot, e Event) (spot, []Act) {
	v := here.visit
	for v != nil && v.state != e.State {
		v = v.in.visit
	}

	if v == nil {
		i := slices.IndexFunc(s.open, func(o *visit) bool { return o.state == e.State })
		if i < 0 {
			return here, nil
		}

		v = s.open[i]
	}

	return v.in, s.leave(v, e.At)
}

// end ends the execution, and with it every visit.
func (s *Story) end(e Event) []Act {
	var done []Act
	for len(s.open) > 0 {
		done = append(done, s.leave(s.open[0], e.At)...)
	}

	s.Over = true
	return done
}

// hear notes a result or an error of a visit. A result clears the error of an earlier attempt.
func (v *visit) hear(e Event) {
	switch {
	case e.Output != "":
		v.err = ""
		if text := summaryOf(e.Output); text != "" {
			v.summary = append(v.summary, text)
		}
	case e.Error != "":
		v.err = reason(e.Error, e.Cause)
	}
}

// leave ends a visit and all visits in it. The end of a visit at the top completes its acts.
func (s *Story) leave(v *visit, at time.Time) []Act {
	for _, o := range s.open {
		if o.within(v) {
			o.to = at
		}
	}

	s.open = slices.DeleteFunc(s.open, func(o *visit) bool { return o.within(v) })
	if v.in.visit != nil {
		return nil
	}

	acts := v.acts()
	if len(acts) == 1 && s.repeats(acts[0]) {
		last := &s.Acts[len(s.Acts)-1]
		last.Seconds = at.Sub(last.StartedAt).Seconds()
		return nil
	}

	return acts
}

// repeats reports whether an act equals the last one, as when Intake waits for another execution.
func (s *Story) repeats(a Act) bool {
	if len(s.Acts) == 0 {
		return false
	}

	last := s.Acts[len(s.Acts)-1]
	return last.State == a.State && last.Summary == a.Summary && last.Error == a.Error
}

func (v *visit) within(outer *visit) bool {
	for ; v != nil; v = v.in.visit {
		if v == outer {
			return true
		}
	}

	return false
}

// acts are the acts of a visit at the top.
func (v *visit) acts() []Act {
	if v.kind == "Task" || v.kind == "Map" && len(v.inner) == 0 && len(v.summary) > 0 {
		return []Act{{
			State:     v.state,
			StartedAt: v.from.UTC(),
			Seconds:   v.to.Sub(v.from).Seconds(),
			Summary:   strings.Join(v.lastSummary(), "; "),
			Error:     v.err,
		}}
	}

	if v.kind != "Map" {
		return nil
	}

	var acts []Act
	for _, g := range v.groups() {
		acts = append(acts, g.act())
	}

	return acts
}

// group is all the Tasks of one name in a Map.
type group struct {
	state     string
	from, to  time.Time
	summaries map[int]string // by branch; the last one of each counts
	err       string
}

// groups are in the order in which their first Task was entered.
func (v *visit) groups() []*group {
	byState := map[string]*group{}
	var order []*group
	for _, t := range v.inner {
		g := byState[t.state]
		if g == nil {
			g = &group{state: t.state, from: t.from, to: t.to, summaries: map[int]string{}}
			byState[t.state] = g
			order = append(order, g)
		}

		if t.to.After(g.to) {
			g.to = t.to
		}

		if text := t.lastSummary(); len(text) > 0 {
			g.summaries[t.in.branch] = text[0]
		}

		g.err = cmp.Or(g.err, t.err)
	}

	return order
}

func (g *group) act() Act {
	var said []string
	for _, branch := range slices.Sorted(maps.Keys(g.summaries)) {
		said = append(said, g.summaries[branch])
	}

	return Act{
		State:     g.state,
		StartedAt: g.from.UTC(),
		Seconds:   g.to.Sub(g.from).Seconds(),
		Summary:   strings.Join(said, "; "),
		Error:     g.err,
	}
}

// lastSummary is a Task's last result, since earlier attempts do not count. A Map whose branches
// have no events of their own has a summary for each branch.
func (v *visit) lastSummary() []string {
	if v.kind == "Task" && len(v.summary) > 1 {
		return v.summary[len(v.summary)-1:]
	}

	return v.summary
}

// summaryOf returns the summary in a function's result, or the message of an ending.
func summaryOf(output string) string {
	var out struct {
		Summary  string
		Message  string
		Consumer struct{ Summary string }
	}
	if json.Unmarshal([]byte(output), &out) != nil {
		return ""
	}

	return strings.Join(strings.Fields(cmp.Or(out.Summary, out.Consumer.Summary, out.Message)), " ")
}

// Now returns the states that the workflow is in, and since when.
func (s *Story) Now() (states []string, since time.Time) {
	for _, v := range s.open {
		silent := v.kind == "Map" && len(v.inner) > 0 || v.kind == "Pass" || v.kind == "Choice"
		if silent || slices.Contains(states, v.state) {
			continue
		}

		states = append(states, v.state)
		if since.IsZero() || v.from.Before(since) {
			since = v.from
		}
	}

	return states, since
}
