package workflow_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

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
	f.running[executionARN("killed")] = true // it is only slow
	if end, err := f.run("second", `{}`); err != nil || end.Message != "waits: execution killed is running" {
		t.Errorf("%+v %v, want it to wait", end, err)
	}

	f.now = f.now.Add(release.LeaseFor + time.Minute) // its lease has expired
	f.must("third", `{}`, release.Promoted)
	_, err := f.update("killed", workflow.Consumer{Change: release.ChangeName("killed", 1)})
	if fault.CodeOf(err) != fault.LeaseLost {
		t.Errorf("the first execution continues: %v, want LeaseLost", err)
	}
}

// A document of another version of the program is refused, and not overwritten.
func TestDocumentsOfAnotherVersionAreRefused(t *testing.T) {
	t.Parallel()
	const hint = ". Hint: it was written by another version of Layersmith, or by hand; " +
		"restore an earlier version of the object"
	newer := []byte(`{"schemaVersion": 1, "run": "future", "waves": 3}` + "\n")
	f := newFlow(t)
	layers := f.measured("first", `{}`)
	stages := map[string]func() error{
		"Select":  func() error { _, err := f.selectLayers("first"); return err },
		"Record":  func() error { _, err := f.record("first", layers); return err },
		"Promote": func() error { _, err := f.promote("first", layers); return err },
	}
	f.registers.Set(release.ReleasedName, newer)
	for name, run := range stages {
		t.Run(name, func(t *testing.T) {
			refusedAs(t, run(), fault.ProvenanceMismatch, `read state/released.json: json: unknown field "waves"`+hint)
		})
	}

	now, _, err := f.registers.Registers.Load(t.Context(), release.ReleasedName)
	if err != nil || !bytes.Equal(now, newer) {
		t.Errorf("state/released.json is now %s %v", now, err)
	}

	f.registers.Set(release.ReleasedName, nil)
	for name, run := range map[string]func() error{
		"Publish": func() error { _, err := f.publish("first", layers[0], f.account.LayerVersions()); return err },
		"Record":  stages["Record"],
	} {
		t.Run(name+" and the lease", func(t *testing.T) {
			lease, _, err := f.registers.Registers.Load(t.Context(), release.LeaseName)
			if err != nil {
				t.Fatal(err)
			}
			defer f.registers.Set(release.LeaseName, lease)

			f.registers.Set(release.LeaseName, []byte("{}\n{}"))
			refusedAs(t, run(), fault.ProvenanceMismatch,
				"read state/lease.json: the JSON document is followed by something"+hint)
		})
	}
}

func TestWhatAStageIsGivenMustBelongToItsLayer(t *testing.T) {
	t.Parallel()
	f := newFlow(t)
	f.makes(made{layer: "base"}, made{layer: "web"})
	layers := f.measured("first", `{}`)
	const refusal = "read web python3.13-x86_64: its document belongs to base on python3.13-x86_64. " +
		"Hint: start a new execution"
	mixed := workflow.Item{Layer: "web", Target: target, Doc: layers[0].Doc}
	_, err := f.publish("first", mixed, f.account.LayerVersions())
	refusedAs(t, err, fault.ProvenanceMismatch, refusal)

	item, err := f.publish("first", layers[0], f.account.LayerVersions())
	if err != nil {
		t.Fatal(err)
	}

	mixed.Doc = item.Doc
	_, err = f.verify("first", mixed, nil)
	refusedAs(t, err, fault.ProvenanceMismatch, refusal)

	// A candidate of another run is not promoted.
	var c release.Candidate
	f.document(item.Doc, &c)
	c.Run = "other"
	b, err := release.Encode(release.Verified{SchemaVersion: 1, Candidate: c})
	if err != nil {
		t.Fatal(err)
	}

	ofOther := workflow.Item{Layer: "base", Target: target, Doc: f.store("documents/", b)}
	_, err = f.promote("first", []workflow.Item{ofOther})
	refusedAs(t, err, fault.ProvenanceMismatch,
		"promote base: its candidate belongs to run other. Hint: start a new execution")
}

// racing calls a function before each Store: another execution that writes first.
type racing struct {
	workflow.Registers
	store func(name string)
}

func (r racing) Store(ctx context.Context, name string, doc []byte, tag string) (string, error) {
	r.store(name)
	return r.Registers.Store(ctx, name, doc, tag)
}

