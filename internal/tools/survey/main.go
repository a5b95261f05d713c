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
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/layersmith/layersmith/internal/tools/batch"
	"github.com/layersmith/layersmith/internal/tools/onelayer"
)

func main() {
	var s survey
	var o batch.Options
	o.Register("docs/survey.md", "a number (the first ones), the word spread, or names separated by commas")
	flag.BoolVar(&s.quick, "quick", false, "probe the unpruned layer only where the pruned one fails: half the time")
	flag.Parse()
	batch.Main("survey", func(ctx context.Context) error { return s.run(ctx, o) })
}

func (s survey) run(ctx context.Context, o batch.Options) (err error) {
	if s.Builder, err = onelayer.Find(ctx, ".", o.Cache, o.Python); err != nil {
		return err
	}

	folder := filepath.Join("internal", "tools", "survey")
	s.locks = filepath.Join(folder, "locks")
	s.keep = o.Keep
	s.relock = o.Relock

	entries, err := batch.Read[entry](filepath.Join(folder, "distributions.yaml"))
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

	if err := batch.WritePage(o.Out, document(results, time.Now())); err != nil {
		return err
	}

	if broken > 0 {
		return fmt.Errorf("%d broken", broken)
	}

	return nil
}
