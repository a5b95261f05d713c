package localport

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/layersmith/layersmith/internal/engine"
	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/ziptree"
)

// Mounts unpacks stacks of layers into temporary folders.
type Mounts struct{ Dir string }

var _ engine.Mounts = Mounts{}

// Mount unpacks layers one over the other, as Lambda does in /opt. With OmitBytecode it leaves out
// __pycache__, but not bytecode without a source. The returned function removes the folder.
func (m Mounts) Mount(ctx context.Context, stack []ziptree.Tree, o engine.MountOptions) (string, func(), error) {
	if err := os.MkdirAll(m.Dir, 0o755); err != nil {
		return "", nil, ours("make", m.Dir, hintCache, err)
	}

	dir, err := os.MkdirTemp(m.Dir, tempPrefix+"opt-")
	if err != nil {
		return "", nil, ours("make a folder in", m.Dir, hintCache, err)
	}

	unmount := func() { os.RemoveAll(dir) }
	if err := extractAll(ctx, dir, topmost(stack, o)); err != nil {
		unmount()
		return "", nil, err
	}

	return dir, unmount, nil
}

// topmost returns the entries that are visible: later layers cover earlier ones.
func topmost(stack []ziptree.Tree, o engine.MountOptions) map[string]ziptree.Entry {
	top := map[string]ziptree.Entry{}
	for _, t := range stack {
		for _, e := range t.Entries() {
			if o.OmitBytecode && strings.Contains(e.Name, "__pycache__/") {
				continue
			}

			top[e.Name] = e
		}
	}

	return top
}

func extractAll(ctx context.Context, dir string, entries map[string]ziptree.Entry) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(runtime.GOMAXPROCS(0))
	made := map[string]bool{}
	for name, e := range entries {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if parent := filepath.Dir(path); !made[parent] {
			if err := os.MkdirAll(parent, 0o755); err != nil {
				g.Wait()
				return ours("unpack", name, hintCache, err)
			}

			made[parent] = true
		}

		g.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}

			return extract(path, e)
		})
	}

	return g.Wait()
}

func extract(path string, e ziptree.Entry) error {
	mode := os.FileMode(0o644)
	if e.Exec {
		mode = 0o755
	}

	out, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return ours("unpack", e.Name, hintCache, err)
	}

	in, err := e.Open()
	if err == nil {
		_, err = io.Copy(out, in)
		in.Close()
	}

	if closeErr := out.Close(); err == nil {
		err = closeErr
	}

	if err == nil {
		return nil
	}

	if err := ours("unpack", e.Name, hintCache, err); fault.CodeOf(err) != fault.Internal {
		return err
	}

	return damaged("unpack", e, err)
}

// damaged is a fault: the data of an entry does not match its size or checksum.
func damaged(op string, e ziptree.Entry, err error) error {
	return fault.New(fault.CorruptArchive, op, e.Origin, err).
		WithHint("get that file again; if it is one of the wheel store: layersmith clean --wheels, then build")
}
