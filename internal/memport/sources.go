package memport

import (
	"bytes"
	"context"
	"crypto/md5" //nolint:gosec // S3 makes ETags of MD5
	"encoding/hex"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/workflow"
)

// Sources is workflow.Sources in a bucket that keeps versions.
type Sources struct {
	// Now returns the time of a file that is put. If it is nil, that is 2026-01-01 and one second
	// more for each file.
	Now func() time.Time

	mu       sync.Mutex
	current  map[string]workflow.Source
	versions map[string][]byte // by version ID
}

var _ workflow.Sources = (*Sources)(nil)

// List returns the newest version of each file, sorted by name.
func (m *Sources) List(ctx context.Context) ([]workflow.Source, error) {
	if err := ended(ctx, "list", "layers/"); err != nil {
		return nil, err
	}

	m.mu.Lock()
	defer m.mu.Unlock()

	var all []workflow.Source
	for _, s := range m.current {
		all = append(all, s)
	}

	slices.SortFunc(all, func(a, b workflow.Source) int { return strings.Compare(a.Name, b.Name) })

	return all, nil
}

// Read returns the content of a version.
func (m *Sources) Read(ctx context.Context, s workflow.Source, limit int64) ([]byte, error) {
	if err := ended(ctx, "read", s.Name); err != nil {
		return nil, err
	}

	m.mu.Lock()
	defer m.mu.Unlock()

	b, ok := m.versions[s.VersionID]
	switch {
	case !ok:
		return nil, refuse(fault.Changed, "read", s.Name, "there is no such version")
	case int64(len(b)) > limit:
		return nil, refuse(fault.BadInput, "read", s.Name, "%d bytes, limit %d", len(b), limit)
	}

	return bytes.Clone(b), nil
}

// Put stores a new version of a file, as `layersmith push` does.
func (m *Sources) Put(ctx context.Context, name string, content []byte) error {
	control := func(r rune) bool { return r < ' ' }
	if checkKey(name) != nil || strings.Contains(name, `\`) || strings.ContainsFunc(name, control) {
		return refuse(fault.BadInput, "push", name, "%q is not a name", name)
	}

	if err := ended(ctx, "push", name); err != nil {
		return err
	}

	m.mu.Lock()
	defer m.mu.Unlock()

	if m.current == nil {
		m.current = map[string]workflow.Source{}
		m.versions = map[string][]byte{}
	}

	modified := time.Date(2026, 1, 1, 0, 0, len(m.versions), 0, time.UTC)
	if m.Now != nil {
		modified = m.Now()
	}

	id := "v" + strconv.Itoa(len(m.versions)+1)
	sum := md5.Sum(content) //nolint:gosec // S3 makes ETags of MD5
	m.versions[id] = bytes.Clone(content)
	m.current[name] = workflow.Source{
		Name:      name,
		VersionID: id,
		ETag:      hex.EncodeToString(sum[:]),
		Size:      int64(len(content)),
		Modified:  modified,
	}

	return nil
}

// Delete removes a file from the listing; its versions stay.
func (m *Sources) Delete(ctx context.Context, name string) error {
	if err := ended(ctx, "delete", name); err != nil {
		return err
	}

	m.mu.Lock()
	defer m.mu.Unlock()

	delete(m.current, name)

	return nil
}
