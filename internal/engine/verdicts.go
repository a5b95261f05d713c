package engine

import (
	"context"
	"encoding/json"
	"maps"
	"slices"

	"github.com/layersmith/layersmith/internal/digest"
	"github.com/layersmith/layersmith/internal/probe"
	"github.com/layersmith/layersmith/internal/report"
)

// verdicts are what an earlier probe of the same stack found: jobs that passed, and the time of
// imports. They are kept in the cache, so that another copy of the workspace does not ask again. A
// job that failed is not in them, and is always asked again; except for further modules that the
// unpruned layer cannot import either, which decide nothing.
type verdicts struct {
	Passed map[string]bool          `json:"passed"` // kind and name
	Import *report.ImportComparison `json:"import"`
	Broken []string                 `json:"broken"`
}

// verdictKey identifies all that decides the outcome of a layer's probe: the files of the stack,
// the jobs and their sources, the interpreter, the world that it has and the program that runs
// jobs.
func (s Build) verdictKey(ctx context.Context, contents []digest.SHA256, q Question) (digest.SHA256, error) {
	world, err := s.Python.World(ctx)
	if err != nil {
		return digest.SHA256{}, err
	}

	top := q.Trees[len(q.Trees)-1]
	jobs := probe.Jobs(top, q.Place.Prefix, q.Distributions, q.Own)
	return digest.Canonical("layersmith/probe/v2", []any{
		contents, s.Python.Identity(), q.Imports, probe.Digest(jobs), slices.Sorted(maps.Keys(q.Changed)),
		world, probe.RunnerDigest(), q.Bytecode,
	})
}

func verdictName(key digest.SHA256) string { return "probe/" + key.String() }

const verdictFile = "verdicts.json"

// loadVerdicts returns the verdicts of a key; none when there are none, or when they are damaged.
func loadVerdicts(ctx context.Context, cache Cache, key digest.SHA256) verdicts {
	v := verdicts{}
	tree, err := cache.Load(ctx, verdictName(key))
	if err != nil {
		return v
	}

	e, ok := tree.Lookup(verdictFile)
	if !ok {
		return v
	}

	b, err := e.Bytes(maxCachedFile)
	if err != nil || json.Unmarshal(b, &v) != nil {
		return verdicts{}
	}

	return v
}

func jobKey(j probe.Job) string { return string(j.Kind) + " " + j.Name }

// unknown are the numbers of the jobs that are not known to have passed.
func (v verdicts) unknown(jobs []probe.Job) []int {
	var out []int
	for i, j := range jobs {
		if !v.Passed[jobKey(j)] {
			out = append(out, i)
		}
	}

	return out
}

func (v *verdicts) note(results []probe.Result) {
	passed := map[string]bool{}
	for _, r := range results {
		if r.OK {
			passed[jobKey(r.Job)] = true
		}
	}

	v.Passed = passed
}

// store keeps the verdicts of a probe.
func (v verdicts) store(ctx context.Context, cache Cache, key digest.SHA256, p report.Probe) error {
	if p.Import != nil {
		v.Import = p.Import
	}

	v.Broken = p.Broken
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}

	return storeFile(ctx, cache, verdictName(key), verdictFile, b)
}
