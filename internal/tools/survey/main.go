// Survey builds a hundred well-known distributions with the default rules, one layer each, and
// writes docs/survey.md: what pruning saved and what it broke.
//
// Each distribution is built twice by the product's own command line: with the default rules, and
// with every rule switched off, as an installer would leave it. Both layers pass the gate and are
// probed. What a process loads of each file of the pruned layer is compared with the original.
//
// Broken is:
//   - what fails pruned and works as shipped,
//   - what the build had to heal,
//   - a file of which a process would load something else,
//   - every script of the probe that fails, as shipped too.
//
// Versions are those of the locks in this folder, which name files by hash and no index.
package main

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/layersmith/layersmith/internal/tools/batch"
	"github.com/layersmith/layersmith/internal/tools/onelayer"
)

// list is a list of distributions and what is made of it. Files are in this folder.
type list struct {
	name   string // of the target of make
	title  string
	file   string
	locks  string // a folder
	target string
	page   string
}

var (
	today = list{"survey", "Survey", "distributions.yaml", "locks", onelayer.Target, "docs/survey.md"}
	older = list{
		"survey-old", "Survey of old versions", "old.yaml", "locks-old", onelayer.OldTarget, "docs/survey-old.md",
	}
)

func main() {
	var s survey
	var o batch.Options
	old := flag.Bool("old", false, "the list of versions of 2021 and 2022, on "+onelayer.OldTarget+": "+older.page)
	o.Register("", "a number (the first ones), the word spread, or names separated by commas")
	flag.BoolVar(&s.quick, "quick", false, "probe the unpruned layer only where the pruned one fails: half the time")
	flag.Parse()
	l := today
	if *old {
		l = older
	}

	batch.Main("survey", func(ctx context.Context) error { return s.run(ctx, l, o) })
}

func (s survey) run(ctx context.Context, l list, o batch.Options) (err error) {
	if s.Builder, err = onelayer.Find(ctx, l.target, ".", o.Cache, o.Python); err != nil {
		return err
	}

	folder := filepath.Join("internal", "tools", "survey")
	s.locks = filepath.Join(folder, l.locks)
	s.keep = o.Keep
	s.relock = o.Relock

	entries, err := batch.Read[entry](filepath.Join(folder, l.file))
	if err != nil {
		return err
	}

	if entries, err = choose(entries, o.Only); err != nil {
		return err
	}

	if s.temp, err = os.MkdirTemp("", "layersmith-survey-"); err != nil {
		return err
	}

	defer os.RemoveAll(s.temp)

	results, broken, err := batch.Run(ctx, "survey", entries, s.stored)
	if err != nil {
		return err
	}

	if err := batch.WritePage(cmp.Or(o.Out, l.page), document(l, results, time.Now())); err != nil {
		return err
	}

	if broken > 0 {
		return fmt.Errorf("%d broken", broken)
	}

	return nil
}
