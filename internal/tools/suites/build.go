package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bmatcuk/doublestar/v4"

	"github.com/layersmith/layersmith/internal/measure"
	"github.com/layersmith/layersmith/internal/policy"
	"github.com/layersmith/layersmith/internal/report"
	"github.com/layersmith/layersmith/internal/tools/onelayer"
	"github.com/layersmith/layersmith/internal/wheel"
	"github.com/layersmith/layersmith/internal/ziptree"
)

// prefix is where Lambda's Python looks below /opt.
const prefix = "python/"

// removed says which rule dropped each file that one tree has and the other lacks, in the order of
// names. Bytecode goes with its source. It is worked out from the book of rules, and must come to
// what the build's own report counts.
func removed(shipped, pruned ziptree.Tree, l report.Layer) (map[string]string, error) {
	book, err := policy.Builtin()
	if err != nil {
		return nil, err
	}

	dists, err := wheel.Installed(shipped, prefix)
	if err != nil {
		return nil, err
	}

	owners := map[string]policy.Owner{}
	for _, d := range dists {
		for _, f := range d.Files {
			owners[prefix+f] = policy.Owner{Name: d.Name, Version: d.Version}
		}
	}

	rules := map[string]string{}
	var tests measure.Size
	for _, e := range shipped.Entries() {
		if _, kept := pruned.Lookup(e.Name); kept || strings.HasSuffix(e.Name, ".pyc") {
			continue
		}

		file := strings.TrimPrefix(e.Name, prefix)
		owner := owners[e.Name]
		for i := range book {
			r := &book[i]
			if _, on := l.Inputs.Rules[r.ID]; !on || r.Transform != "" || !r.Matches(file, owner) {
				continue
			}

			if _, not := r.Excepted(file, owner); !not {
				rules[e.Name] = r.ID
				break
			}
		}

		if rules[e.Name] == testRule {
			tests = tests.Add(measure.Of(e.Name, e.Size, e.ZippedBytes))
		}
	}

	if reported := l.Removed[testRule]; reported.Files != tests.Files || reported.Unzipped != tests.Unzipped {
		return nil, fmt.Errorf(
			"rule %s removed %d files of %d bytes says the report; looked at, it is %d of %d",
			testRule,
			reported.Files,
			reported.Unzipped,
			tests.Files,
			tests.Unzipped,
		)
	}

	return rules, nil
}

// testRule is the rule whose work is undone: without tests nothing can be tested.
const testRule = "tests"

// lay unpacks a pruned layer to dir/python and gives it back what the rule `tests` removed, and
// what the entry restores; it returns the files of the latter, and all that stay away with the rule
// that removed them.
func lay(dir string, e entry, shipped, pruned onelayer.Built) (restored []string, away map[string]string, err error) {
	before, closeBefore, err := onelayer.Open(shipped.Zip)
	if err != nil {
		return nil, nil, err
	}
	defer closeBefore()
	after, closeAfter, err := onelayer.Open(pruned.Zip)
	if err != nil {
		return nil, nil, err
	}
	defer closeAfter()
	if away, err = removed(before, after, pruned.Layer); err != nil {
		return nil, nil, err
	}

	if err := unpackAll(dir, after); err != nil {
		return nil, nil, err
	}

	for _, name := range slices.Sorted(maps.Keys(away)) {
		if away[name] != testRule {
			wanted := func(
				r reasoned,
			) bool {
				ok, _ := doublestar.Match(r.Match, strings.TrimPrefix(name, prefix))
				return ok
			}
			if !slices.ContainsFunc(e.Restore, wanted) {
				continue
			}

			restored = append(restored, name)
		}

		delete(away, name)
		x, _ := before.Lookup(name)
		if err := unpack(dir, x); err != nil {
			return nil, nil, err
		}
	}

	return restored, away, nil
}

// layWhole unpacks a layer to dir/python.
func layWhole(dir string, b onelayer.Built) error {
	t, closeTree, err := onelayer.Open(b.Zip)
	if err != nil {
		return err
	}
	defer closeTree()
	return unpackAll(dir, t)
}

func unpackAll(dir string, t ziptree.Tree) error {
	for _, e := range t.Entries() {
		if err := unpack(dir, e); err != nil {
			return err
		}
	}

	return nil
}

func unpack(dir string, e ziptree.Entry) error {
	in, err := e.Open()
	if err != nil {
		return err
	}
	defer in.Close()
	return put(filepath.Join(dir, filepath.FromSlash(e.Name)), in)
}

// put writes a file and the folders above it.
func put(name string, content io.Reader) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}

	f, err := os.Create(name)
	if err != nil {
		return err
	}

	_, err = io.Copy(f, content)
	return errors.Join(err, f.Close())
}