// raced is the ledger of a run while another execution writes the lease first.
func (f *flow) raced(lease release.Lease) workflow.Ledger {
	l := f.ledger()
	l.Registers = racing{f.registers, func(name string) {
		if name == release.LeaseName {
			f.write(name, lease)
		}
	}}
	return l
}

// leaseOf is a lease that begins now.
func (f *flow) leaseOf(run string) release.Lease {
	return release.Lease{SchemaVersion: 1, Run: run, Execution: "arn:" + run, Until: f.now.Add(release.LeaseFor)}
}

func (f *flow) lease() (l release.Lease) {
	f.read(release.LeaseName, &l)
	return l
}

func (f *flow) wantLease(want release.Lease) {
	f.t.Helper()
	if d := cmp.Diff(want, f.lease()); d != "" {
		f.t.Errorf("the lease (-want +got):\n%s", d)
	}
}

func TestALeaseThatIsRacedForHasOneHolder(t *testing.T) {
	t.Parallel()
	run := workflow.RunInput{Run: "first"}
	for sentence, test := range map[string]func(*testing.T, *flow){
		"two executions that start at once: one waits": func(t *testing.T, f *flow) {
			other := f.leaseOf("other")
			intake := f.intakeStage()
			intake.Ledger = f.raced(other)
			out, err := intake.Run(t.Context(),
				workflow.IntakeInput{Run: "first", Execution: "arn:first", Input: json.RawMessage(`{}`)})
			if err != nil || out.Next != workflow.NextWait ||
				out.Summary != "another execution took the lease first" || out.WaitSeconds < 1 {
				t.Errorf("%+v %v, want it to wait", out, err)
			}

			f.wantLease(other)
		},
		"another stage of the same Map renews it": func(t *testing.T, f *flow) {
			f.begun("first", `{}`)
			f.now = f.now.Add(release.LeaseFor/2 + time.Minute)
			renewed := f.leaseOf("first")
			if _, err := (workflow.Select{Ledger: f.raced(renewed)}).Run(t.Context(), run); err != nil {
				t.Errorf("%v: the run still has it", err)
			}

			f.wantLease(renewed)
		},
		"another execution has taken over": func(t *testing.T, f *flow) {
			f.begun("first", `{}`)
			other := f.leaseOf("other")
			other.Recovers = "first"
			f.write(release.LeaseName, other)
			_, err := f.selectLayers("first")
			refusedAs(t, err, fault.LeaseLost, `continue first: execution "other" has taken over. `+
				"Hint: wait for that execution, then start a new one if anything is left to do")
		},
		"another execution takes over during the renewal": func(t *testing.T, f *flow) {
			f.begun("first", `{}`)
			f.now = f.now.Add(release.LeaseFor + time.Minute)
			other := f.leaseOf("other")
			other.Recovers = "first"
			_, err := workflow.Select{Ledger: f.raced(other)}.Run(t.Context(), run)
			if fault.CodeOf(err) != fault.LeaseLost {
				t.Errorf("%v, want LeaseLost", err)
			}

			f.wantLease(other)
		},
		"another execution has it when it is freed": func(t *testing.T, f *flow) {
			f.begun("first", `{}`)
			other := f.leaseOf("other")
			stage := f.reportStage("")
			stage.Ledger = f.raced(other)
			_, err := stage.Run(t.Context(), workflow.ReportInput{
				Run:       "first",
				Execution: "arn:first",
				Ending:    release.Ending{Outcome: release.Unchanged, Message: "Unchanged: x"},
			})
			if err != nil {
				t.Error(err)
			}

			f.wantLease(other)
		},
		"it is renewed when half of it is over, and not earlier": func(t *testing.T, f *flow) {
			f.begun("first", `{}`)
			began := f.now
			for _, tt := range []struct{ after, until time.Duration }{
				{release.LeaseFor/2 - time.Second, release.LeaseFor},
				{release.LeaseFor / 2, release.LeaseFor/2 + release.LeaseFor},
			} {
				f.now = began.Add(tt.after)
				if _, err := f.selectLayers("first"); err != nil {
					t.Fatal(err)
				}

				if got := f.lease().Until.Sub(began); got != tt.until {
					t.Errorf("after %s it holds until %s, want %s", tt.after, got, tt.until)
				}
			}
		},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			test(t, newFlow(t))
		})
	}
}
