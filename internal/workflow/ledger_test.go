package workflow_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/layersmith/layersmith/internal/engine"
	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/release"
	"github.com/layersmith/layersmith/internal/workflow"
)

func TestTwoExecutionsDoNotInterleave(t *testing.T) {
	t.Parallel()
	f := newFlow(t)
	f.registers.left = 40
	if _, err := f.run("killed", `{}`); !errors.Is(err, errKilled) {
		t.Fatal("it was not killed")
	}

	f.registers.left = -1
	f.running["arn:aws:states:us-east-1:123456789012:execution:layersmith:killed"] = true // it is only slow
	if end, err := f.run("second", `{}`); err != nil || end.Message != "waits: execution killed is running" {
		t.Errorf("%+v %v, want it to wait", end, err)
	}

	f.now = f.now.Add(release.LeaseFor + time.Minute) // it hangs
	f.must("third", `{}`, release.Promoted)
	// When it wakes up, it may not touch anything.
	_, err := workflow.Update{
		Ledger:    f.ledger(),
		Functions: f.account.Functions(),
	}.Run(t.Context(),
		workflow.ConsumerInput{Run: "killed", Consumer: workflow.Consumer{Change: release.ChangeName("killed", 1)}})
	if fault.CodeOf(err) != fault.LeaseLost {
		t.Errorf("the one that hung: %v, want LeaseLost", err)
	}
}

// What another version of the program wrote is not half understood, and not overwritten.
func TestDocumentsOfAnotherVersionAreRefused(t *testing.T) {
	t.Parallel()
	const hint = ". Hint: it was written by another version of Layersmith, or by hand; restore an earlier version of " +
		"the object"
	newer := []byte(`{"schemaVersion": 1, "run": "future", "waves": 3}` + "\n")
	f := newFlow(t)
	layers := f.measured("first", `{}`)
	stages := map[string]func() error{
		"Select": func() error {
			_, err := workflow.Select{Ledger: f.ledger()}.Run(t.Context(), workflow.RunInput{Run: "first"})
			return err
		},
		"Record": func() error { _, err := f.record("first", layers); return err },
		"Promote": func() error {
			_, err := workflow.Promote{
				Ledger:    f.ledger(),
				Functions: f.account.Functions(),
				Versions:  f.account.LayerVersions(),
			}.Run(t.Context(), workflow.RecordInput{Run: "first", Layers: layers})
			return err
		},
	}
	f.registers.Set(release.ReleasedName, newer)
	for name, run := range stages {
		t.Run(name, func(t *testing.T) {
			refusedAs(t, run(), fault.ProvenanceMismatch, `read state/released.json: json: unknown field "waves"`+hint)
		})
	}

	if now, _, err := f.registers.MemoryRegisters.Load(t.Context(), release.ReleasedName); err != nil ||
		!bytes.Equal(now, newer) {
		t.Errorf("state/released.json is now %s %v", now, err)
	}

	f.registers.Set(release.ReleasedName, nil)
	for name, run := range map[string]func() error{
		"Publish": func() error { _, err := f.publish("first", layers[0], f.account.LayerVersions()); return err },
		"Record":  stages["Record"],
	} {
		t.Run(name+" and the lease", func(t *testing.T) {
			lease, _, err := f.registers.MemoryRegisters.Load(t.Context(), release.LeaseName)
			if err != nil {
				t.Fatal(err)
			}
			defer f.registers.Set(release.LeaseName, lease)
			f.registers.Set(release.LeaseName, []byte("{}\n{}"))
			refusedAs(t, run(), fault.ProvenanceMismatch, "read state/lease.json: the JSON document is followed by something"+hint)
		})
	}
}

func TestWhatAStageIsGivenMustBelongToItsLayer(t *testing.T) {
	t.Parallel()
	f := newFlow(t)
	f.makes(made{layer: "base"}, made{layer: "web"})
	layers := f.measured("first", `{}`)
	mixed := workflow.Item{Layer: "web", Target: target, Doc: layers[0].Doc}
	_, err := f.publish("first", mixed, f.account.LayerVersions())
	refusedAs(t, err, fault.ProvenanceMismatch,
		"read web python3.13-x86_64: its document belongs to base on python3.13-x86_64. Hint: start a new execution")
	item, err := f.publish("first", layers[0], f.account.LayerVersions())
	if err != nil {
		t.Fatal(err)
	}

	mixed.Doc = item.Doc
	_, err = workflow.Verify{
		Ledger:    f.ledger(),
		Sandboxes: f.account.Sandboxes(),
		Versions:  f.account.LayerVersions(),
		Probes:    "probe-",
	}.Run(t.Context(), workflow.StackInput{Run: "first", Layer: mixed})
	refusedAs(
		t,
		err,
		fault.ProvenanceMismatch,
		"read web python3.13-x86_64: its document belongs to base on python3.13-x86_64. Hint: start a new execution",
	)

	// A candidate of another run is not promoted.
	var c release.Candidate
	f.document(item.Doc, &c)
	c.Run = "other"
	b, err := release.Encode(release.Verified{SchemaVersion: 1, Candidate: c})
	if err != nil {
		t.Fatal(err)
	}

	_, err = workflow.Promote{Ledger: f.ledger(), Functions: f.account.Functions(), Versions: f.account.LayerVersions()}.
		Run(t.Context(), workflow.RecordInput{
			Run:    "first",
			Layers: []workflow.Item{{Layer: "base", Target: target, Doc: f.store("documents/", b)}},
		})
	refusedAs(t, err, fault.ProvenanceMismatch,
		"promote base: its candidate belongs to run other. Hint: start a new execution")
}

// racing is a register that somebody else writes to between our reading and our writing.
type racing struct {
	workflow.Registers
	store func(name string)
}

