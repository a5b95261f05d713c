package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/layersmith/layersmith/internal/report"
	"github.com/layersmith/layersmith/internal/testenv/loaded"
	"github.com/layersmith/layersmith/internal/tools/batch"
	"github.com/layersmith/layersmith/internal/tools/onelayer"
	"github.com/layersmith/layersmith/internal/ziptree"
)

// survey builds distributions.
type survey struct {
	onelayer.Builder
	locks  string // folder of the committed locks, one a distribution
	keep   string // folder of stored results; "" for none
	temp   string
	relock bool
	quick  bool // probe the unpruned layer only where the pruned one fails
}

// result is one distribution, built with and without rules.
type result struct {
	Entry    entry        `json:"entry"`
	Tool     string       `json:"tool"`
	Pruned   report.Layer `json:"pruned"`
	Shipped  report.Layer `json:"shipped"` // with every rule off
	Compared compared     `json:"compared"`
	Differ   []string     `json:"differ"` // files that grew, or of which a process loads something else
	Failed   string       `json:"failed"` // why it could not be built
}

// compared counts the files that were compared by what a process loads of them.
type compared struct {
	Objects  int `json:"objects"`  // shared objects that were changed
	Models   int `json:"models"`   // JSON files that were changed
	Bytecode int `json:"bytecode"` // all
}

// stored returns the stored result, or makes and stores it.
func (s survey) stored(ctx context.Context, e entry) (r result, stored bool, err error) {
	if s.keep == "" {
		r, err = s.try(ctx, e)
		return r, false, err
	}

	file := filepath.Join(s.keep, e.Name+".json")
	if stored, err = batch.Load(file, &r); stored || err != nil {
		return r, stored, err
	}

	if r, err = s.try(ctx, e); err != nil {
		return r, false, err
	}

	return r, false, batch.Store(file, r)
}

// try builds a distribution with and without rules and compares the layers. A distribution that
// cannot be built is a result; an error is one of this machine, or an interrupt.
func (s survey) try(ctx context.Context, e entry) (r result, err error) {
	r.Entry = e
	dir, err := os.MkdirTemp(s.temp, e.Name+"-")
	if err != nil {
		return r, err
	}
	defer os.RemoveAll(dir)

	file := filepath.Join(s.locks, e.Name+".toml")
	lock, err := batch.ReadLock(file)
	if err != nil {
		return r, err
	}

	if s.relock {
		lock = nil
	}

	pruned, err := s.Build(ctx, filepath.Join(dir, "pruned"), e.layer("", lock))
	if err != nil {
		return r.failed(ctx, err)
	}

	if string(pruned.Lock) != string(lock) {
		if err := batch.WriteFile(file, pruned.Lock); err != nil {
			return r, err
		}

		fmt.Fprintf(os.Stderr, "survey: wrote %s; commit it\n", file)
	}

	shipped, err := s.buildShipped(ctx, filepath.Join(dir, "shipped"), e, pruned)
	if err != nil {
		return r.failed(ctx, fmt.Errorf("with all rules off: %w", err))
	}

	r.Tool = pruned.Tool
	r.Pruned = pruned.Layer
	r.Shipped = shipped.Layer
	r.Compared, r.Differ, err = s.compare(ctx, shipped.Zip, pruned.Zip)

	return r, err
}

// buildShipped builds a layer again with all rules off.
func (s survey) buildShipped(ctx context.Context, dir string, e entry, pruned onelayer.Built) (onelayer.Built, error) {
	spec := onelayer.NoRules(pruned.Layer)
	if s.quick {
		return s.Build(ctx, dir, e.layer(spec+"bytecode: none\n", pruned.Lock), "--no-probe")
	}

	return s.Build(ctx, dir, e.layer(spec, pruned.Lock))
}

// failed notes why a distribution could not be built. An interrupt is an error.
func (r result) failed(ctx context.Context, err error) (result, error) {
	if ctx.Err() != nil {
		return r, ctx.Err()
	}

	r.Failed = err.Error()
	return r, nil
}

// compare compares what a process loads of each file of two zips, and their sizes.
func (s survey) compare(ctx context.Context, before, after string) (n compared, differ []string, err error) {
	shipped, closeShipped, err := onelayer.Open(before)
	if err != nil {
		return n, nil, err
	}
	defer closeShipped()

	pruned, closePruned, err := onelayer.Open(after)
	if err != nil {
		return n, nil, err
	}
	defer closePruned()

	for _, e := range pruned.Entries() {
		n.count(shipped, e)
		old, ok := shipped.Lookup(e.Name)
		if ok && !isRecord(e) && (e.Size > old.Size || e.ZippedBytes > old.ZippedBytes) {
			differ = append(differ, fmt.Sprintf("%s: it grew from %d bytes, %d zipped, to %d, %d",
				e.Name, old.Size, old.ZippedBytes, e.Size, e.ZippedBytes))
		}
	}

	other, err := loaded.Check(ctx, shipped, pruned, s.Python.Path)
	return n, append(differ, other...), err
}

// count counts a file of the pruned layer if loaded.Check compares it.
func (n *compared) count(shipped ziptree.Tree, e ziptree.Entry) {
	old, ok := shipped.Lookup(e.Name)
	switch {
	case strings.HasSuffix(e.Name, ".pyc"):
		n.Bytecode++
	case !ok, isRecord(e), old.CRC32 == e.CRC32 && old.Size == e.Size:
	case strings.Contains(e.Name, ".json"):
		n.Models++
	default:
		n.Objects++
	}
}

// isRecord reports whether a file is a distribution's RECORD, which lists the bytecode too.
func isRecord(e ziptree.Entry) bool { return strings.HasSuffix(e.Name, ".dist-info/RECORD") }
