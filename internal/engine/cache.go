package engine

import (
	"context"

	"github.com/layersmith/layersmith/internal/ziptree"
)

// maxCachedFile bounds the memory for one cached file, in bytes.
const maxCachedFile = 256 << 20

// storeFile caches a single file under a key.
func storeFile(ctx context.Context, cache Cache, key, name string, content []byte) error {
	_, err := cache.Store(ctx, key, func(add func(ziptree.Entry) error) error {
		return add(ziptree.File(name, content, key))
	})
	return err
}
