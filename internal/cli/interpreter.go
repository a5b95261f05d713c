package cli

import (
	"context"
	"errors"
	"strings"

	"github.com/layersmith/layersmith/internal/localport"
	"github.com/layersmith/layersmith/internal/lock"
	"github.com/layersmith/layersmith/internal/pydist"
)

// find looks for the target's interpreter. Without one, layers are made and not tested.
func (m *machine) find(ctx context.Context) error {
	python, err := m.search.Find(ctx)
	var none *localport.NoPython
	switch {
	case errors.As(err, &none):
		m.noPython = err.Error() + "; get one with: uv python install " + m.search.Target.PythonVersion() +
			", or name one with --python"
	case err != nil:
		return err
	default:
		python.Temp = m.mounts.Dir
		m.python = python
		m.otherArch = !python.Runs(m.search.Target)
	}

	return nil
}

// withPython opens the adapters of this machine, for a command that makes or tests layers. It
// installs the target's interpreter where there is none; with exact also where it is of another
// release than the lock names.
func (a *app) withPython(ctx context.Context, t pydist.Target, exact bool) (*machine, error) {
	m, err := a.machine(ctx, t)
	if err != nil {
		return nil, err
	}

	other := exact && m.search.Release != "" && m.release() != m.search.Release
	if a.offline || a.python != "" || m.python != nil && !other {
		return m, nil
	}

	a.say("python  installing %s with uv", strings.TrimSuffix(t.Runtime()+" "+m.search.Release, " "))
	if err := m.search.Install(ctx, m.resolver(a)); err != nil {
		if ctx.Err() != nil {
			m.close()
			return nil, err
		}

		if m.python == nil {
			m.noPython += "; " + err.Error()
		}

		return m, nil
	}

	if err := m.find(ctx); err != nil {
		m.close()
		return nil, err
	}

	return m, nil
}

// release is the full version of the interpreter, such as 3.13.0; "" for none.
func (m *machine) release() string {
	if m.python == nil {
		return ""
	}

	_, full, _ := strings.Cut(m.python.Identity(), "-")
	return full
}

// lockedPython is the release that the lock names; "" without a lock that can be read.
func (a *app) lockedPython(t pydist.Target) string {
	b, err := a.read(lock.FileName(t))
	if err != nil {
		return ""
	}

	l, err := lock.Open(b)
	if err != nil {
		return "" // reading it for the build says what is wrong
	}

	return l.Python
}

// sayPython says that another release builds than the one that is locked.
func (a *app) sayPython(m *machine, l lock.Lock) {
	if used := m.release(); l.Python != "" && used != "" && used != l.Python {
		a.say("note    Python %s builds, the lock names %s: bytecode may differ; uv python install %s, "+
			"or lock --upgrade", used, l.Python, l.Python)
	}
}
