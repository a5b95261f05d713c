package workflow

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/layersmith/layersmith/internal/blob"
	"github.com/layersmith/layersmith/internal/digest"
	"github.com/layersmith/layersmith/internal/pydist"
	"github.com/layersmith/layersmith/internal/workflow"
)

// previous is the suffix of a run that another run recovers. Both use one script.
const previous = ".before"

// ending is the ending of a run, as JSON.
func ending(outcome, message string) map[string]any {
	return map[string]any{"outcome": outcome, "message": message}
}

// next is an answer of intake.
func next(what string, over ...map[string]any) answer {
	a := answer{over: map[string]any{"next": what}}
	for _, o := range over {
		for k, v := range o {
			a.over[k] = v
		}
	}

	return a
}

// usual is the answer of a function in a run that releases one layer to one consumer.
func usual(function string, payload json.RawMessage) (map[string]any, error) {
	var in struct {
		Run      string
		Layer    workflow.Item
		Consumer workflow.Consumer
		Ending   map[string]any
	}
	if err := json.Unmarshal(payload, &in); err != nil {
		return nil, fmt.Errorf("%s: %w in %s", function, err, payload)
	}

	switch function {
	case "intake":
		return map[string]any{
			"run":           in.Run,
			"next":          "Build",
			"waitSeconds":   0,
			"previous":      in.Run + previous,
			"dryRun":        false,
			"summary":       "all that is stale",
			"layers":        []any{},
			"error":         nil,
			"rollbackError": nil,
			"ending":        nil,
		}, nil
	case "select":
		return map[string]any{"changed": true, "layers": items(1), "summary": "1 of 3 layers is new"}, nil
	case "prune", "measure", "publish", "verify":
		return asMap(item(in.Layer.Layer, function+": "+strings.Repeat("s", maxSummaryBytes-len(function)-2)))
	case "record":
		return map[string]any{"consumers": consumers(1), "summary": "1 consumer"}, nil
	case "update":
		return map[string]any{
			"consumer":    in.Consumer,
			"waitSeconds": 0,
			"since":       time.Date(2026, 11, 1, 3, 0, 0, 0, time.UTC),
		}, nil
	case "health":
		return map[string]any{"quiet": true, "waitSeconds": 0, "summary": "no alarm in 300 s"}, nil
	case "promote":
		return ending("Released", "1 layer, 1 consumer"), nil
	case "rollback":
		return ending("RolledBack", "1 function is as before"), nil
	case "report":
		if in.Ending["outcome"] == nil || in.Ending["message"] == nil {
			return nil, fmt.Errorf("report is not told how the run ends: %s", payload)
		}

		return in.Ending, nil
	}

	return nil, fmt.Errorf("%s is not a function of the workflow", function)
}

func asMap(v any) (map[string]any, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}

	var m map[string]any
	return m, json.Unmarshal(b, &m)
}

// maxSummaryBytes is a long summary of an item: a sentence.
const maxSummaryBytes = 200

// items are n layers with long names and summaries, and the version ID of an S3 object.
func items(n int) []workflow.Item {
	all := make([]workflow.Item, n)
	for i := range all {
		all[i] = item(fmt.Sprintf("layer-%03d-%s", i, strings.Repeat("n", 30)), strings.Repeat("s", maxSummaryBytes))
	}

	return all
}

func item(layer, summary string) workflow.Item {
	target, err := pydist.ParseTarget("python3.13-x86_64")
	if err != nil {
		panic(err)
	}

	sum := digest.Of([]byte(layer))
	ref, err := blob.New("documents/"+sum.String()+".json", strings.Repeat("v", 32), sum, 123_456)
	if err != nil {
		panic(err)
	}

	return workflow.Item{Layer: layer, Target: target, Doc: ref, Summary: summary}
}

// consumers are n functions with the longest name that Lambda allows.
func consumers(n int) []workflow.Consumer {
	all := make([]workflow.Consumer, n)
	for i := range all {
		all[i] = workflow.Consumer{
			Function: fmt.Sprintf("arn:aws:lambda:ap-southeast-1:000000000000:function:f%03d%s",
				i, strings.Repeat("n", 60)),
			Change:  fmt.Sprintf("runs/%s/changes/%04d.json", strings.Repeat("r", 80), i),
			Summary: strings.Repeat("s", maxSummaryBytes),
		}
	}

	return all
}
