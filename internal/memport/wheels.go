package memport

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync"

	"github.com/layersmith/layersmith/internal/digest"
	"github.com/layersmith/layersmith/internal/engine"
	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/lock"
)

const wheelAttempts = 5 // of one call of Put

// Wheels is engine.WheelStore. It does not wait between attempts.
type Wheels struct {
	mu    sync.Mutex
	turns map[digest.SHA256]chan struct{} // holds a value while a Put of the file is running
	parts map[digest.SHA256][]byte        // what interrupted downloads have received
	files map[digest.SHA256][]byte        // verified
}

var _ engine.WheelStore = (*Wheels)(nil)

// open is the source of a file, from an offset.
type open = func(ctx context.Context, offset int64) (body io.ReadCloser, at int64, err error)

// Open opens a verified file.
func (m *Wheels) Open(_ context.Context, sum digest.SHA256) (engine.Blob, error) {
	m.mu.Lock()
	defer m.mu.Unlock()

	b, ok := m.files[sum]
	if !ok {
		return nil, fmt.Errorf("open %s: %w", sum.Short(), fs.ErrNotExist)
	}

	return newContent(b), nil
}

// Add stores a file without a download and returns its entry in a lock.
func (m *Wheels) Add(name string, b []byte) lock.File {
	m.mu.Lock()
	defer m.mu.Unlock()

	m.init()
	f := lock.File{Name: name, Size: int64(len(b)), SHA256: digest.Of(b)}
	m.files[f.SHA256] = b

	return f
}

func (m *Wheels) init() {
	if m.files == nil {
		m.turns = map[digest.SHA256]chan struct{}{}
		m.parts = map[digest.SHA256][]byte{}
		m.files = map[digest.SHA256][]byte{}
	}
}

// Put downloads a file unless the store has it. Calls for the same file run one after the other.
func (m *Wheels) Put(ctx context.Context, f lock.File, from open) error {
	turn := m.turn(f.SHA256)
	select {
	case turn <- struct{}{}:
		defer func() { <-turn }()
	case <-ctx.Done():
		return ctx.Err()
	}

	if b, err := m.Open(ctx, f.SHA256); err == nil {
		return b.Close()
	}

	var last error
	for range wheelAttempts {
		if err := ctx.Err(); err != nil {
			return err
		}

		resumed := len(m.part(f.SHA256)) > 0
		last = m.try(ctx, f, from)
		switch {
		case last == nil:
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case !worthRetry(last, resumed):
			return last
		}
	}

	return fault.New(fault.Unreachable, "fetch", f.Name, last)
}

// worthRetry reports whether another attempt may succeed: after a failure of the network, and after
// a mismatch of which an earlier attempt's bytes may be the cause.
func worthRetry(err error, resumed bool) bool {
	var f *fault.Error
	if !errors.As(err, &f) {
		return true
	}

	return f.Code == fault.Unreachable || f.Code == fault.HashMismatch && resumed
}

// turn returns the channel on which the Puts of a file wait for each other.
func (m *Wheels) turn(sum digest.SHA256) chan struct{} {
	m.mu.Lock()
	defer m.mu.Unlock()

	m.init()
	if m.turns[sum] == nil {
		m.turns[sum] = make(chan struct{}, 1)
	}

	return m.turns[sum]
}

func (m *Wheels) part(sum digest.SHA256) []byte {
	m.mu.Lock()
	defer m.mu.Unlock()

	return m.parts[sum]
}

func (m *Wheels) setPart(sum digest.SHA256, b []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()

	m.parts[sum] = b
}

// try downloads the rest of a file and verifies the whole.
func (m *Wheels) try(ctx context.Context, f lock.File, from open) error {
	b, err := m.download(ctx, f, from)
	if err != nil {
		return err
	}

	m.setPart(f.SHA256, nil)
	if sum := digest.Of(b); sum != f.SHA256 || f.Size > 0 && f.Size != int64(len(b)) {
		return fault.New(fault.HashMismatch, "fetch", f.Name, fmt.Errorf("got %s", sum))
	}

	m.mu.Lock()
	defer m.mu.Unlock()

	m.files[f.SHA256] = b

	return nil
}

// download appends to the part that an earlier attempt received, and keeps the result as the part.
func (m *Wheels) download(ctx context.Context, f lock.File, from open) ([]byte, error) {
	b := m.part(f.SHA256)
	body, at, err := from(ctx, int64(len(b)))
	if err != nil {
		return nil, err
	}
	defer body.Close()

	switch at {
	case int64(len(b)):
	case 0:
		b = nil // the server does not resume
	default:
		return nil, fmt.Errorf("the server resumed at %d, not at %d", at, len(b))
	}

	rest, err := io.ReadAll(body)
	b = append(b, rest...)
	m.setPart(f.SHA256, b)
	if err != nil {
		return nil, err
	}

	if int64(len(b)) < f.Size {
		return nil, io.ErrUnexpectedEOF
	}

	return b, nil
}
