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

// Tree makes a tree of name=content; a name that ends with * is executable.
func Tree(t testing.TB, pairs ...string) ziptree.Tree {
	t.Helper()
	var entries []ziptree.Entry
	for _, p := range pairs {
		name, content, _ := strings.Cut(p, "=")
		name, exec := strings.CutSuffix(name, "*")
		entries = append(entries, ziptree.File(name, []byte(content), exec, "test"))
	}

	tree, err := ziptree.New(entries)
	if err != nil {
		t.Fatal(err)
	}

	return tree
}

// Mounts is the suite of engine.Mounts.
func Mounts(t *testing.T, open func(t *testing.T) engine.Mounts) {
	ctx := context.Background()
	mount := func(t *testing.T, o engine.MountOptions, layers ...ziptree.Tree) (string, func()) {
		t.Helper()
		dir, unmount, err := open(t).Mount(ctx, layers, o)
		if err != nil {
			t.Fatal(err)
		}

		t.Cleanup(unmount)
		return dir, unmount
	}
	// files is a folder as name=content.
	files := func(t *testing.T, dir string) string {
		t.Helper()
		var out []string
		err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}

			b, err := os.ReadFile(p)
			rel, _ := filepath.Rel(dir, p)
			out = append(out, filepath.ToSlash(rel)+"="+string(b))
			return err
		})
		if err != nil {
			t.Fatal(err)
		}

		slices.Sort(out)
		return strings.Join(out, " ")
	}
	expect := func(t *testing.T, dir, want string) {
		t.Helper()
		if got := files(t, dir); got != want {
			t.Fatalf("mounted %q, want %q", got, want)
		}
	}

	t.Run("no layer is an empty folder", func(t *testing.T) {
		dir, _ := mount(t, engine.MountOptions{})
		expect(t, dir, "")
	})

	t.Run("layers lie one over the other, the last one wins", func(t *testing.T) {
		low := Tree(t, "python/a.py=low", "python/b.py=low", "python/p/x.py=low")
		mid := Tree(t, "python/b.py=mid")
		top := Tree(t, "python/b.py=top", "python/p/y.py=top")
		dir, _ := mount(t, engine.MountOptions{}, low, mid, top)
		expect(t, dir, "python/a.py=low python/b.py=top python/p/x.py=low python/p/y.py=top")
	})

	t.Run("modes are 0644 and 0755", func(t *testing.T) {
		dir, _ := mount(t, engine.MountOptions{}, Tree(t, "bin/tool*=#!x", "python/a.py=1"))
		for name, want := range map[string]fs.FileMode{"bin/tool": 0o755, "python/a.py": 0o644} {
			info, err := os.Stat(filepath.Join(dir, filepath.FromSlash(name)))
			if err != nil || info.Mode() != want {
				t.Errorf("%s has mode %v, %v; want %v", name, info.Mode(), err, want)
			}
		}
	})

	t.Run("without bytecode what has a source is left out, what has none stays", func(t *testing.T) {
		tree := Tree(t, "python/a.py=1", "python/__pycache__/a.cpython-313.pyc=c",
			"python/p/__pycache__/b.cpython-313.pyc=c", "python/p/b.py=1", "python/only.pyc=c")
		dir, _ := mount(t, engine.MountOptions{OmitBytecode: true}, tree)
		expect(t, dir, "python/a.py=1 python/only.pyc=c python/p/b.py=1")
		dir, _ = mount(t, engine.MountOptions{}, tree)
		if _, err := os.Stat(filepath.Join(dir, "python", "__pycache__", "a.cpython-313.pyc")); err != nil {
			t.Error(err)
		}
	})

	t.Run("unmount removes it, also twice", func(t *testing.T) {
		dir, unmount := mount(t, engine.MountOptions{}, Tree(t, "python/a.py=1"))
		unmount()
		if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
			t.Fatalf("%v, want fs.ErrNotExist", err)
		}

		unmount()
	})

	t.Run("mounts do not share a folder", func(t *testing.T) {
		m := open(t)
		a, unmountA, err := m.Mount(ctx, []ziptree.Tree{Tree(t, "x=a")}, engine.MountOptions{})
		if err != nil {
			t.Fatal(err)
		}
		defer unmountA()
		b, unmountB, err := m.Mount(ctx, []ziptree.Tree{Tree(t, "x=b")}, engine.MountOptions{})
		if err != nil {
			t.Fatal(err)
		}

		unmountB()
		if a == b {
			t.Fatal("the same folder")
		}

		expect(t, a, "x=a")
	})

	t.Run("a canceled mount fails", func(t *testing.T) {
		stop, cancel := context.WithCancel(ctx)
		cancel()
		if _, _, err := open(t).Mount(stop, []ziptree.Tree{Tree(t, "x=a")}, engine.MountOptions{}); !errors.Is(err, context.Canceled) {
			t.Fatalf("error %v, want context.Canceled", err)
		}
	})

	t.Run("an entry that cannot be read fails the mount", func(t *testing.T) {
		bad := ziptree.File("python/b.py", []byte("1"), false, "test")
		bad.CRC32 ^= 1
		tree, err := ziptree.New(append([]ziptree.Entry{bad}, Tree(t, "python/a.py=1", "python/c/c.py=1").Entries()...))
		if err != nil {
			t.Fatal(err)
		}

		if _, _, err := open(t).Mount(ctx, []ziptree.Tree{tree}, engine.MountOptions{}); err == nil ||
			!strings.Contains(err.Error(), "python/b.py") {
			t.Fatalf("error %v, want one that names python/b.py", err)
		}
	})
}
