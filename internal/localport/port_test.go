package localport

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/layersmith/layersmith/internal/engine"
	"github.com/layersmith/layersmith/internal/porttest"
	"github.com/layersmith/layersmith/internal/pydist"
	"github.com/layersmith/layersmith/internal/testenv/host"
)

func noWait(ctx context.Context, _ time.Duration) error { return ctx.Err() }

func TestWheels(t *testing.T) {
	porttest.Wheels(t, func(t *testing.T) engine.WheelStore { return Wheels{Dir: t.TempDir(), Sleep: noWait} })
}

func TestPacks(t *testing.T) {
	porttest.Cache(t, func(t *testing.T) engine.Cache {
		p := &Packs{Dir: t.TempDir()}
		t.Cleanup(p.Close)
		return p
	})
}

func TestOutputs(t *testing.T) {
	porttest.Outputs(t, func(t *testing.T) engine.Outputs {
		dir := t.TempDir()
		t.Cleanup(func() { noTemp(t, dir) })
		return Outputs{Dir: filepath.Join(dir, "dist")}
	})
}

func TestMounts(t *testing.T) {
	porttest.Mounts(t, func(t *testing.T) engine.Mounts {
		dir := t.TempDir()
		t.Cleanup(func() { noTemp(t, dir) })
		return Mounts{Dir: filepath.Join(dir, "temp")}
	})
}

func TestInterpreter(t *testing.T) {
	p, target := testPython(t)
	porttest.Interpreter(t, target, func(t *testing.T) engine.Interpreter {
		dir := t.TempDir()
		t.Cleanup(func() { noTemp(t, dir) })
		return Python{Path: p.Path, identity: p.identity, Temp: dir, Timeout: 2 * time.Second}
	})
}

// noTemp finds temporary files that were left behind.
func noTemp(t *testing.T, dir string) {
	t.Helper()
	filepath.WalkDir(dir, func(p string, d os.DirEntry, err error) error {
		if err == nil && strings.HasPrefix(d.Name(), tempPrefix) {
			t.Errorf("left behind: %s", p)
		}

		return nil
	})
}

// testPython is an interpreter of this machine, and its target.
func testPython(t *testing.T) (Python, pydist.Target) {
	t.Helper()
	found, err := host.Python()
	if err != nil {
		t.Fatal(err)
	}

	p, err := PythonSearch{Target: found.Target, Named: found.Path, Cache: t.TempDir()}.Find(context.Background())
	if err != nil {
		t.Fatal(err)
	}

	return p, found.Target
}

func TestReadsAreLimited(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "big"), nil, 0o644); err != nil {
		t.Fatal(err)
	}

	if err := os.Truncate(filepath.Join(dir, "big"), maxDocumentBytes+1); err != nil {
		t.Fatal(err)
	}

	_, err := Outputs{Dir: dir}.Read(context.Background(), "big")
	if err == nil || !strings.HasSuffix(err.Error(), "more than 67108864 bytes") {
		t.Errorf("error %v", err)
	}
}

func TestOpenBlobRefusesFolders(t *testing.T) {
	if _, err := OpenBlob(t.TempDir()); err == nil || !strings.HasSuffix(err.Error(), "not a file") {
		t.Errorf("error %v", err)
	}
}

func TestDamagedPackCountsAsAbsent(t *testing.T) {
	p := &Packs{Dir: t.TempDir()}
	defer p.Close()
	if err := os.WriteFile(filepath.Join(p.Dir, "k.zip"), []byte("PK not a zip"), 0o644); err != nil {
		t.Fatal(err)
	}

	tree, err := p.Load(context.Background(), "k")
	if err != nil || tree.Len() != 0 {
		t.Errorf("%d entries, %v", tree.Len(), err)
	}
}

func TestWheelsLeaveNoPartialFile(t *testing.T) {
	w := Wheels{Dir: t.TempDir(), Sleep: noWait}
	put := func() error {
		return w.Put(context.Background(), fileOf("content"),
			func(context.Context, int64) (body, int64, error) { return text("content"), 0, nil })
	}
	if err := errors.Join(put(), put()); err != nil {
		t.Fatal(err)
	}

	if left, _ := filepath.Glob(filepath.Join(w.Dir, "*", "*.partial")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestWheelsRemove(t *testing.T) {
	w := Wheels{Dir: t.TempDir(), Sleep: noWait}
	ctx := context.Background()
	f := fileOf("content")
	if err := w.Put(ctx, f,
		func(context.Context, int64) (body, int64, error) { return text("content"), 0, nil }); err != nil {
		t.Fatal(err)
	}

	if err := errors.Join(w.Remove(f.SHA256), w.Remove(f.SHA256)); err != nil {
		t.Fatal(err)
	}

	if _, err := w.Open(ctx, f.SHA256); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Open: %v", err)
	}
}
