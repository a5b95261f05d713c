package localport

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/layersmith/layersmith/internal/engine"
	"github.com/layersmith/layersmith/internal/ziptree"
)

// Packs is the cache: <key>.zip in a folder. Files stay open until Close, because entries of a tree
// are read only when they are used.
type Packs struct {
	Dir    string
	mu     sync.Mutex
	opened []*os.File
}

var _ engine.Cache = (*Packs)(nil)

// Load opens a pack. It returns an empty tree when there is none, or a damaged one: a full disk or
// an old version may leave that.
func (p *Packs) Load(_ context.Context, key string) (ziptree.Tree, error) {
	if !fs.ValidPath(key) {
		return ziptree.Tree{}, fmt.Errorf("%q is not a key", key)
	}

	f, err := os.Open(p.path(key))
	if errors.Is(err, fs.ErrNotExist) {
		return ziptree.Tree{}, nil
	}

	if err != nil {
		return ziptree.Tree{}, ours("open", p.path(key), hintCache, err)
	}

	t, err := p.read(f, key)
	var format *ziptree.FormatError
	if errors.As(err, &format) {
		return ziptree.Tree{}, nil
	}

	return t, err
}

func (p *Packs) path(key string) string { return filepath.Join(p.Dir, filepath.FromSlash(key)+".zip") }

func (p *Packs) read(f *os.File, key string) (ziptree.Tree, error) {
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return ziptree.Tree{}, err
	}

	t, err := ziptree.Read(f, info.Size(), key)
	if err != nil {
		f.Close()
		return ziptree.Tree{}, err
	}

	p.mu.Lock()
	p.opened = append(p.opened, f)
	p.mu.Unlock()
	return t, nil
}

// Store writes a pack and opens it. It opens the temporary file: under the final name another run
// may store its own pack at any time.
func (p *Packs) Store(
	ctx context.Context, key string, write func(add func(ziptree.Entry) error) error,
) (ziptree.Tree, error) {
	if !fs.ValidPath(key) {
		return ziptree.Tree{}, fmt.Errorf("%q is not a key", key)
	}

	path := p.path(key)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return ziptree.Tree{}, ours("write", path, hintCache, err)
	}

	var made *os.File
	err := writeFile(path, func(w io.Writer) (err error) {
		z := ziptree.NewWriter(w)
		if err := write(z.Add); err != nil {
			return err
		}

		if err := ctx.Err(); err != nil {
			return err
		}

		if _, err := z.Close(); err != nil {
			return err
		}

		made, err = os.Open(w.(*os.File).Name())
		return err
	})
	if err != nil {
		if made != nil {
			made.Close()
		}

		return ziptree.Tree{}, ours("write", path, hintCache, err)
	}

	return p.read(made, key)
}

// Close closes all packs. Their entries can no longer be read.
func (p *Packs) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, f := range p.opened {
		f.Close()
	}

	p.opened = nil
}
