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
// gigabytes are downloaded in vain. What cannot fit is a fault; what fits only if much of it is
// removed is a note. A layer that drops files itself is only noted.
func checkSizes(l lock.Lock, w workspace.Workspace) (notes []string, err error) {
	for _, spec := range w.Layers {
		carries := slices.Clone(l.Carries(spec.Name, w.Below(spec.Name)))
		var total int64
		for _, d := range carries {
			total += d.File.Size
		}

		if total <= measure.MaxUnzippedBytes {
			continue
		}

		slices.SortStableFunc(carries, func(a, b lock.Distribution) int {
			return cmp.Compare(b.File.Size, a.File.Size)
		})
		text := fmt.Sprintf("its wheels have %s MB zipped, Lambda allows %s MB unzipped: %s",
			measure.Bytes(total).MB(), measure.Bytes(measure.MaxUnzippedBytes).MB(), largest(carries))
		if total <= hopeless*measure.MaxUnzippedBytes || len(spec.Policy.Drop) > 0 {
			notes = append(notes, spec.Name+": "+text)
			continue
		}

		return nil, fault.New(fault.OverLimit, "lock", spec.Name, errors.New(text)).WithHint(smaller(carries))
	}

	return notes, nil
}

// largest names the three largest distributions.
func largest(carries []lock.Distribution) string {
	const named = 3
	var parts []string
	for _, d := range carries[:min(named, len(carries))] {
		parts = append(parts, fmt.Sprintf("%s %s MB", d.Name, measure.Bytes(d.File.Size).MB()))
	}

	if more := len(carries) - named; more > 0 {
		parts = append(parts, fmt.Sprintf("and %d more", more))
	}

	return strings.Join(parts, ", ")
}

// smaller says how to get less. Wheels for graphics cards are of no use on Lambda, which has none.
func smaller(carries []lock.Distribution) string {
	cuda := false
	torch := false
	for _, d := range carries {
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
		carries[0].Name.String() + " is the largest"
}
