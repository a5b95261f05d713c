package main

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/layersmith/layersmith/internal/stage"
	"github.com/layersmith/layersmith/internal/testenv/functions"
)

// maxFunctionBytes is what a function may need of memory: half of what prune and measure are given,
// so that nobody has to think about it.
const maxFunctionBytes = 256_000_000

const functionsHead = "\n## Functions\n"

// onlyFunctions measures the functions, with the user's own cache, and returns the file with their
// section, which is its last, in the place of the old one.
func (b *bench) onlyFunctions(file string) (string, error) {
	var err error
	if b.temp, err = os.MkdirTemp("", "layersmith-bench-"); err != nil {
		return "", err
	}

	defer os.RemoveAll(b.temp)
	if b.cache, err = functions.Cache(); err != nil {
		return "", err
	}

	old, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}

	before, _, _ := bytes.Cut(old, []byte(functionsHead))
	w := bytes.NewBuffer(before)
	err = b.functionsTable(w)
	return w.String(), err
}

// functionsTable measures the functions as they are deployed: real bootstraps on Lambda's Runtime
// API, S3 in memory behind HTTP on this machine.
func (b *bench) functionsTable(w *bytes.Buffer) error {
	ctx := context.Background()
	fmt.Fprintln(os.Stderr, "bench: building the functions")
	programs, err := functions.Build(ctx, ".", filepath.Join(b.temp, "functions"))
	if err != nil {
		return err
	}

	account, err := functions.NewAccount()
	if err != nil {
		return err
	}
	defer account.Close()
	s := functions.Stack{Programs: programs, Account: account}
	if err := account.Push(os.DirFS("layers")); err != nil {
		return err
	}

	const run = "bench"
	if err := s.Begin(ctx, run); err != nil {
		return err
	}

	fmt.Fprintln(os.Stderr, "bench: building the artifacts")
	if err := s.Artifacts(ctx, run, b.cache); err != nil {
		return err
	}

	selected, err := s.Select(ctx, run)
	if err != nil {
		return err
	}

	fmt.Fprintf(
		w,
		"%s\nReal bootstraps, zipped, on Lambda's Runtime API, on all processors of this machine; S3 is a server in "+
			"memory here, so durations have no network in them. "+
			"Each row is of fresh processes: duration and init are medians of %d, memory (resident) and /tmp the "+
			"largest. Target: at most %d MB of memory.\n\n",
		functionsHead,
		b.rounds,
		maxFunctionBytes/1_000_000,
	)
	fmt.Fprintf(w, "| function | layer | reads MB | duration | peak memory MB | /tmp MB |\n|---|---|---|---|---|---|\n")
	var pruned []stage.Item
	var missed []string
	row := func(function string, item stage.Item, reads int64, in any) (stage.Item, error) {
		m, out, err := b.invoked(ctx, s, function, in)
		if err != nil {
			return out, fmt.Errorf("%s %s: %w", function, item.Layer, err)
		}

		fmt.Fprintf(
			w,
			"| %s | %s | %.1f | %.2f s | %.0f | %.0f |\n",
			function,
			short[item.Layer],
			float64(reads)/1e6,
			m.wall.Seconds(),
			float64(m.peak)/1e6,
			float64(m.scratch)/1e6,
		)
		if m.peak > maxFunctionBytes {
			missed = append(
				missed,
				fmt.Sprintf("%s of %s takes %.0f MB", function, short[item.Layer], float64(m.peak)/1e6),
			)
		}

		return out, nil
	}
	for _, item := range selected.Layers {
		_, built, err := s.Built(item)
		if err != nil {
			return err
		}

		out, err := row("prune", item, built, stage.LayerInput{Run: run, Layer: item})
		if err != nil {
			return err
		}

		pruned = append(pruned, out)
	}

	for _, item := range pruned {
		doc, zipped, err := s.Pruned(item)
		if err != nil {
			return err
		}

		reads := int64(len(zipped))
		for _, below := range pruned {
			if slices.Contains(doc.Built.Below, below.Layer) {
				_, z, err := s.Pruned(below)
				if err != nil {
					return err
				}

				reads += int64(len(z))
			}
		}

		if _, err := row("measure", item, reads, stage.StackInput{Run: run, Layer: item, Layers: pruned}); err != nil {
			return err
		}
	}

	if len(missed) > 0 {
		fmt.Fprintf(w, "\nMissed: %s.\n", strings.Join(missed, "; "))
	} else {
		fmt.Fprintf(w, "\nThe target is met.\n")
	}

	return b.startTable(ctx, w, s)
}

