package engine

import (
	"github.com/layersmith/layersmith/internal/digest"
	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/lock"
	"github.com/layersmith/layersmith/internal/policy"
	"github.com/layersmith/layersmith/internal/prune"
	"github.com/layersmith/layersmith/internal/report"
	"github.com/layersmith/layersmith/internal/workspace"
	"github.com/layersmith/layersmith/internal/ziptree"
)

// EngineVersion is part of every layer's key. Raise it when the same inputs give different bytes
// than before, unless the version of a rule, a transform or a cache was raised. A test compares a
// golden digest.
const EngineVersion = 1

// Job is one layer to make, with everything that decides its bytes.
type Job struct {
	Spec    workspace.Layer
	Carries []lock.Distribution // empty for a prebuilt layer
	Policy  policy.Policy
	Key     digest.SHA256 // of all inputs: the same key gives the same bytes; zero for a prebuilt layer
}

// NewJob reads the layer's policy. The key is zero.
func NewJob(spec workspace.Layer, carries []lock.Distribution) (Job, error) {
	book, err := policy.Builtin()
	if err != nil {
		return Job{}, err
	}

	p, err := policy.New(book, spec.Policy)
	if err != nil {
		return Job{}, fault.New(fault.BadInput, "read", spec.Name, err)
	}

	return Job{Spec: spec, Carries: carries, Policy: p}, nil
}

// compression is the version of the compressor for members that are not copied.
func (j Job) compression() string {
	if j.Spec.Best {
		return ziptree.BestVersion
	}

	return ziptree.DeflateVersion
}

// jobs makes the job of every layer of the workspace, in its order. A job's key covers its own
// inputs and the keys of the layers below. With bytecode auto it also covers the sizes of all
// layers, which decide how much bytecode fits.
func (s Build) jobs(in BuildInput) ([]Job, error) {
	jobs := make([]Job, 0, len(in.Workspace.Layers))
	weights := map[string]any{"total": in.Workspace.Total}
	for _, l := range in.Workspace.Layers {
		j, err := NewJob(l, in.Lock.Carries(l.Name, in.Workspace.Below(l.Name)))
		if err != nil {
			return nil, err
		}

		weights[l.Name] = []any{wheels(j.Carries), j.Policy.Digest(), l.Bytecode, l.Budget, l.Extends}
		jobs = append(jobs, j)
	}

	keys := map[string]digest.SHA256{}
	for i := range jobs {
		key, err := s.key(in, jobs[i], keys, weights)
		if err != nil {
			return nil, err
		}

		jobs[i].Key = key
		keys[jobs[i].Spec.Name] = key
	}

	return jobs, nil
}

func (s Build) key(
	in BuildInput, j Job, keys map[string]digest.SHA256, weights map[string]any,
) (digest.SHA256, error) {
	below := []digest.SHA256{}
	for _, name := range in.Workspace.Below(j.Spec.Name) {
		below = append(below, keys[name])
	}

	inputs := map[string]any{
		"engine":      EngineVersion,
		"target":      in.Lock.Target,
		"place":       j.Spec.Place(),
		"carries":     wheels(j.Carries),
		"policy":      j.Policy.Digest(),
		"spec":        j.Spec.Digest,
		"below":       below,
		"transforms":  prune.Versions(),
		"compression": j.compression(),
		"python":      identity(s.Python),
		"bytecode":    bytecodeVersion,
	}
	if j.Spec.Bytecode == workspace.Auto {
		inputs["weights"] = weights
	}

	return digest.Canonical("layersmith/layer/v1", inputs)
}

// identity is the interpreter's, "" for none.
func identity(p Interpreter) string {
	if p == nil {
		return ""
	}

	return p.Identity()
}

func wheels(dists []lock.Distribution) []report.Wheel {
	out := make([]report.Wheel, len(dists))
	for i, d := range dists {
		out[i] = report.Wheel{
			Name:    d.Name.String(),
			Version: d.Version.String(),
			File:    d.File.Name,
			SHA256:  d.File.SHA256,
		}
	}

	return out
}
