package engine

import (
	"context"
	"fmt"
	"slices"
	"sort"
	"strings"

	"github.com/layersmith/layersmith/internal/heal"
	"github.com/layersmith/layersmith/internal/probe"
	"github.com/layersmith/layersmith/internal/report"
	"github.com/layersmith/layersmith/internal/workspace"
)

// diagnose finds out why a job fails with everything restored: because of the form of the bytecode,
// or because of what layer.yaml leaves out.
func (h *healer) diagnose(
	ctx context.Context, m Made, j probe.Job, restored []heal.Removal,
) (report.Healing, error) {
	t := report.Healing{Why: fmt.Sprintf("%s %s fails even with all restored that %s removed or changed",
		j.Kind, j.Name, heal.List(restored))}
	bare, err := h.try(ctx, m, j, trial{restored: restored, bare: true})
	if err != nil {
		return t, err
	}

	if bare.OK {
		t.Cause = bytecodeCause(m.Spec.Name, h.round.stack(m.Spec.Name))
		return t, nil
	}

	t.Cause = "it passes unpruned only, and layer.yaml leaves nothing out; run: layersmith explain on the files " +
		"that it reads"
	if chosen := h.choices(m); len(chosen) > 0 {
		t.Cause = "it passes unpruned only: something that layer.yaml itself drops or leaves out (" +
			strings.Join(chosen, ", ") + ") is needed"
	}

	return t, nil
}

// bytecodeCause names the setting of the stack to change when a job passes without bytecode.
func bytecodeCause(layer string, stack []Made) string {
	var modes []string
	for _, l := range stack {
		if b := l.Bytecode.Mode; b == workspace.Sourceless || b == workspace.Lean {
			modes = append(modes, fmt.Sprintf("bytecode: %s in %s/layer.yaml", b, l.Spec.Name))
		}
	}

	if len(modes) == 0 {
		return "it passes without bytecode: set bytecode: none in " + layer + "/layer.yaml"
	}

	return "it needs the sources, docstrings or asserts that " + strings.Join(modes, ", ") +
		" takes away; set bytecode: unchecked-hash or auto there"
}

// choices are the settings in the stack's layer.yaml files that leave something out.
func (h *healer) choices(m Made) []string {
	var out []string
	for _, l := range h.round.stack(m.Spec.Name) {
		p := l.Spec.Policy
		for _, c := range p.Drop {
			out = append(out, "drop "+c.Match)
		}

		for _, id := range sortedKeys(p.Rules) {
			if p.Rules[id].Enabled {
				out = append(out, "rule "+id)
			}
		}

		selections := map[string]int{
			"services": len(p.Services), "modules": len(p.Modules), "languages": len(p.Languages),
		}
		for name, n := range selections {
			if n > 0 {
				out = append(out, name)
			}
		}
	}

	sort.Strings(out)
	return slices.Compact(out)
}