// startTable is what a cold start loads, and how long it takes until a function asks for work. AWS
// is not asked for anything before that.
func (b *bench) startTable(ctx context.Context, w *bytes.Buffer, s functions.Stack) error {
	fmt.Fprintf(w, "\n| function | init | program MB | zip MB |\n|---|---|---|---|\n")
	for _, name := range s.Names {
		program, zipped, err := s.Sizes(name)
		if err != nil {
			return err
		}

		var inits []time.Duration
		for range max(b.rounds, 3) {
			f, err := s.Start(ctx, name, time.Minute, nil)
			if err != nil {
				return err
			}

			r, err := f.Invoke([]byte("null")) // refused at the door
			f.Close()
			if err != nil {
				return err
			}

			inits = append(inits, r.Init)
		}

		fmt.Fprintf(
			w,
			"| %s | %d ms | %.1f | %.1f |\n",
			name,
			median(inits).Milliseconds(),
			float64(program)/1e6,
			float64(zipped)/1e6,
		)
	}

	return nil
}

// invocation is what fresh processes took.
type invocation struct {
	wall          time.Duration // median
	peak, scratch int64         // bytes, of the largest
}

func (b *bench) invoked(
	ctx context.Context,
	s functions.Stack,
	function string,
	in any,
) (m invocation, out stage.Item, err error) {
	var walls []time.Duration
	for n := range b.rounds {
		fmt.Fprintf(os.Stderr, "bench: %s, round %d\n", function, n+1)
		temp, err := os.MkdirTemp(b.temp, "tmp-")
		if err != nil {
			return m, out, err
		}

		f, err := s.Start(ctx, function, 5*time.Minute, map[string]string{"TMPDIR": temp})
		if err != nil {
			return m, out, err
		}

		var largest int64
		stop := watch(f.PID(), temp, &largest)
		item, r, err := functions.Invoke[stage.Item](f, in)
		stop()
		f.Close()
		if err != nil {
			return m, out, err
		}

		out = item
		walls = append(walls, r.Duration)
		m.peak = max(m.peak, r.MaxRSSBytes)
		m.scratch = max(m.scratch, largest)
	}

	m.wall = median(walls)
	return m, out, nil
}

// watch looks every few milliseconds at what a function holds in its temporary folder, also in
// files that have no name any more.
func watch(pid int, temp string, largest *int64) (stop func()) {
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for {
			*largest = max(*largest, scratch(pid, temp))
			select {
			case <-done:
				return
			case <-tick.C:
			}
		}
	})
	return func() { close(done); wg.Wait() }
}

// scratch is the size of the files in the folder, and of those that the process has open and that
// were there.
func scratch(pid int, temp string) (total int64) {
	seen := map[uint64]bool{}
	add := func(path string) {
		info, err := os.Stat(path)
		if err != nil || !info.Mode().IsRegular() {
			return // gone meanwhile
		}

		if st, ok := info.Sys().(*syscall.Stat_t); ok && !seen[st.Ino] {
			seen[st.Ino] = true
			total += st.Blocks * 512
		}
	}
	_ = filepath.WalkDir(temp, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			add(path)
		}

		return nil // what is gone meanwhile does not count
	})
	open := fmt.Sprintf("/proc/%d/fd", pid)
	fds, _ := os.ReadDir(open)
	for _, fd := range fds {
		path := filepath.Join(open, fd.Name())
		if to, err := os.Readlink(path); err == nil && strings.HasPrefix(to, temp+"/") {
			add(path)
		}
	}

	return total
}
