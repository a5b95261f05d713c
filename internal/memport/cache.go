package memport

import (
	"bytes"
	"context"
	"sync"

	"github.com/layersmith/layersmith/internal/engine"
	"github.com/layersmith/layersmith/internal/ziptree"
)

// Cache is engine.Cache.
type Cache struct {
	Stores int // calls of Store that succeeded

	mu    sync.Mutex
	packs map[string]ziptree.Tree
}

var _ engine.Cache = (*Cache)(nil)

// Load returns a pack; an absent one is empty.
func (m *Cache) Load(_ context.Context, key string) (ziptree.Tree, error) {
	if err := checkKey(key); err != nil {
		return ziptree.Tree{}, err
	}

	m.mu.Lock()
	defer m.mu.Unlock()

	return m.packs[key], nil
}

// Store replaces a pack.
func (m *Cache) Store(
	ctx context.Context, key string, write func(add func(ziptree.Entry) error) error,
) (ziptree.Tree, error) {
	if err := checkKey(key); err != nil {
		return ziptree.Tree{}, err
	}

	var b bytes.Buffer
	z := ziptree.NewWriter(&b)
	if err := write(z.Add); err != nil {
		return ziptree.Tree{}, err
	}

	if err := ctx.Err(); err != nil {
		return ziptree.Tree{}, err
	}

	if _, err := z.Close(); err != nil {
		return ziptree.Tree{}, err
	}

	tree, err := ziptree.Read(bytes.NewReader(b.Bytes()), int64(b.Len()), key)
	if err != nil {
		return ziptree.Tree{}, err
	}

	m.mu.Lock()
	defer m.mu.Unlock()

	if m.packs == nil {
		m.packs = map[string]ziptree.Tree{}
	}

	m.packs[key] = tree
	m.Stores++

	return tree, nil
}
