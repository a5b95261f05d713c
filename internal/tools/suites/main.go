// Suites runs packages' own tests on layers that were pruned by the default rules, and writes
// docs/suites.md.
//
// Each distribution is built twice by the product's own command line: by the default rules, and
// with every rule switched off, as an installer would leave it. Neither layer is probed or healed.
// The tests are either those that the rule `tests` removed, which are put back into the pruned
// layer without anything else, or those of the source distribution. pytest runs them on both
// layers, one after the other and at the same paths. sys.path has the layer first and then the
// distributions that the tests need.
//
// A test is lost if it passes on the unpruned layer and fails, is skipped or is missing on the
// pruned one. A test that differs is run again alone, twice on both layers. If it then fails
// unpruned or passes pruned, it is flaky. Versions are those of the locks in this folder.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/layersmith/layersmith/internal/tools/batch"
	"github.com/layersmith/layersmith/internal/tools/onelayer"
)

func main() {
	var s suites
	var o batch.Options
	o.Register("docs/suites.md", "names separated by commas")
	flag.BoolVar(&s.short, "short", false, "run a part of each suite, of seconds")
	flag.Parse()
	batch.Main("suites", func(ctx context.Context) error { return s.run(ctx, o) })
}

func (s suites) run(ctx context.Context, o batch.Options) error {
	if err := s.prepare(ctx, ".", o.Cache, o.Python); err != nil {
		return err
	}

	folder := filepath.Join("internal", "tools", "suites")
	s.locks = filepath.Join(folder, "locks")
	s.keep = o.Keep
	s.relock = o.Relock

	entries, err := batch.Read[entry](filepath.Join(folder, "suites.yaml"))
	if err != nil {
		return err
	}

	if entries, err = batch.Select(entries, o.Only); err != nil {
		return err
	}

	if s.temp, err = os.MkdirTemp("", "suites-"); err != nil {
		return err
	}

	defer os.RemoveAll(s.temp)

	results, problems, err := batch.Run(ctx, "suites", entries, s.stored)
	if err != nil {
		return err
	}

	if err := batch.WritePage(o.Out, document(results, s.short, s.command(o.Only), time.Now())); err != nil {
		return err
	}

	if problems > 0 {
		return fmt.Errorf("%d problems", problems)
	}

	return nil
}

// command is what writes the same page.
func (s suites) command(only string) string {
	command := "go run ./internal/tools/suites"
	if only != "" {
		command += " -only " + only
	}

	if s.short {
		command += " -short"
	}

	return command
}

// prepare finds uv, and the cache and the interpreter that layersmith uses in the folder
// repository.
func (s *suites) prepare(ctx context.Context, repository, cache, python string) (err error) {
	if s.Builder, err = onelayer.Find(ctx, onelayer.Target, repository, cache, python); err != nil {
		return err
	}

	s.uvPath, err = exec.LookPath("uv")
	return err
}
