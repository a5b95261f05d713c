// Suites runs packages' own tests on layers that were pruned by the default rules, and writes
// docs/suites.md.
//
// Each distribution is built twice by the product's own command line: by the default rules, and
// with every rule switched off, which is what an installer would leave. Neither is probed or
// healed. What the rule `tests` removed is laid back into the pruned layer, and nothing else that
// any rule removed or changed; or the tests come from the source distribution. Then pytest runs on
// both, at the same paths, one after the other, with nothing on sys.path but the layer, and behind
// it what the tests require.
//
// Lost is every test that passes on the unpruned layer and fails, is skipped or is not there on the
// pruned one. A test that differs is run again alone, twice on both; what then fails unpruned too,
// or passes pruned, is flaky and named as that. Versions are those of the locks beside this file.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/layersmith/layersmith/internal/tools/onelayer"
)

func main() {
	var s suites
	only := flag.String("only", "", "names with commas; default all")
	out := flag.String("out", "docs/suites.md", "file to write; - for standard output")
	flag.StringVar(
		&s.keep,
		"keep",
		"",
		"folder of results: what is there of the same tests is taken, what is new is put there; a run that was "+
			"interrupted goes on. For other rules take another folder",
	)
	cache := flag.String("cache", "", "folder of wheels and caches (default: as layersmith)")
	python := flag.String("python", "", "the target's interpreter (default: as layersmith)")
	flag.BoolVar(&s.short, "short", false, "a part of each, of seconds")
	flag.BoolVar(&s.relock, "relock", false, "take today's versions and write the locks anew")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := s.prepare(ctx, ".", *cache, *python)
	if err == nil {
		err = run(ctx, s, *only, *out)
	}

	if err != nil {
		fmt.Fprintln(os.Stderr, "suites:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, s suites, only, out string) error {
	entries, err := readEntries(filepath.Join("internal", "tools", "suites", "suites.yaml"))
	if err != nil {
		return err
	}

	if entries, err = choose(entries, only); err != nil {
		return err
	}

	s.locks = filepath.Join("internal", "tools", "suites", "locks")
	if s.temp, err = os.MkdirTemp("", "suites-"); err != nil {
		return err
	}

	defer os.RemoveAll(s.temp)
	results := make([]result, 0, len(entries))
	problems := 0
	for i, e := range entries {
		start := time.Now()
		r, known, err := s.kept(ctx, e)
		if err != nil {
			return err
		}

		results = append(results, r)
		how := time.Since(start).Round(time.Second).String()
		if known {
			how = "known"
		}

		fmt.Fprintf(
			os.Stderr,
			"suites: %d of %d, %s %s: %d tests, %d passed on both, %d lost, %d flaky (%s)\n",
			i+1,
			len(entries),
			e.Name,
			r.version(),
			r.Counts.Collected,
			r.Counts.Passed,
			r.Counts.Lost,
			r.Counts.Flaky,
			how,
		)
		for _, p := range r.problems() {
			fmt.Fprintf(os.Stderr, "        %s\n", p)
			problems++
		}
	}

	command := "go run ./internal/tools/suites"
	if only != "" {
		command += " -only " + only
	}

	if s.short {
		command += " -short"
	}

	text := document(results, s.short, command, time.Now())
	if out == "-" {
		fmt.Print(text)
	} else if err := onelayer.WriteFile(out, []byte(text)); err != nil {
		return err
	}

	if problems > 0 {
		return fmt.Errorf("%d problems", problems)
	}

	return nil
}

// prepare finds what everything needs: the interpreter that layersmith would take, its cache, and
// uv.
func (s *suites) prepare(ctx context.Context, repository, cache, python string) (err error) {
	if s.Builder, err = onelayer.Find(ctx, repository, cache, python); err != nil {
		return err
	}

	s.uvPath, err = exec.LookPath("uv")
	return err
}
