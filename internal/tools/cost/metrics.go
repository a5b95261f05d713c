package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/layersmith/layersmith/internal/blob"
	"github.com/layersmith/layersmith/internal/digest"
	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/pydist"
	"github.com/layersmith/layersmith/internal/release"
	"github.com/layersmith/layersmith/internal/workflow"
)

// Metrics are distinct metrics as CloudWatch counts them: a name with its dimensions.
type Metrics map[string]bool

// ReportMetrics runs the report's use case for an outcome, on a released workspace with a number of
// layers for one target, and returns the metrics that it stores.
func ReportMetrics(layers int, outcome release.Outcome) (Metrics, error) {
	now := time.Date(2026, 11, 1, 3, 0, 0, 0, time.UTC)
	target, err := pydist.ParseTarget("python3.13-x86_64")
	if err != nil {
		return nil, err
	}

	const run = "run"
	ref, err := blob.New("documents/any.json", "", digest.Of(nil), 0)
	if err != nil {
		return nil, err
	}

	released := release.Released{
		SchemaVersion: release.SchemaVersion,
		Run:           run,
		At:            now,
		Locks:         []release.LockFile{{Target: target, File: ref, Since: now}},
	}
	for i := range layers {
		l := release.ReleasedLayer{
			Layer:     fmt.Sprint("layer-", i),
			Target:    target,
			LayerName: fmt.Sprint("layersmith-layer-", i),
		}
		l.Current = release.ReleasedVersion{
			ARN:           "arn",
			Version:       1,
			Run:           run,
			Measured:      ref,
			Zip:           ref,
			ImportSeconds: 1,
			UnzippedBytes: 1,
			ZippedBytes:   1,
			UnprunedBytes: 2,
		}
		released.Layers = append(released.Layers, l)
	}

	kept := shelf{}
	for name, doc := range map[string]any{
		release.ReleasedName:   released,
		release.RunName(run):   release.Run{SchemaVersion: release.SchemaVersion, Run: run, StartedAt: now},
		release.BuiltName(run): release.Built{SchemaVersion: release.SchemaVersion, Run: run, Seconds: 1},
	} {
		b, err := release.Encode(doc)
		if err != nil {
			return nil, err
		}

		kept[name] = b
	}

	stored := Metrics{}
	report := workflow.Report{
		Ledger: workflow.Ledger{Registers: kept, Now: func() time.Time { return now }},
		Metrics: func(_ context.Context, _ time.Time, values []workflow.Metric) error {
			for _, v := range values {
				id := v.Name
				for _, d := range v.Dimensions {
					id += " " + d.Name + "=" + d.Value
				}

				stored[id] = true
			}

			return nil
		},
		Notify:  func(context.Context, string, string) error { return nil },
		Account: workflow.Account{Stack: "layersmith"},
	}
	_, err = report.Run(context.Background(),
		workflow.ReportInput{Run: run, StartedAt: now, Ending: release.Ending{Outcome: outcome}})
	return stored, err
}

// shelf keeps registers in memory.
type shelf map[string][]byte

func (s shelf) Load(_ context.Context, name string) ([]byte, string, error) {
	b, ok := s[name]
	if !ok {
		return nil, "", fault.New(fault.NotFound, "load", name, nil)
	}

	return b, digest.Of(b).String(), nil
}

func (s shelf) Store(_ context.Context, name string, doc []byte, _ string) (string, error) {
	s[name] = doc
	return digest.Of(doc).String(), nil
}

func (s shelf) List(_ context.Context, prefix string) ([]string, error) {
	var names []string
	for name := range s {
		if strings.HasPrefix(name, prefix) {
			names = append(names, name)
		}
	}

	return names, nil
}
