package localport

import (
	"context"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/layersmith/layersmith/internal/gate"
	"github.com/layersmith/layersmith/internal/probe"
	"github.com/layersmith/layersmith/internal/pydist"
	"github.com/layersmith/layersmith/internal/sharedobj"
)

// mostHidden is how often a job is asked again without the libraries of this machine that it had
// loaded: it may load others instead.
const mostHidden = 3

// objects are the names that mapped files have and need, by path. Libraries of a machine do not
// change while a program runs.
var objects sync.Map

// object is the soname of a file, and what it links to; nothing for one that cannot be read.
func object(file string) (soname string, needed []string) {
	if f, ok := objects.Load(file); ok {
		facts := f.(sharedobj.Facts)
		return facts.Soname, facts.Needed
	}

	var facts sharedobj.Facts
	if b, err := os.ReadFile(file); err == nil {
		facts, _ = sharedobj.Read(b)
	}

	objects.Store(file, facts)
	return facts.Soname, facts.Needed
}

// foreignOf returns those mapped files that are this machine's: neither of the layers, nor of the
// interpreter and what its own modules link to, nor in Lambda's runtime.
func (r *probing) foreignOf(mapped []string) []string {
	var own, others []string
	for _, file := range mapped {
		switch {
		case r.isJobs(file):
		case r.isInterpreters(file):
			own = append(own, file)
		default:
			others = append(others, file)
		}
	}

	linked := map[string]bool{}
	for len(own) > 0 {
		_, needed := object(own[0])
		own = own[1:]
		for _, name := range needed {
			linked[path.Base(name)] = true
		}

		for _, o := range others {
			if soname, _ := object(o); (linked[soname] || linked[path.Base(o)]) && !linked[o] {
				linked[o] = true
				own = append(own, o)
			}
		}
	}

	return slices.DeleteFunc(others, func(o string) bool {
		soname, _ := object(o)
		known := r.runtimeLibraries()
		return linked[o] || known[soname] || known[path.Base(o)] || strings.Contains(o, "/gconv/") ||
			strings.HasPrefix(path.Base(o), "libnss_") || strings.HasPrefix(path.Base(o), "ld-")
	})
}

// isJobs reports whether a file is the layers' or a job's own.
func (r *probing) isJobs(file string) bool {
	for _, dir := range []string{"/opt", "/tmp", "/var/task", "/dev", "/memfd:", "/SYSV", r.mount, r.Temp} {
		if dir != "" && (strings.HasPrefix(file, dir+"/") || strings.HasPrefix(file, dir) && dir[len(dir)-1] == ':') {
			return r.world.level != plainWorld || dir != "/opt"
		}
	}

	return strings.HasSuffix(file, " (deleted)")
}

// isInterpreters reports whether a file came with the interpreter.
func (r *probing) isInterpreters(file string) bool {
	program, err := filepath.EvalSymlinks(r.Path)
	if err != nil {
		return false
	}

	prefix := filepath.Dir(filepath.Dir(program))
	return file == program || strings.Contains(file, "/lib-dynload/") || strings.HasPrefix(file, "/var/lang") ||
		strings.HasPrefix(path.Base(file), "libpython3") ||
		len(prefix) > len("/usr") && strings.HasPrefix(file, prefix+"/")
}

// runtimeLibraries are those of Lambda's runtime for the interpreter's version.
func (p Python) runtimeLibraries() map[string]bool {
	_, full, _ := strings.Cut(p.identity, "-")
	t, err := pydist.ParseTarget("python" + full[:max(0, strings.LastIndexByte(full, '.'))] + "-x86_64")
	if err != nil {
		return nil
	}

	return gate.RuntimeLibraries(t)
}

// withoutForeign asks jobs again that loaded libraries of this machine which Lambda has not, with
// these hidden. A job that then fails needs them. Where nothing can be hidden, loading one fails
// the job.
func (r *probing) withoutForeign(ctx context.Context) error {
	var hide []string
	for range mostHidden {
		again, libraries := r.loading(hide)
		if len(again) == 0 {
			return nil
		}

		hide = append(hide, libraries...)
		second := &probing{Python: r.Python, world: r.world, mount: r.mount, done: func() {}}
		for _, i := range again {
			j := r.jobs[i]
			if r.world.level == plainWorld {
				j.Group = "" // to know which one it is
			}

			second.jobs = append(second.jobs, j)
		}

		second.results = make([]probe.Result, len(again))
		hidden := hide
		if r.world.level == plainWorld {
			hidden = nil
		}

		if err := second.run(ctx, unitsOf(second.jobs), hidden); err != nil {
			return err
		}

		for n, i := range again {
			r.compare(i, second.results[n], second.foreign[n], hide)
		}

		if r.world.level == plainWorld {
			return nil
		}
	}

	return nil
}

// loading are the jobs that passed and have loaded libraries of this machine beside those known.
func (r *probing) loading(known []string) (jobs []int, libraries []string) {
	for i := range r.jobs {
		found := false
		for _, f := range r.foreign[i] {
			if !r.results[i].OK || slices.Contains(known, f) {
				continue
			}

			found = true
			if !slices.Contains(libraries, f) {
				libraries = append(libraries, f)
			}
		}

		if found {
			jobs = append(jobs, i)
		}
	}

	return jobs, libraries
}

// compare takes over what a job does without libraries of this machine.
func (r *probing) compare(i int, second probe.Result, loaded, hidden []string) {
	needs := hidden
	if r.world.level == plainWorld {
		if needs = loaded; len(needs) > 0 {
			second.OK = false
		}
	}

	r.foreign[i] = loaded
	if second.OK || len(needs) == 0 {
		return
	}

	library := path.Base(needs[0])
	for _, n := range needs {
		if strings.Contains(second.Detail, path.Base(n)) || strings.Contains(second.Detail, n) {
			library = path.Base(n)
		}
	}

	second.Job = r.jobs[i]
	second.Library = library
	second.Detail = strings.TrimSpace(second.Detail + fmt.Sprintf(
		"\nit needs %s, which was loaded from this machine: neither the layer nor Lambda's runtime has it", library))
	r.results[i] = second
}
