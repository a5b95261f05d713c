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

// prefix is the folder in a layer that Lambda's Python has on sys.path.
const prefix = "python/"

// testRule is the rule whose removals are put back, because they are the tests.
const testRule = "tests"

// removed maps each file that the pruned tree lacks to the rule that removed it, but for bytecode,
// which goes with its source. It applies the built-in rules again. What it finds for the rule
// `tests` must be what the build reported.
func removed(shipped, pruned ziptree.Tree, l report.Layer) (map[string]string, error) {
	book, err := policy.Builtin()
	if err != nil {
		return nil, err
	}

	owners, err := ownersOf(shipped)
	if err != nil {
		return nil, err
	}

	rules := map[string]string{}
	var tests measure.Size
	for _, e := range shipped.Entries() {
		if _, kept := pruned.Lookup(e.Name); kept || strings.HasSuffix(e.Name, ".pyc") {
			continue
		}

		rule := removedBy(book, l.Inputs.Rules, strings.TrimPrefix(e.Name, prefix), owners[e.Name])
		if rule == "" {
			continue
		}

		rules[e.Name] = rule
		if rule == testRule {
			tests = tests.Add(measure.Of(e.Name, e.Size, e.ZippedBytes))
		}
	}

	if reported := l.Removed[testRule]; reported.Files != tests.Files || reported.Unzipped != tests.Unzipped {
		return nil, fmt.Errorf("rule %s: the report has %d files of %d bytes, but the rule matches %d of %d",
			testRule, reported.Files, reported.Unzipped, tests.Files, tests.Unzipped)
	}

	return rules, nil
}

// ownersOf maps each file of a tree to the distribution whose RECORD has it.
func ownersOf(t ziptree.Tree) (map[string]policy.Owner, error) {
	dists, err := wheel.Installed(t, prefix)
	if err != nil {
		return nil, err
	}

	owners := map[string]policy.Owner{}
	for _, d := range dists {
		for _, f := range d.Files {
			owners[prefix+f] = policy.Owner{Name: d.Name, Version: d.Version}
		}
	}

	return owners, nil
}

// removedBy is the first enabled rule that removes a file, "" for none.
func removedBy(book []policy.Rule, enabled map[string]int, file string, owner policy.Owner) string {
	for i := range book {
		r := &book[i]
		if _, on := enabled[r.ID]; !on || r.Transform != "" || !r.Matches(file, owner) {
			continue
		}

		if _, excepted := r.Excepted(file, owner); !excepted {
			return r.ID
		}
	}

	return ""
}

// lay unpacks a pruned layer to dir/python and puts back what the rule `tests` removed, and what
// the entry restores of other rules: restored. away maps all other removed files to their rule.
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
		switch {
		case away[name] == testRule:
		case e.restores(strings.TrimPrefix(name, prefix)):
			restored = append(restored, name)
		default:
			continue
		}

		delete(away, name)
		file, _ := before.Lookup(name)
		if err := unpack(dir, file); err != nil {
			return nil, nil, err
		}
	}

	return restored, away, nil
}

// restores reports whether the entry puts a removed file back.
func (e entry) restores(file string) bool {
	return slices.ContainsFunc(e.Restore, func(r reasoned) bool {
		match, _ := doublestar.Match(r.Match, file)
		return match
	})
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