func (r racing) Store(ctx context.Context, name string, doc []byte, tag string) (string, error) {
	r.store(name)
	return r.Registers.Store(ctx, name, doc, tag)
}

func TestALeaseThatIsRacedForHasOneHolder(t *testing.T) {
	t.Parallel()
	raced := func(f *flow, lease release.Lease) workflow.Ledger {
		l := f.ledger()
		l.Registers = racing{f.registers, func(name string) {
			if name == release.LeaseName {
				f.write(name, lease)
			}
		}}
		return l
	}
	lease := func(f *flow) (l release.Lease) { f.read(release.LeaseName, &l); return l }

	t.Run("of two that begin at once one waits", func(t *testing.T) {
		t.Parallel()
		f := newFlow(t)
		other := release.Lease{
			SchemaVersion: 1,
			Run:           "other",
			Execution:     "arn:other",
			Until:         f.now.Add(release.LeaseFor),
		}
		out, err := workflow.Intake{
			Ledger:  raced(f, other),
			Sources: f.sources,
			Tool:    engine.Tool,
		}.Run(t.Context(), workflow.IntakeInput{Run: "first", Execution: "arn:first", Input: json.RawMessage(`{}`)})
		if err != nil || out.Next != workflow.NextWait || out.Summary != "another execution took the lease first" ||
			out.WaitSeconds < 1 {
			t.Errorf("%+v %v, want it to wait", out, err)
		}

		if d := cmp.Diff(other, lease(f)); d != "" {
			t.Errorf("the lease (-want +got):\n%s", d)
		}
	})

	t.Run("a neighbour in the same Map renews it", func(t *testing.T) {
		t.Parallel()
		f := newFlow(t)
		f.begun("first", `{}`)
		f.now = f.now.Add(release.LeaseFor/2 + time.Minute)
		renewed := release.Lease{
			SchemaVersion: 1,
			Run:           "first",
			Execution:     "arn:first",
			Until:         f.now.Add(release.LeaseFor),
		}
		if _, err := (workflow.Select{Ledger: raced(f, renewed)}).Run(t.Context(),
			workflow.RunInput{Run: "first"}); err != nil {
			t.Errorf("%v: the run still has it", err)
		}

		if d := cmp.Diff(renewed, lease(f)); d != "" {
			t.Errorf("the lease (-want +got):\n%s", d)
		}
	})

	t.Run("somebody has taken over", func(t *testing.T) {
		t.Parallel()
		f := newFlow(t)
		f.begun("first", `{}`)
		other := release.Lease{
			SchemaVersion: 1,
			Run:           "other",
			Execution:     "arn:other",
			Until:         f.now.Add(release.LeaseFor),
			Recovers:      "first",
		}
		f.write(release.LeaseName, other)
		_, err := workflow.Select{Ledger: f.ledger()}.Run(t.Context(), workflow.RunInput{Run: "first"})
		refusedAs(t, err, fault.LeaseLost,
			`continue first: execution "other" has taken over. Hint: wait for that execution, then start a new one if anything is left to do`)
	})

	t.Run("somebody takes over", func(t *testing.T) {
		t.Parallel()
		f := newFlow(t)
		f.begun("first", `{}`)
		f.now = f.now.Add(release.LeaseFor + time.Minute)
		other := release.Lease{
			SchemaVersion: 1,
			Run:           "other",
			Execution:     "arn:other",
			Until:         f.now.Add(release.LeaseFor),
			Recovers:      "first",
		}
		_, err := workflow.Select{Ledger: raced(f, other)}.Run(t.Context(), workflow.RunInput{Run: "first"})
		if fault.CodeOf(err) != fault.LeaseLost {
			t.Errorf("%v, want LeaseLost", err)
		}

		if d := cmp.Diff(other, lease(f)); d != "" {
			t.Errorf("the lease (-want +got):\n%s", d)
		}
	})

	t.Run("somebody has it by the time that it is given back", func(t *testing.T) {
		t.Parallel()
		f := newFlow(t)
		f.begun("first", `{}`)
		other := release.Lease{
			SchemaVersion: 1,
			Run:           "other",
			Execution:     "arn:other",
			Until:         f.now.Add(release.LeaseFor),
		}
		_, err := workflow.Report{
			Ledger:  raced(f, other),
			Metrics: f.metrics.Put,
			Notify:  f.notices.Send,
			Account: workflow.Account{Stack: "Layersmith"},
		}.
			Run(t.Context(), workflow.ReportInput{
				Run:       "first",
				Execution: "arn:first",
				Ending:    release.Ending{Outcome: release.Unchanged, Message: "Unchanged: x"},
			})
		if err != nil {
			t.Error(err)
		}

		if d := cmp.Diff(other, lease(f)); d != "" {
			t.Errorf("the lease (-want +got):\n%s", d)
		}
	})

	t.Run("it is renewed before half of it is over, and no earlier", func(t *testing.T) {
		t.Parallel()
		f := newFlow(t)
		f.begun("first", `{}`)
		began := f.now
		for _, tt := range []struct{ after, until time.Duration }{
			{release.LeaseFor/2 - time.Second, release.LeaseFor},
			{release.LeaseFor / 2, release.LeaseFor/2 + release.LeaseFor},
		} {
			f.now = began.Add(tt.after)
			if _, err := (workflow.Select{Ledger: f.ledger()}).Run(t.Context(), workflow.RunInput{Run: "first"}); err != nil {
				t.Fatal(err)
			}

			if got := lease(f).Until.Sub(began); got != tt.until {
				t.Errorf("after %s it holds until %s, want %s", tt.after, got, tt.until)
			}
		}
	})
}
