// Survey builds a hundred well-known distributions with the default rules, one layer each, and
// writes docs/survey.md: what was saved, and what broke.
//
// Each distribution is built twice by the product's own command line: as it comes out for
// everybody, and with every rule switched off, which is what an installer would leave. Both pass
// the gate and all jobs of the probe, and what is loaded of every file of the pruned layer is
// compared with the original.
//
// Broken is what does not work pruned and works as shipped, what the build had to heal, what loads
// otherwise, and every functional script that fails at all. Versions are those of the locks beside
// this file; they name files by hash and no index.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/layersmith/layersmith/internal/tools/onelayer"
)

func main() {
	only := flag.String("only", "", "a number (the first ones), the word spread, or names with commas; default all")
	out := flag.String("out", "docs/survey.md", "file to write; - for standard output")
	keep := flag.String(
		"keep",
		"",
		"folder of results: what is there is taken, what is new is put there; a run that was interrupted goes on",
	)
	cache := flag.String("cache", "", "folder of wheels and caches (default: as layersmith)")
	python := flag.String("python", "", "the target's interpreter (default: as layersmith)")
	quick := flag.Bool("quick", false, "probe what is unpruned only where the pruned layer fails: half the time")
	relock := flag.Bool("relock", false, "take today's versions and write the locks anew")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	b, err := onelayer.Find(ctx, ".", *cache, *python)
	if err == nil {
		err = run(
			ctx,
			survey{Builder: b, locks: filepath.Join("internal", "tools", "survey", "locks"), relock: *relock, quick: *quick},
			*only,
			*out,
			*keep,
		)
	}

	if err != nil {
		fmt.Fprintln(os.Stderr, "survey:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, s survey, only, out, keep string) error {
	entries, err := readEntries(filepath.Join("internal", "tools", "survey", "distributions.yaml"))
	if err != nil {
		return err
	}

	if entries, err = choose(entries, only); err != nil {
		return err
	}

	if s.temp, err = os.MkdirTemp("", "layersmith-survey-"); err != nil {
		return err
	}

	defer os.RemoveAll(s.temp)
	results := make([]result, 0, len(entries))
	broken := 0
	for i, e := range entries {
		start := time.Now()
		r, known, err := s.kept(ctx, keep, e)
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
			"survey: %d of %d, %s: %d broken (%s)\n",
			i+1,
			len(entries),
			e.Name,
			len(r.broken()),
			how,
		)
		for _, b := range r.broken() {
			fmt.Fprintf(os.Stderr, "        %s\n", b)
			broken++
		}
	}

	text := document(results, time.Now())
	if out == "-" {
		fmt.Print(text)
	} else if err := onelayer.WriteFile(out, []byte(text)); err != nil {
		return err
	}

	if broken > 0 {
		return fmt.Errorf("%d broken", broken)
	}

	return nil
}
