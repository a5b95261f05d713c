package memport

import (
	"bytes"
	"fmt"

	"github.com/layersmith/layersmith/internal/ziptree"
)

// content is an engine.Blob of bytes in memory.
type content struct{ *bytes.Reader }

func newContent(b []byte) content { return content{bytes.NewReader(b)} }

func (content) Close() error { return nil }

// checkKey refuses names that could leave a folder: absolute, with "..", with empty parts.
func checkKey(key string) error {
	if err := ziptree.CheckName(key); err != nil {
		return fmt.Errorf("key %q %w", key, err)
	}

	return nil
}
