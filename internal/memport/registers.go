package memport

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"sync"

	"github.com/layersmith/layersmith/internal/digest"
	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/release"
	"github.com/layersmith/layersmith/internal/workflow"
)

// Registers is workflow.Registers. A tag depends on the content only, like an ETag of S3.
type Registers struct {
	mu   sync.Mutex
	docs map[string][]byte
}

var _ workflow.Registers = (*Registers)(nil)

func tagOf(doc []byte) string { return digest.Of(doc).Short() }

// Load returns a document and its tag.
func (m *Registers) Load(ctx context.Context, name string) ([]byte, string, error) {
	if err := checkRegister(ctx, "load", name); err != nil {
		return nil, "", err
	}

	m.mu.Lock()
	defer m.mu.Unlock()

	doc, ok := m.docs[name]
	if !ok {
		return nil, "", refuse(fault.NotFound, "load", name, "there is no such document")
	}

	return bytes.Clone(doc), tagOf(doc), nil
}

// Store writes a document if it still has the tag.
func (m *Registers) Store(ctx context.Context, name string, doc []byte, tag string) (string, error) {
	if err := checkRegister(ctx, "store", name); err != nil {
		return "", err
	}

	if len(doc) > release.MaxDocumentBytes {
		return "", refuse(fault.OverLimit, "store", name, "%d bytes, limit %d", len(doc), release.MaxDocumentBytes)
	}

	m.mu.Lock()
	defer m.mu.Unlock()

	current := ""
	if old, ok := m.docs[name]; ok {
		current = tagOf(old)
	}

	if current != tag {
		return "", refuse(fault.Changed, "store", name, "its tag is %q, not %q", current, tag)
	}

	m.put(name, doc)

	return tagOf(doc), nil
}

// put stores a copy of a document.
func (m *Registers) put(name string, doc []byte) {
	if m.docs == nil {
		m.docs = map[string][]byte{}
	}

	m.docs[name] = bytes.Clone(doc)
}

// List returns the names below a prefix, sorted.
func (m *Registers) List(ctx context.Context, prefix string) ([]string, error) {
	if err := ended(ctx, "list", prefix); err != nil {
		return nil, err
	}

	m.mu.Lock()
	defer m.mu.Unlock()

	var names []string
	for name := range m.docs {
		if strings.HasPrefix(name, prefix) {
			names = append(names, name)
		}
	}

	slices.Sort(names)

	return names, nil
}

// Set writes a document without a condition; nil removes it.
func (m *Registers) Set(name string, doc []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()

	if doc == nil {
		delete(m.docs, name)
		return
	}

	m.put(name, doc)
}

func checkRegister(ctx context.Context, op, name string) error {
	if name == "" || strings.HasPrefix(name, "/") || strings.HasSuffix(name, "/") ||
		strings.ContainsAny(name, "\x00\n\r") {
		return refuse(fault.Internal, op, name, "%q is not a name", name)
	}

	return ended(ctx, op, name)
}
