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

	"github.com/layersmith/layersmith/internal/testenv/functions"
	"github.com/layersmith/layersmith/internal/tools/onelayer"
	"github.com/layersmith/layersmith/internal/tools/page"
	"github.com/layersmith/layersmith/internal/workflow"
)

// maxFunctionBytes is the memory that a function may use: half of what prune and measure are given.
const maxFunctionBytes = 256_000_000

const functionsHead = "\n## Functions\n"

// onlyFunctions measures the functions with the user's own cache, and returns the file with their
// section replaced, and without what follows it.
func (b *bench) onlyFunctions(file string) (string, error) {
	var err error
	if b.temp, err = os.MkdirTemp("", "layersmith-bench-"); err != nil {
		return "", err
	}

	defer os.RemoveAll(b.temp)

	if b.cache, err = onelayer.Cache(); err != nil {
		return "", err
	}

	old, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}

	before, _, _ := bytes.Cut(old, []byte(functionsHead))
	b.Write(before)
	err = b.functionTables()

	return b.String(), err
}

// functionTables measures the functions as they are deployed: real bootstraps on Lambda's Runtime
// API, with S3 in memory behind HTTP on this machine.
func (b *bench) functionTables() error {
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

	m := measuring{bench: b, stack: functions.Stack{Programs: programs, Account: account}, run: "bench"}
	selected, err := m.prepare(ctx)
	if err != nil {
		return err
	}

	b.Line("%s", functionsHead)
	b.Paragraph("Real bootstraps, zipped, on Lambda's Runtime API, on all processors of this machine; S3 is a "+
		"server in memory here, so durations have no network in them. Each row is of fresh processes: duration and "+
		"init are medians of %d, memory (resident) and /tmp the largest. Target: at most %d MB of memory.",
		b.rounds, maxFunctionBytes/1_000_000)
	b.Header(new(page.Columns).Left("function", "layer", "reads MB", "duration", "peak memory MB", "/tmp MB"))

	pruned, err := m.prune(ctx, selected)
	if err != nil {
		return err
	}

	if err := m.measure(ctx, pruned); err != nil {
		return err
	}

	b.Line("")
	b.verdict(m.missed, "The target is met.")

	return m.starts(ctx)
}

// measuring measures the functions of one run.
type measuring struct {
	*bench
	stack  functions.Stack
	run    string
	missed []string
}

// prepare does the steps before Prune and returns the layers to prune.
func (m *measuring) prepare(ctx context.Context) ([]workflow.Item, error) {
	if err := m.stack.Push(os.DirFS("layers")); err != nil {
		return nil, err
	}

	if err := m.stack.Begin(ctx, m.run); err != nil {
		return nil, err
	}

	fmt.Fprintln(os.Stderr, "bench: building the artifacts")
	if err := m.stack.Artifacts(ctx, m.run, m.cache); err != nil {
		return nil, err
	}

	selected, err := m.stack.Select(ctx, m.run)

	return selected.Layers, err
}

// prune measures Prune of each layer and returns its outputs.
func (m *measuring) prune(ctx context.Context, layers []workflow.Item) (pruned []workflow.Item, err error) {
	for _, item := range layers {
		_, artifactBytes, err := m.stack.Built(item)
		if err != nil {
			return nil, err
		}

		out, err := m.row(ctx, "prune", item, artifactBytes, workflow.LayerInput{Run: m.run, Layer: item})
		if err != nil {
			return nil, err
		}

		pruned = append(pruned, out)
	}

	return pruned, nil
}

// measure measures Measure of each layer. It reads the layer's zip and those of the layers below.
func (m *measuring) measure(ctx context.Context, pruned []workflow.Item) error {
	for _, item := range pruned {
		doc, zipped, err := m.stack.Pruned(item)
		if err != nil {
			return err
		}

		reads := int64(len(zipped))
		for _, below := range pruned {
			if !slices.Contains(doc.Built.Below, below.Layer) {
				continue
			}

			_, zipped, err := m.stack.Pruned(below)
			if err != nil {
				return err
			}

			reads += int64(len(zipped))
		}

		in := workflow.StackInput{Run: m.run, Layer: item, Layers: pruned}
		if _, err := m.row(ctx, "measure", item, reads, in); err != nil {
			return err
		}
	}

	return nil
}

