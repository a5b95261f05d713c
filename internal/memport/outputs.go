package memport

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"sync"

	"github.com/layersmith/layersmith/internal/engine"
)

// Outputs is engine.Outputs.
type Outputs struct {
	Writes int // calls of Write that succeeded

	mu    sync.Mutex
	files map[string][]byte
}

var _ engine.Outputs = (*Outputs)(nil)

// Write stores a file.
func (m *Outputs) Write(ctx context.Context, name string, write func(io.Writer) error) error {
	if err := checkOutput(name); err != nil {
		return err
	}

	var b bytes.Buffer
	if err := write(&b); err != nil {
		return err
	}

	if err := ctx.Err(); err != nil {
		return err
	}

	m.mu.Lock()
	defer m.mu.Unlock()

	m.put(name, b.Bytes())
	m.Writes++

	return nil
}

func (m *Outputs) put(name string, b []byte) {
	if m.files == nil {
		m.files = map[string][]byte{}
	}

	m.files[name] = b
}

// Set stores a file without the checks of Write.
func (m *Outputs) Set(name string, b []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()

	m.put(name, b)
}

// Read returns the content of a file.
func (m *Outputs) Read(_ context.Context, name string) ([]byte, error) {
	if err := checkOutput(name); err != nil {
		return nil, err
	}

	m.mu.Lock()
	defer m.mu.Unlock()

	b, ok := m.files[name]
	if !ok {
		return nil, fmt.Errorf("read %s: %w", name, fs.ErrNotExist)
	}

	return bytes.Clone(b), nil
}

// Open opens a file.
func (m *Outputs) Open(ctx context.Context, name string) (engine.Blob, error) {
	b, err := m.Read(ctx, name)
	if err != nil {
		return nil, err
	}

	return newContent(b), nil
}

// checkOutput refuses hidden files and names with a folder.
func checkOutput(name string) error {
	if name == "" || strings.HasPrefix(name, ".") || strings.ContainsAny(name, `/\`) {
		return fmt.Errorf("%q is not the name of an output", name)
	}

	return nil
}
