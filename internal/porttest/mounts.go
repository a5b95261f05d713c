package porttest

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/layersmith/layersmith/internal/engine"
	"github.com/layersmith/layersmith/internal/ziptree"
)

// Mounts is the suite of engine.Mounts.
func Mounts(t *testing.T, open func(t *testing.T) engine.Mounts) {
	start := func(t *testing.T) mountsTest { return mountsTest{t, open(t)} }
	runTests(t, start, []namedTest[mountsTest]{
		{"no layer is an empty folder", mountsTest.noLayer},
		{"a layer overwrites the layers below it", mountsTest.stacked},
		{"modes are 0644 and 0755", mountsTest.modes},
		{"OmitBytecode leaves out bytecode that has a source", mountsTest.omitBytecode},
		{"unmount removes the folder, also twice", mountsTest.unmount},
		{"mounts do not share a folder", mountsTest.folders},
		{"a canceled mount fails", mountsTest.canceled},
		{"an entry that cannot be read fails the mount", mountsTest.damagedEntry},
	})
}

type mountsTest struct {
	*testing.T
	engine.Mounts
}

// mount mounts layers until the end of the test.
func (m mountsTest) mount(o engine.MountOptions, layers ...ziptree.Tree) (dir string, unmount func()) {
	m.Helper()
	dir, unmount, err := m.Mount(m.Context(), layers, o)
	succeeds(m, err)
	m.Cleanup(unmount)

	return dir, unmount
}

// has compares a folder's files, as "name=content".
func (m mountsTest) has(dir string, want ...string) {
	m.Helper()
	var got []string
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}

		b, err := os.ReadFile(p)
		rel, _ := filepath.Rel(dir, p)
		got = append(got, filepath.ToSlash(rel)+"="+string(b))

		return err
	})
	succeeds(m, err)

	slices.Sort(got)
	if !slices.Equal(got, want) {
		m.Fatalf("mounted %q, want %q", got, want)
	}
}

func (m mountsTest) noLayer() {
	dir, _ := m.mount(engine.MountOptions{})
	m.has(dir)
}

func (m mountsTest) stacked() {
	low := Tree(m, "python/a.py=low", "python/b.py=low", "python/p/x.py=low")
	mid := Tree(m, "python/b.py=mid")
	top := Tree(m, "python/b.py=top", "python/p/y.py=top")
	dir, _ := m.mount(engine.MountOptions{}, low, mid, top)
	m.has(dir, "python/a.py=low", "python/b.py=top", "python/p/x.py=low", "python/p/y.py=top")
}

func (m mountsTest) modes() {
	dir, _ := m.mount(engine.MountOptions{}, Tree(m, "bin/tool*=#!x", "python/a.py=1"))
	for name, want := range map[string]fs.FileMode{"bin/tool": 0o755, "python/a.py": 0o644} {
		info, err := os.Stat(filepath.Join(dir, filepath.FromSlash(name)))
		if err != nil || info.Mode() != want {
			m.Errorf("%s has mode %v, %v; want %v", name, info.Mode(), err, want)
		}
	}
}

func (m mountsTest) omitBytecode() {
	tree := Tree(m, "python/a.py=1", "python/__pycache__/a.cpython-313.pyc=c",
		"python/p/__pycache__/b.cpython-313.pyc=c", "python/p/b.py=1", "python/only.pyc=c")
	dir, _ := m.mount(engine.MountOptions{OmitBytecode: true}, tree)
	m.has(dir, "python/a.py=1", "python/only.pyc=c", "python/p/b.py=1")

	dir, _ = m.mount(engine.MountOptions{}, tree)
	if _, err := os.Stat(filepath.Join(dir, "python", "__pycache__", "a.cpython-313.pyc")); err != nil {
		m.Error(err)
	}
}

func (m mountsTest) unmount() {
	dir, unmount := m.mount(engine.MountOptions{}, Tree(m, "python/a.py=1"))
	unmount()
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		m.Fatalf("%v, want fs.ErrNotExist", err)
	}

	unmount()
}

func (m mountsTest) folders() {
	a, _ := m.mount(engine.MountOptions{}, Tree(m, "x=a"))
	b, unmountB := m.mount(engine.MountOptions{}, Tree(m, "x=b"))
	unmountB()
	if a == b {
		m.Fatal("the same folder")
	}

	m.has(a, "x=a")
}

func (m mountsTest) canceled() {
	_, _, err := m.Mount(canceledContext(m), []ziptree.Tree{Tree(m, "x=a")}, engine.MountOptions{})
	if !errors.Is(err, context.Canceled) {
		m.Fatalf("error %v, want context.Canceled", err)
	}
}

func (m mountsTest) damagedEntry() {
	damaged := ziptree.File("python/b.py", []byte("1"), "test")
	damaged.CRC32 ^= 1
	good := Tree(m, "python/a.py=1", "python/c/c.py=1").Entries()
	tree := must(ziptree.New(append([]ziptree.Entry{damaged}, good...)))(m)

	_, _, err := m.Mount(m.Context(), []ziptree.Tree{tree}, engine.MountOptions{})
	if err == nil || !strings.Contains(err.Error(), "python/b.py") {
		m.Fatalf("error %v, want one that names python/b.py", err)
	}
}
