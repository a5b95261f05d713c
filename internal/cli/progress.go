package cli

import (
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"github.com/layersmith/layersmith/internal/engine"
	"github.com/layersmith/layersmith/internal/measure"
)

// progress shows bars with the elapsed time on a terminal; they go when their task is done. It
// prints a line for each task that took longer than patience, or for every task with --verbose.
// With --quiet or --json it shows nothing. Tasks without work are not shown.
type progress struct {
	bars     *mpb.Progress
	plain    io.Writer
	patience time.Duration
	mu       sync.Mutex
}

// patience is the duration from which on a task gets a line in a log.
const patience = 3 * time.Second

func newProgress(a *app) *progress {
	switch {
	case a.quiet || a.json:
		return &progress{}
	case isTerminal(a.Err):
		bars := mpb.New(mpb.WithOutput(a.Err), mpb.WithWidth(24))
		p := &progress{bars: bars, plain: bars, patience: patience}
		if a.verbose {
			p.patience = 0
		}

		return p
	case a.verbose:
		return &progress{plain: a.Err}
	}

	return &progress{plain: a.Err, patience: patience}
}

// wait lets bars finish their last line.
func (p *progress) wait() {
	if p.bars != nil {
		p.bars.Shutdown()
	}
}

// Start begins a task.
func (p *progress) Start(name string, total int64, unit string) engine.Task {
	if total <= 0 || p.plain == nil {
		return idle{}
	}

	line := &lineTask{p: p, name: name, unit: unit, start: time.Now()}
	if p.bars == nil {
		return line
	}

	counter := decor.CountersNoUnit("%d / %d " + unit)
	if unit == "bytes" {
		counter = decor.CountersKiloByte("% .1f / % .1f")
	}

	bar := p.bars.AddBar(total, mpb.BarRemoveOnComplete(),
		mpb.PrependDecorators(decor.Name(name, decor.WCSyncSpaceR)),
		mpb.AppendDecorators(counter, decor.Name("  "), decor.Elapsed(decor.ET_STYLE_GO)))
	return barTask{bar, line}
}

type idle struct{}

func (idle) Add(int64) {}
func (idle) Done()     {}

type barTask struct {
	bar  *mpb.Bar
	line *lineTask
}

func (t barTask) Add(n int64) {
	t.bar.IncrInt64(n)
	t.line.Add(n)
}

func (t barTask) Done() {
	t.bar.Abort(true)
	t.line.Done()
}

type lineTask struct {
	p     *progress
	name  string
	unit  string
	start time.Time
	mu    sync.Mutex
	n     int64
}

func (t *lineTask) Add(n int64) {
	t.mu.Lock()
	t.n += n
	t.mu.Unlock()
}

func (t *lineTask) Done() {
	took := time.Since(t.start)
	if took < t.p.patience {
		return
	}

	t.p.mu.Lock()
	defer t.p.mu.Unlock()
	amount := fmt.Sprintf("%d %s", t.n, t.unit)
	if t.unit == "bytes" {
		amount = measure.Bytes(t.n).String()
	}

	fmt.Fprintf(t.p.plain, "%s: %s in %s\n", t.name, amount, seconds(took))
}