// row invokes a function, writes its row and returns its output.
func (m *measuring) row(
	ctx context.Context, function string, item workflow.Item, reads int64, in any,
) (workflow.Item, error) {
	took, out, err := m.invoke(ctx, function, in)
	if err != nil {
		return out, fmt.Errorf("%s %s: %w", function, item.Layer, err)
	}

	layer := short[item.Layer]
	m.Line("| %s | %s | %s | %.2f s | %s | %s |", function, layer, page.MB(reads, 1), took.wall.Seconds(),
		page.MB(took.peak, 0), page.MB(took.temp, 0))
	if took.peak > maxFunctionBytes {
		m.missed = append(m.missed, fmt.Sprintf("%s of %s takes %s MB", function, layer, page.MB(took.peak, 0)))
	}

	return out, nil
}

// starts measures how long each function takes until it asks for its first event, and the sizes of
// its program. Before that it does not call AWS.
func (m *measuring) starts(ctx context.Context) error {
	m.Line("")
	m.Header(new(page.Columns).Left("function", "init", "program MB", "zip MB"))
	for _, name := range m.stack.Names {
		program, zipped, err := m.stack.Sizes(name)
		if err != nil {
			return err
		}

		var inits []time.Duration
		for range max(m.rounds, 3) {
			init, err := m.start(ctx, name)
			if err != nil {
				return err
			}

			inits = append(inits, init)
		}

		m.Line("| %s | %d ms | %s | %s |", name, median(inits).Milliseconds(), page.MB(program, 1), page.MB(zipped, 1))
	}

	return nil
}

// start starts a function and returns how long it initialized.
func (m *measuring) start(ctx context.Context, function string) (time.Duration, error) {
	f, err := m.stack.Start(ctx, function, time.Minute, nil)
	if err != nil {
		return 0, err
	}
	defer f.Close()

	r, err := f.Invoke([]byte("null")) // every function refuses it before it does anything

	return r.Init, err
}

// usage is what fresh processes of a function took.
type usage struct {
	wall time.Duration // median
	peak int64         // bytes resident, of the largest
	temp int64         // bytes in /tmp, of the largest
}

// invoke invokes fresh processes of a function, one a round, and returns the output of the last.
func (m *measuring) invoke(ctx context.Context, function string, in any) (took usage, out workflow.Item, err error) {
	var walls []time.Duration
	for n := range m.rounds {
		fmt.Fprintf(os.Stderr, "bench: %s, round %d\n", function, n+1)
		var u usage
		if u, out, err = m.invokeOnce(ctx, function, in); err != nil {
			return took, out, err
		}

		walls = append(walls, u.wall)
		took.peak = max(took.peak, u.peak)
		took.temp = max(took.temp, u.temp)
	}

	took.wall = median(walls)

	return took, out, nil
}

func (m *measuring) invokeOnce(ctx context.Context, function string, in any) (u usage, out workflow.Item, err error) {
	temp, err := os.MkdirTemp(m.temp, "tmp-")
	if err != nil {
		return u, out, err
	}

	f, err := m.stack.Start(ctx, function, 5*time.Minute, map[string]string{"TMPDIR": temp})
	if err != nil {
		return u, out, err
	}
	defer f.Close()

	stop := watch(f.PID(), temp, &u.temp)
	out, r, err := functions.Invoke[workflow.Item](f, in)
	stop()

	u.wall = r.Duration
	u.peak = r.MaxRSSBytes

	return u, out, err
}

// watch measures the temporary folder of a process every few milliseconds until stop is called, and
// sets largest, in bytes.
func watch(pid int, temp string, largest *int64) (stop func()) {
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for {
			*largest = max(*largest, tempBytes(pid, temp))
			select {
			case <-done:
				return
			case <-tick.C:
			}
		}
	})

	return func() { close(done); wg.Wait() }
}

// tempBytes is the disk space of the files in a temporary folder, and of deleted ones that the
// process still has open.
func tempBytes(pid int, temp string) (total int64) {
	seen := map[uint64]bool{}
	add := func(path string) {
		info, err := os.Stat(path)
		if err != nil || !info.Mode().IsRegular() {
			return // deleted meanwhile
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

		return nil // an error: deleted meanwhile
	})

	open := fmt.Sprintf("/proc/%d/fd", pid)
	descriptors, _ := os.ReadDir(open)
	for _, d := range descriptors {
		path := filepath.Join(open, d.Name())
		if file, err := os.Readlink(path); err == nil && strings.HasPrefix(file, temp+"/") {
			add(path)
		}
	}

	return total
}
