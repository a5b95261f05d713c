package localport

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/layersmith/layersmith/internal/engine"
	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/probe"
	"github.com/layersmith/layersmith/internal/pydist"
)

// Python is an interpreter on this machine.
type Python struct {
	Path     string
	Temp     string        // the folder for temporary files of probes
	Timeout  time.Duration // of one job; 0 for probeTimeout and compileTimeout
	identity string        // see Identity
	platform string        // "Linux-aarch64"; under emulation not the machine's own
}

var _ engine.Interpreter = Python{}

// Runs says whether the interpreter can load extension modules of the target's platform. Bytecode
// is the same for all architectures.
func (p Python) Runs(t pydist.Target) bool {
	return p.platform == map[string]string{"x86_64": "Linux-x86_64", "arm64": "Linux-aarch64"}[t.Arch()]
}

// Identity names implementation and version, for example "cpython-3.13.5".
func (p Python) Identity() string { return p.identity }

// probeTimeout is for one job. A cold start of a large layer may take 10 s.
const probeTimeout = 120 * time.Second

// enoughSeconds is how long an import takes that is timed once: what disturbs it is small beside
// it, and its files were just written, so they are in memory.
const enoughSeconds = 1

// Import measures the import of all modules together: the fastest of some rounds, each in a new
// process, and the highest memory. An import of over a second is timed once.
func (p Python) Import(ctx context.Context, mount string, modules []string, rounds int) (probe.ImportTime, error) {
	best := probe.ImportTime{Modules: modules}
	w, err := p.open(ctx)
	if err != nil {
		return best, err
	}

	z, done, err := p.zygote(ctx, w, mount, nil)
	if err != nil {
		return best, err
	}
	defer done()

	limit := cmp.Or(p.Timeout, probeTimeout)
	for n := range rounds {
		a, err := z.run(ctx, limit, append([]string{"import"}, modules...))
		if err != nil {
			return best, err
		}

		if detail := z.detail(a, limit); detail != "" {
			return best, fault.New(fault.ProbeFailed, "import", strings.Join(modules, ", "),
				errors.New(lastLines(detail, 1))).
				WithHint("name modules that can be imported together as imports in layer.yaml")
		}

		seconds, err := strconv.ParseFloat(lastLines(a.out, 1), 64)
		if err != nil {
			return best, fault.New(fault.ToolMissing, "time imports with", p.Path,
				fmt.Errorf("its last line is %.80q", lastLines(a.out, 1))).
				WithHint(otherPython)
		}

		if n == 0 || seconds < best.Seconds {
			best.Seconds = seconds
		}

		best.PeakBytes = max(best.PeakBytes, a.peak)
		if seconds > enoughSeconds {
			break
		}
	}

	return best, nil
}
