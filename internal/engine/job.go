package engine

import (
	"slices"

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

	// Of all inputs, and of how much bytecode fits: the same key gives the same bytes, on the same
	// layers. Zero until the layer is made, and for a prebuilt layer.
	Key digest.SHA256

	base   digest.SHA256 // of the inputs of the layer and of those below
	stacks digest.SHA256 // of what decides how much bytecode fits: the stacks and their budgets; zero without auto
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

// jobs makes the job of every layer of the workspace, in its order.
func (s Build) jobs(in BuildInput) ([]Job, error) {
	jobs := make([]Job, 0, len(in.Workspace.Layers))
	bases := map[string]digest.SHA256{}
	for _, l := range in.Workspace.Layers {
		j, err := NewJob(l, in.Lock.Carries(l.Name, in.Workspace.Below(l.Name)))
		if err != nil {
			return nil, err
		}

		if j.base, err = s.base(in, j, bases); err != nil {
			return nil, err
		}

		bases[l.Name] = j.base
		jobs = append(jobs, j)
	}

	for i := range jobs {
		if jobs[i].Spec.Bytecode != workspace.Auto {
			continue
		}

		var err error
		if jobs[i].stacks, err = stacksDigest(in.Workspace, jobs[i].Spec.Name, bases); err != nil {
			return nil, err
		}
	}

	return jobs, nil
}

// base is the digest of a layer's inputs and of the bases of the layers below, which have to be
// made before.
func (s Build) base(in BuildInput, j Job, bases map[string]digest.SHA256) (digest.SHA256, error) {
	below := []digest.SHA256{}
	for _, name := range in.Workspace.Below(j.Spec.Name) {
		below = append(below, bases[name])
	}

	return digest.Canonical("layersmith/layer/v1", map[string]any{
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
	})
}

// stacksDigest is the digest of all that decides how much of a layer's bytecode fits beside its own
// inputs: the budget of the stacks that it is in, and the layers there.
func stacksDigest(ws workspace.Workspace, layer string, bases map[string]digest.SHA256) (digest.SHA256, error) {
	with := map[string]digest.SHA256{}
	var stacks [][]string
	for _, names := range stackNames(ws) {
		if !slices.Contains(names, layer) {
			continue
		}

		stacks = append(stacks, names)
		for _, n := range names {
			with[n] = bases[n]
		}
	}

	return digest.Canonical("layersmith/stacks/v1", map[string]any{
		"total":  autoTotal(ws),
		"stacks": stacks,
		"layers": with,
	})
}

// setKeys gives made layers their keys. The key has what auto decided, and not what it decided by:
// another layer that gets larger changes nothing here as long as all bytecode fits.
func setKeys(ws workspace.Workspace, made []Made) error {
	keys := map[string]digest.SHA256{}
	for i := range made {
		m := &made[i]
		below := []digest.SHA256{}
		for _, name := range ws.Below(m.Spec.Name) {
			below = append(below, keys[name])
		}

		m.Key = m.base
		if m.Spec.Bytecode == workspace.Auto || len(below) > 0 {
			var err error
			if m.Key, err = digest.Canonical("layersmith/layer/v2", map[string]any{
				"base": m.base, "below": below, "mode": m.Bytecode.Mode, "without": m.Bytecode.Without,
			}); err != nil {
				return err
			}
		}

		keys[m.Spec.Name] = m.Key
	}

	return nil
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
