package memport

import (
	"bytes"
	"context"
	"io"
	"sync"

	"github.com/layersmith/layersmith/internal/blob"
	"github.com/layersmith/layersmith/internal/digest"
	"github.com/layersmith/layersmith/internal/engine"
	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/workflow"
)

// Blobs is workflow.Blobs. It keeps no versions.
type Blobs struct {
	Puts int // calls of Put that stored new bytes

	mu    sync.Mutex
	files map[string][]byte
}

var _ workflow.Blobs = (*Blobs)(nil)

// Put stores an object.
func (m *Blobs) Put(ctx context.Context, prefix, suffix string, write func(io.Writer) error) (blob.Ref, error) {
	if err := ended(ctx, "store", prefix); err != nil {
		return blob.Ref{}, err
	}

	var b bytes.Buffer
	writeErr := write(&b)
	if err := ended(ctx, "store", prefix); err != nil {
		return blob.Ref{}, err
	}

	if writeErr != nil {
		return blob.Ref{}, writeErr
	}

	sum := digest.Of(b.Bytes())
	ref, err := blob.New(prefix+sum.String()+suffix, "", sum, int64(b.Len()))
	if err != nil {
		return blob.Ref{}, fault.New(fault.Internal, "store", prefix, err)
	}

	m.store(ref, b.Bytes())

	return ref, nil
}

func (m *Blobs) store(ref blob.Ref, b []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()

	if old, ok := m.files[ref.Key]; !ok || digest.Of(old) != ref.SHA256 {
		m.Puts++
	}

	if m.files == nil {
		m.files = map[string][]byte{}
	}

	m.files[ref.Key] = b
}

// Open returns an object whose bytes match the reference.
func (m *Blobs) Open(ctx context.Context, ref blob.Ref) (engine.Blob, error) {
	if err := ended(ctx, "open", ref.Key); err != nil {
		return nil, err
	}

	m.mu.Lock()
	defer m.mu.Unlock()

	b, ok := m.files[ref.Key]
	switch {
	case !ok:
		return nil, refuse(fault.NotFound, "open", ref.Key, "there is no such object")
	case int64(len(b)) != ref.Size || digest.Of(b) != ref.SHA256:
		return nil, refuse(fault.HashMismatch, "open", ref.Key, "%d bytes with sha256 %s", len(b), digest.Of(b))
	}

	return newContent(b), nil
}

// Set stores bytes at a key without the checks of Put; nil removes the object.
func (m *Blobs) Set(key string, b []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()

	if b == nil {
		delete(m.files, key)
		return
	}

	if m.files == nil {
		m.files = map[string][]byte{}
	}

	m.files[key] = bytes.Clone(b)
}
