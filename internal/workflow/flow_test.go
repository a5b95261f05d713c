package workflow_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/release"
	"github.com/layersmith/layersmith/internal/workflow"
)

// execution is one execution of the state machine.
type execution struct {
	*flow
	name string // also of the run
	arn  string
}

// run runs one execution to its end. If it is killed, it returns errKilled and cleans nothing up.
func (f *flow) run(name, input string) (release.Ending, error) {
	x := execution{f, name, executionARN(name)}
	f.running[x.arn] = true
	defer func() { f.running[x.arn] = false }()

	f.names = nil
	in, end, err := x.intake(input)
	if in.Next == "" {
		return end, err
	}

	return x.work(in)
}

func executionARN(name string) string {
	return "arn:aws:states:us-east-1:123456789012:execution:layersmith:" + name
}

// enter records that the execution is in a state.
func (f *flow) enter(state string) { f.names = append(f.names, state) }

// intake asks Intake, and recovers dead runs, until the execution can begin. If it ends, Next is
// "".
func (x execution) intake(input string) (workflow.IntakeOutput, release.Ending, error) {
	ended := func(end release.Ending, err error) (workflow.IntakeOutput, release.Ending, error) {
		return workflow.IntakeOutput{}, end, err
	}
	for {
		x.enter("Intake")
		in, err := x.intakeStage().Run(x.t.Context(), workflow.IntakeInput{
			Run:       x.name,
			Execution: x.arn,
			StartedAt: x.now,
			Input:     json.RawMessage(input),
		})
		if err != nil {
			return ended(x.failClean(err))
		}

		switch in.Next {
		case workflow.NextBuild, workflow.NextRestore:
			return in, release.Ending{}, nil
		case workflow.NextWait:
			return ended(release.Ending{Message: "waits: " + in.Summary}, nil)
		case workflow.NextEnd:
			return ended(x.finish(*in.Ending, nil, nil))
		}

		x.enter("Recover")
		end, err := x.rollback(in.Previous)
		if err != nil {
			return ended(x.failDirty(nil, err))
		}

		if end.Outcome == release.FailedDirty {
			return ended(x.finish(end, nil, nil))
		}
	}
}

// work does what Intake decided.
func (x execution) work(in workflow.IntakeOutput) (release.Ending, error) {
	layers := in.Layers
	builds := in.Next == workflow.NextBuild
	if builds {
		selected, err := x.prepare()
		if err != nil {
			return x.failClean(err)
		}

		if !selected.Changed {
			return x.finish(release.Ending{Outcome: release.Unchanged, Message: selected.Summary}, nil, nil)
		}

		layers = selected.Layers
		if layers, err = x.pruneAndMeasure(layers); err != nil {
			return x.failClean(err)
		}
	}

	x.enter("Record")
	recorded, err := x.record(x.name, layers)
	if err != nil {
		return x.failClean(err)
	}

	if in.DryRun {
		message := "Dry run: nothing was published. " + recorded.Summary
		return x.finish(release.Ending{Outcome: release.Unchanged, Message: message}, nil, nil)
	}

	if builds {
		if layers, err = x.publishAndVerify(layers); err != nil {
			return x.undo(err)
		}
	}

	for _, c := range recorded.Consumers {
		if err := x.move(c); err != nil {
			return x.undo(err)
		}
	}

	x.enter("Promote")
	end, err := x.promote(x.name, layers)
	if err != nil {
		return x.undo(err)
	}

	return x.finish(end, nil, nil)
}

func (x execution) prepare() (workflow.SelectOutput, error) {
	x.enter("Build")
	if err := x.build(x.t.Context(), x.name); err != nil {
		return workflow.SelectOutput{}, err
	}

	x.enter("Select")
	return x.selectLayers(x.name)
}

func (x execution) pruneAndMeasure(layers []workflow.Item) ([]workflow.Item, error) {
	layers, err := each(layers, func(i workflow.Item, _ []workflow.Item) (workflow.Item, error) {
		x.enter("Prune")
		return x.prune(x.name, i)
	})
	if err != nil {
		return nil, err
	}

	return each(layers, func(i workflow.Item, all []workflow.Item) (workflow.Item, error) {
		x.enter("Measure")
		return x.measure(x.name, i, all)
	})
}

