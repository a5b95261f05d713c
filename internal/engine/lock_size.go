package engine

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/lock"
	"github.com/layersmith/layersmith/internal/measure"
	"github.com/layersmith/layersmith/internal/workspace"
)

// hopeless is how many times Lambda's limit for unzipped files the wheels of a layer may have as
// they are, zipped, before a lock is refused. The most that pruning has taken off a layer is four
// fifths, and wheels unpack to three times their size: at twice the limit no layer has ever fitted.
const hopeless = 2

// checkSizes compares the sizes of the wheels, which the index gives, with Lambda's limit, before
// gigabytes are downloaded in vain. The limit is for a layer with all layers below it. What cannot
// fit is a fault; what fits only if much of it is removed is a note, of the lowest layer that it is
// true of. Where a layer drops files itself there is only a note.
func checkSizes(l lock.Lock, w workspace.Workspace) (notes []string, err error) {
	noted := map[string]bool{}
	for _, spec := range w.Layers {
		below := w.Below(spec.Name)
		stack := wheelsOf(l, w, append(slices.Clone(below), spec.Name))
		var total int64
		for _, d := range stack {
			total += d.File.Size
		}

		if total <= measure.MaxUnzippedBytes {
			continue
		}

		slices.SortStableFunc(stack, func(a, b lock.Distribution) int {
			return cmp.Compare(b.File.Size, a.File.Size)
		})
		text := fmt.Sprintf("its wheels%s have %s MB zipped, Lambda allows %s MB unzipped: %s", withBelow(below),
			measure.Bytes(total).MB(), measure.Bytes(measure.MaxUnzippedBytes).MB(), largest(stack))
		if total > hopeless*measure.MaxUnzippedBytes && !drops(w, below, spec) {
			return nil, fault.New(fault.OverLimit, "lock", spec.Name, errors.New(text)).WithHint(smaller(stack))
		}

		noted[spec.Name] = true
		if !slices.ContainsFunc(below, func(b string) bool { return noted[b] }) {
			notes = append(notes, spec.Name+": "+text)
		}
	}

	return notes, nil
}

func withBelow(below []string) string {
	if len(below) == 0 {
		return ""
	}

	return " with those of " + strings.Join(below, ", ")
}

// drops reports whether a layer, or one below it, drops files itself.
func drops(w workspace.Workspace, below []string, spec workspace.Layer) bool {
	return slices.ContainsFunc(w.Layers, func(l workspace.Layer) bool {
		return len(l.Policy.Drop) > 0 && (l.Name == spec.Name || slices.Contains(below, l.Name))
	})
}

// largest names the three largest distributions.
func largest(stack []lock.Distribution) string {
	const named = 3
	var parts []string
	for _, d := range stack[:min(named, len(stack))] {
		parts = append(parts, fmt.Sprintf("%s %s MB", d.Name, measure.Bytes(d.File.Size).MB()))
	}

	if more := len(stack) - named; more > 0 {
		parts = append(parts, fmt.Sprintf("and %d more", more))
	}

	return strings.Join(parts, ", ")
}

// smaller says how to get less. Wheels for graphics cards are of no use on Lambda, which has none.
func smaller(stack []lock.Distribution) string {
	cuda := false
	torch := false
	for _, d := range stack {
		name := d.Name.String()
		cuda = cuda || strings.HasPrefix(name, "nvidia-") || strings.HasPrefix(name, "cuda-")
		torch = torch || name == "torch"
	}

	switch {
	case cuda && torch:
		return "Lambda has no GPU: lock PyTorch's CPU build. Name its CPU index, whose address is on PyTorch's " +
			"installation page, as an [[index]] in uv.toml, or with UV_INDEX"
	case cuda:
		return "Lambda has no GPU: choose a build without CUDA, which most of these packages offer under " +
			"another name or on an index of their own"
	}

	return "split the requirements over functions with layers of their own, or require less: " +
		stack[0].Name.String() + " is the largest"
}
