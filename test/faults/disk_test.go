package faults

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// mount mounts a tmpfs on a folder of the world. Without the permission to, the test is skipped.
func (w *world) mount(name, options string) {
	w.Helper()
	p := w.path(name)
	if err := os.MkdirAll(p, 0o755); err != nil {
		w.Fatal(err)
	}

	kept := w.path("kept-" + filepath.Base(name))
	if err := os.CopyFS(kept, os.DirFS(p)); err != nil {
		w.Fatal(err)
	}

	if err := syscall.Mount("tmpfs", p, "tmpfs", 0, options); err != nil {
		notRun(w.T, "no tmpfs can be mounted", err)
	}

	w.Cleanup(func() {
		if err := syscall.Unmount(p, syscall.MNT_DETACH); err != nil {
			w.Errorf("unmount %s: %v", p, err)
		}
	})
	if err := copyInto(p, kept); err != nil {
		w.Fatal(err)
	}

	if err := os.RemoveAll(kept); err != nil {
		w.Fatal(err)
	}
}

// copyInto copies a folder into an existing one.
func copyInto(to, from string) error {
	return filepath.WalkDir(from, func(p string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}

		rel, err := filepath.Rel(from, p)
		if err != nil {
			return err
		}

		if d.IsDir() {
			return os.MkdirAll(filepath.Join(to, rel), 0o755)
		}

		b, err := os.ReadFile(p)
		if err != nil {
			return err
		}

		return os.WriteFile(filepath.Join(to, rel), b, 0o644)
	})
}

// readOnly makes a mounted folder read-only, for root too.
func (w *world) readOnly(name string) {
	w.Helper()
	if err := syscall.Mount("", w.path(name), "", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
		notRun(w.T, "no tmpfs can be made read-only", err)
	}
}

// fill fills the disk of a folder.
func (w *world) fill(name string) {
	w.Helper()
	f, err := os.Create(w.path(name + "/filler"))
	if err != nil {
		w.Fatal(err)
	}
	defer f.Close()
	for block := make([]byte, 64<<10); len(block) > 0; {
		n, err := f.Write(block)
		if err != nil && n < len(block) {
			block = block[:len(block)/2]
		}
	}
}

const (
	roomInCache = "hint: make room and permission for the cache, or name another folder with --cache or " +
		"LAYERSMITH_CACHE"
	roomForTemp  = "hint: make room and permission for it, or name another folder with TMPDIR"
	roomInOutput = "hint: make room and permission for it, or name another folder with --output"
)

// diskFaults are disks that are full or read-only. Each folder is a disk of its own.
var diskFaults = []struct {
	title  string
	folder string
	full   string // what is said when it is full; "" when that is not tried
	locked string // what is said when it is read-only
	before func(w *world)
}{
	{
		"the output",
		"dist",
		"error: write $ZIP: no space left on device\n" + roomInOutput,
		"error: write $ZIP: read-only file system\n" + roomInOutput,
		func(w *world) { w.must("lock") },
	},
	{
		"the cache",
		"cache",
		"error: fetch beta-1.0-py3-none-any.whl: no space left on device\n" + roomInCache,
		"error: fetch beta-1.0-py3-none-any.whl: read-only file system\n" + roomInCache,
		func(w *world) { w.must("lock") },
	},
	{
		"the workspace",
		"layers",
		"error: write $LOCKFILE: no space left on device\nhint: make room and permission for it",
		"error: write $LOCKFILE: read-only file system\nhint: make room and permission for it",
		func(*world) {},
	},
	{
		"the folder for temporary files",
		"tmp",
		"error: write a temporary file in $TMP: no space left on device\n" + roomForTemp,
		"error: write a temporary file in $TMP: read-only file system\n" + roomForTemp,
		func(*world) {},
	},
}

func TestDiskFullOrReadOnly(t *testing.T) {
	t.Parallel()
	for _, f := range diskFaults {
		for state, want := range map[string]string{"is full": f.full, "is read-only": f.locked} {
			t.Run(f.title+" "+state, func(t *testing.T) {
				t.Parallel()
				w := built(t)
				w.wheel("beta", "1.0", nil, stored("beta/data.bin", strings.Repeat("0123456789abcdef", 40<<10)))
				requires("alpha", "beta==1.0")(w)
				f.before(w)
				w.mount(f.folder, "size=1m")
				if state == "is full" {
					w.fill(f.folder)
				} else {
					w.readOnly(f.folder)
				}

				want = strings.NewReplacer("$ZIP", w.zipName(), "$LOCKFILE", w.lockName(), "$TMP", w.path("tmp")).
					Replace(want)
				fault{want: want, allowed: []string{"cache/wheels/*/*.partial"}}.check(w)
			})
		}
	}
}

// A disk that fills up while a file is written: there is room for its beginning.
func TestDiskFillsUp(t *testing.T) {
	t.Parallel()
	for _, folder := range []string{"dist", "cache"} {
		t.Run(folder, func(t *testing.T) {
			t.Parallel()
			w := built(t)
			w.wheel("beta", "1.0", nil, stored("beta/data.bin", strings.Repeat("0123456789abcdef", 256<<10)))
			requires("alpha", "beta==1.0")(w)
			w.must("lock")
			w.mount(folder, "size=2m")
			want := "error: write " + w.zipName() + ": no space left on device\n" + roomInOutput
			if folder == "cache" {
				want = "error: fetch beta-1.0-py3-none-any.whl: no space left on device\n" + roomInCache
			}

			fault{want: want, allowed: []string{"cache/wheels/*/*.partial"}}.check(w)
			if err := syscall.Mount("", w.path(folder), "", syscall.MS_REMOUNT, "size=64m"); err != nil {
				notRun(t, "a tmpfs cannot be made larger", err)
			}

			w.must("build") // there is room again, and nothing else to do
			w.must("check")
		})
	}
}
