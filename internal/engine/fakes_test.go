package engine_test

import (
	"archive/zip"
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/layersmith/layersmith/internal/digest"
	"github.com/layersmith/layersmith/internal/engine"
	"github.com/layersmith/layersmith/internal/lock"
	"github.com/layersmith/layersmith/internal/probe"
	"github.com/layersmith/layersmith/internal/pyc"
	"github.com/layersmith/layersmith/internal/pydist"
	"github.com/layersmith/layersmith/internal/workspace"
	"github.com/layersmith/layersmith/internal/ziptree"
)

const targetName = "python3.13-x86_64"

func must[T any](t testing.TB) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}

		return v
	}
}

func testTarget(t testing.TB) pydist.Target {
	return must[pydist.Target](t)(pydist.ParseTarget(targetName))
}

func name(t testing.TB, s string) pydist.Name { return must[pydist.Name](t)(pydist.ParseName(s)) }

// wheelOf is the bytes of a wheel with files name=content.
func wheelOf(t testing.TB, dist, version string, files ...string) []byte {
	t.Helper()
	info := strings.ReplaceAll(dist, "-", "_") + "-" + version + ".dist-info/"
	files = append(files, info+"METADATA=Metadata-Version: 2.1\nName: "+dist+"\nVersion: "+version+"\n",
		info+"WHEEL=Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
	var record, out bytes.Buffer
	z := zip.NewWriter(&out)
	for _, f := range files {
		name, content, _ := strings.Cut(f, "=")
		w := must[interface{ Write([]byte) (int, error) }](t)(z.Create(name))
		if _, err := w.Write([]byte(content)); err != nil {
			t.Fatal(err)
		}

		fmt.Fprintf(&record, "%s,sha256=%s,%d\n", name, digest.Of([]byte(content)).Record(), len(content))
	}

	fmt.Fprintf(&record, "%sRECORD,,\n", info)
	w := must[interface{ Write([]byte) (int, error) }](t)(z.Create(info + "RECORD"))
	if _, err := w.Write(record.Bytes()); err != nil {
		t.Fatal(err)
	}

	if err := z.Close(); err != nil {
		t.Fatal(err)
	}

	return out.Bytes()
}

func wheelName(dist, version string) string {
	return strings.ReplaceAll(dist, "-", "_") + "-" + version + "-py3-none-any.whl"
}

// locked is a distribution of a file.
func locked(t testing.TB, dist, version string, content []byte) lock.Distribution {
	return lock.Distribution{Name: name(t, dist), Version: must[pydist.Version](t)(pydist.ParseVersion(version)),
		File: lock.File{Name: wheelName(dist, version), Size: int64(len(content)), SHA256: digest.Of(content)}}
}

// load reads a workspace from name=content.
func load(t testing.TB, files ...string) (workspace.Workspace, func(string) ([]byte, error)) {
	t.Helper()
	fsys := fstest.MapFS{}
	for _, f := range files {
		name, content, _ := strings.Cut(f, "=")
		fsys[name] = &fstest.MapFile{Data: []byte(content)}
	}

	w := must[workspace.Workspace](t)(workspace.Load(fsys, "layers"))
	return w, func(name string) ([]byte, error) { return fs.ReadFile(fsys, name) }
}

// resolver is a Resolver of functions.
type resolver struct {
	resolve func(engine.ResolveRequest) (engine.Resolution, error)
	locate  func(engine.LocateRequest) (map[digest.SHA256]string, error)
	build   func(sdist string) (wheel string, err error)
}

func (r resolver) Resolve(_ context.Context, q engine.ResolveRequest) (engine.Resolution, error) {
	return r.resolve(q)
}

func (r resolver) Locate(_ context.Context, q engine.LocateRequest) (map[digest.SHA256]string, error) {
	return r.locate(q)
}

func (r resolver) BuildWheel(_ context.Context, sdist string, _ pydist.Target) (string, error) {
	return r.build(sdist)
}

// silent is a Progress that shows nothing.
type silent struct{}

func (silent) Start(string, int64, string) engine.Task { return silent{} }
func (silent) Add(int64)                               {}
func (silent) Done()                                   {}

// machine is Interpreter and Mounts in one: it knows which trees are mounted in which folder, and
// fails the jobs that a test chooses.
type machine struct {
	target   pydist.Target
	growth   int                                                        // bytes of bytecode for each byte of source
	fails    func(j probe.Job, has func(name string) bool) (why string) // "" when the job passes
	mu       sync.Mutex
	mounts   map[string][]ziptree.Tree
	compiled []string
	probed   []string
	imported [][]string
}

func (m *machine) Identity() string { return "cpython-3.13.0" }

func (m *machine) World(context.Context) (string, error) { return "", nil }

func (m *machine) Compile(_ context.Context, job engine.CompileJob) error {
	magic := pyc.Magic(m.target)
	for _, e := range job.Sources {
		b, err := e.Bytes(1 << 30)
		if err != nil {
			return err
		}

		m.mu.Lock()
		m.compiled = append(m.compiled, e.Name)
		m.mu.Unlock()
		if strings.Contains(string(b), "syntax error") {
			job.Failed(e.Name, "SyntaxError: it says so")
			continue
		}

		out := append(
			append(magic[:len(magic):len(magic)], 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0),
			bytes.Repeat(b, m.growth)...)
		if err := job.Emit(e.Name, out); err != nil {
			return err
		}
	}

	return nil
}

func (m *machine) Probe(_ context.Context, mount string, jobs []probe.Job, done func()) ([]probe.Result, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	trees, ok := m.mounts[mount]
	if !ok {
		return nil, fmt.Errorf("%s is not mounted", mount)
	}

	var out []probe.Result
	for _, j := range jobs {
		m.probed = append(m.probed, string(j.Kind)+" "+j.Name)
		r := probe.Result{Job: j, OK: true}
		if m.fails != nil {
			r.Detail = m.fails(j, func(name string) bool {
				for _, t := range trees {
					if _, ok := t.Lookup(name); ok {
						return true
					}
				}

				return false
			})
			r.OK = r.Detail == ""
		}

		out = append(out, r)
		done()
	}

	return out, nil
}

func (m *machine) Import(_ context.Context, mount string, modules []string, _ int) (probe.ImportTime, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.mounts[mount]; !ok {
		return probe.ImportTime{}, fmt.Errorf("%s is not mounted", mount)
	}

	m.imported = append(m.imported, modules)
	return probe.ImportTime{Modules: modules, Seconds: 1}, nil
}

func (m *machine) Mount(_ context.Context, layers []ziptree.Tree, _ engine.MountOptions) (string, func(), error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.mounts == nil {
		m.mounts = map[string][]ziptree.Tree{}
	}

	dir := fmt.Sprintf("mount-%d", len(m.probed)+100*len(m.mounts)+10000*len(m.imported))
	m.mounts[dir] = layers
	return dir, func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		delete(m.mounts, dir)
	}, nil
}