func (x execution) publishAndVerify(layers []workflow.Item) ([]workflow.Item, error) {
	layers, err := each(layers, func(i workflow.Item, _ []workflow.Item) (workflow.Item, error) {
		x.enter("Publish")
		return x.publish(x.name, i, x.account.LayerVersions(), "o-abcdefghij")
	})
	if err != nil {
		return nil, err
	}

	return each(layers, func(i workflow.Item, all []workflow.Item) (workflow.Item, error) {
		x.enter("Verify")
		return x.verify(x.name, i, all)
	})
}

// move updates a consumer and checks its alarm every minute until the window has passed.
func (x execution) move(c workflow.Consumer) error {
	x.enter("Update")
	x.updating = true
	updated, err := x.update(x.name, c)
	x.updating = false
	if err != nil {
		return err
	}

	for quiet := false; !quiet; {
		x.now = x.now.Add(time.Minute)
		x.enter("Health")
		health := workflow.Health{Ledger: x.ledger(), Alarms: x.alarms.Get}
		h, err := health.Run(x.t.Context(),
			workflow.HealthInput{Run: x.name, Consumer: updated.Consumer, Since: updated.Since})
		if err != nil {
			return err
		}

		quiet = h.Quiet
	}

	return nil
}

// dead reports whether an error has killed the execution.
func (x execution) dead(err error) bool { return errors.Is(err, errKilled) && !x.registers.once }

// caught is what a Catch of the state machine gives; nil for nil.
func caught(err error) *workflow.Caught {
	if err == nil {
		return nil
	}

	return &workflow.Caught{Error: string(fault.CodeOf(err)), Cause: fmt.Sprintf(`{"errorMessage": %q}`, err.Error())}
}

// failClean ends an execution that failed before it published anything.
func (x execution) failClean(err error) (release.Ending, error) {
	if x.dead(err) {
		return release.Ending{}, err
	}

	return x.finish(release.Ending{
		Outcome: release.FailedClean,
		Message: `Nothing was published and no function was touched. {"Error":"x"}`,
	}, err, nil)
}

// undo ends an execution that failed later.
func (x execution) undo(err error) (release.Ending, error) {
	if x.dead(err) {
		return release.Ending{}, err
	}

	x.enter("Rollback")
	end, rollbackErr := x.rollback(x.name)
	if rollbackErr != nil {
		return x.failDirty(err, rollbackErr)
	}

	return x.finish(end, err, nil)
}

// failDirty ends an execution whose rollback failed.
func (x execution) failDirty(err, rollbackErr error) (release.Ending, error) {
	if x.dead(rollbackErr) {
		return release.Ending{}, rollbackErr
	}

	end := release.Ending{Outcome: release.FailedDirty, Message: "Taking the changes back failed"}
	return x.finish(end, err, rollbackErr)
}

func (x execution) finish(end release.Ending, err, rollbackErr error) (release.Ending, error) {
	x.enter("Report")
	return x.reportStage("").Run(x.t.Context(), workflow.ReportInput{
		Run:           x.name,
		Execution:     x.arn,
		StartedAt:     x.now,
		Ending:        end,
		Error:         caught(err),
		RollbackError: caught(rollbackErr),
	})
}

// each does a stage for each layer, like a Map of the state machine.
func each(
	items []workflow.Item, do func(workflow.Item, []workflow.Item) (workflow.Item, error),
) ([]workflow.Item, error) {
	out := slices.Clone(items)
	for i := range items {
		var err error
		if out[i], err = do(items[i], items); err != nil {
			return nil, err
		}
	}

	return out, nil
}

func (f *flow) must(name, input string, want release.Outcome) release.Ending {
	f.t.Helper()
	end, err := f.run(name, input)
	if err != nil {
		f.t.Fatalf("%s: %v after %v", name, err, f.names)
	}

	if end.Outcome != want {
		f.t.Fatalf("%s: %s, want %s; %s; states %v", name, end.Outcome, want, end.Message, f.names)
	}

	return end
}

// mustSay runs an execution and checks its outcome and message.
func (f *flow) mustSay(name, input string, want release.Outcome, message string) {
	f.t.Helper()
	if end := f.must(name, input, want); end.Message != message {
		f.t.Errorf("%s: message\n%q, want\n%q", name, end.Message, message)
	}
}
