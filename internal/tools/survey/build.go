package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/layersmith/layersmith/internal/report"
	"github.com/layersmith/layersmith/internal/testenv/loaded"
	"github.com/layersmith/layersmith/internal/tools/onelayer"
)

// survey is where it builds.
type survey struct {
	onelayer.Builder
	locks  string // committed locks, one a distribution
	temp   string
	relock bool
	quick  bool // no full probe of what is unpruned
}

// result is one distribution, built both ways.
type result struct {
	Entry    entry        `json:"entry"`
	Tool     string       `json:"tool"`
	Pruned   report.Layer `json:"pruned"`
	Shipped  report.Layer `json:"shipped"` // with every rule off
	Compared compared     `json:"compared"`
	Differ   []string     `json:"differ"` // what loads otherwise than as shipped, or grew
	Failed   string       `json:"failed"` // why it could not be built
}

// compared counts the files that were compared by what is loaded of them.
type compared struct {
	Objects  int `json:"objects"`  // shared objects that were changed
	Models   int `json:"models"`   // JSON that was changed
	Bytecode int `json:"bytecode"` // each
}

// kept returns the result that is in the folder, or makes it and puts it there. Without a folder it
// makes it.
func (s survey) kept(ctx context.Context, folder string, e entry) (r result, known bool, err error) {
	file := filepath.Join(folder, e.Name+".json")
	if folder != "" {
		if b, err := os.ReadFile(file); err == nil {
			if err := json.Unmarshal(b, &r); err != nil {
				return r, false, fmt.Errorf("read %s: %w", file, err)
			}

			return r, true, nil
		}
	}

	if r, err = s.try(ctx, e); err != nil || folder == "" {
		return r, false, err
	}

	b, err := json.MarshalIndent(r, "", " ")
	if err == nil {
		err = os.MkdirAll(folder, 0o755)
	}

	if err == nil {
		err = onelayer.WriteFile(file, b)
	}

	return r, false, err
}

// try builds a distribution both ways and compares. What is wrong with the distribution is in the
// result; an error is of this machine, or an interrupt.
func (s survey) try(ctx context.Context, e entry) (r result, err error) {
	r.Entry = e
	dir, err := os.MkdirTemp(s.temp, e.Name+"-")
	if err != nil {
		return r, err
	}
	defer os.RemoveAll(dir)
	lock := filepath.Join(s.locks, e.Name+".toml")
	locked, err := os.ReadFile(lock)
	if err != nil && !errors.Is(err, fs.ErrNotExist) || s.relock {
		locked = nil
	}

	pruned, err := s.Build(ctx, filepath.Join(dir, "pruned"), e.layer("", locked))
	if err != nil {
		return s.blame(ctx, r, err)
	}

	if string(pruned.Lock) != string(locked) {
		if err := onelayer.WriteFile(lock, pruned.Lock); err != nil {
			return r, err
		}

		fmt.Fprintf(os.Stderr, "survey: %s is new; commit it\n", lock)
	}

	r.Tool = pruned.Tool
	r.Pruned = pruned.Layer
	spec := onelayer.NoRules(r.Pruned)
	flags := []string(nil)
	if s.quick {
		spec = spec + "bytecode: none\n"
		flags = []string{"--no-probe"}
	}

	shipped, err := s.Build(ctx, filepath.Join(dir, "shipped"), e.layer(spec, pruned.Lock), flags...)
	if err != nil {
		return s.blame(ctx, r, fmt.Errorf("with all rules off: %w", err))
	}

	r.Shipped = shipped.Layer
	r.Compared, r.Differ, err = s.compare(ctx, shipped.Zip, pruned.Zip)
	return r, err
}

// blame writes down why a distribution could not be built, unless somebody pressed a key.
func (s survey) blame(ctx context.Context, r result, err error) (result, error) {
	if ctx.Err() != nil {
		return r, ctx.Err()
	}

	r.Failed = err.Error()
	return r, nil
}

// compare asks of every file of the second zip whether it loads as it did from the first.
func (s survey) compare(ctx context.Context, before, after string) (n compared, differ []string, err error) {
	a, closeA, err := onelayer.Open(before)
	if err != nil {
		return n, nil, err
	}
	defer closeA()
	b, closeB, err := onelayer.Open(after)
	if err != nil {
		return n, nil, err
	}
	defer closeB()
	var grew []string
	for _, e := range b.Entries() {
		old, ok := a.Lookup(e.Name)
		record := strings.HasSuffix(e.Name, ".dist-info/RECORD") // lists bytecode too
		if ok && !record && (e.Size > old.Size || e.ZippedBytes > old.ZippedBytes) {
			grew = append(
				grew,
				fmt.Sprintf(
					"%s: it grew from %d bytes, %d zipped, to %d, %d",
					e.Name,
					old.Size,
					old.ZippedBytes,
					e.Size,
					e.ZippedBytes,
				),
			)
		}

		switch {
		case strings.HasSuffix(e.Name, ".pyc"):
			n.Bytecode++
		case !ok, record, old.CRC32 == e.CRC32 && old.Size == e.Size:
		case strings.Contains(e.Name, ".json"):
			n.Models++
		default:
			n.Objects++
		}
	}

	differ, err = loaded.Check(ctx, a, b, s.Python.Path)
	return n, append(grew, differ...), err
}
