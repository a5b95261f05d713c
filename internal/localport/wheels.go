package localport

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/layersmith/layersmith/internal/digest"
	"github.com/layersmith/layersmith/internal/engine"
	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/lock"
	"github.com/layersmith/layersmith/internal/measure"
)

// Wheels is the wheel store in a folder. A file is <first two digits>/<sha256>; its content is
// verified before it gets that name.
type Wheels struct {
	Dir   string
	Sleep func(context.Context, time.Duration) error // between tries; nil for a real wait
}

var _ engine.WheelStore = Wheels{}

func (w Wheels) path(sum digest.SHA256) string {
	s := sum.String()
	return filepath.Join(w.Dir, s[:2], s)
}

// Open opens a file of the store.
func (w Wheels) Open(_ context.Context, sum digest.SHA256) (engine.Blob, error) {
	b, err := OpenBlob(w.path(sum))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, ours("open", w.path(sum), hintCache, err)
	}

	return b, err
}

// A download is started or resumed up to this many times. Waits between tries double.
const (
	tries     = 5
	firstWait = 500 * time.Millisecond
)

// maxWheelBytes limits a download whose size is not in the lock. The largest wheels on PyPI have
// 3 GB.
const maxWheelBytes = 4 << 30

// opener opens a file at an offset in bytes, and returns the offset at which the body starts: 0
// when the server cannot resume.
type opener = func(ctx context.Context, offset int64) (body io.ReadCloser, at int64, err error)

// Put downloads a file into the store. An incomplete download stays as <sha256>.partial, and the
// next try or run resumes it. A lock on that file makes other runs wait.
func (w Wheels) Put(ctx context.Context, f lock.File, from opener) error {
	final := w.path(f.SHA256)
	if err := os.MkdirAll(filepath.Dir(final), 0o755); err != nil {
		return ours("fetch", f.Name, hintCache, err)
	}

	part, err := openLocked(ctx, final+".partial")
	if err != nil {
		return ours("fetch", f.Name, hintCache, err)
	}
	defer part.Close()

	if _, err := os.Stat(final); err == nil {
		return os.Remove(part.Name()) // another run has downloaded it
	}

	var last error
	for n := range tries {
		if n > 0 {
			if err := w.sleep(ctx, firstWait<<(n-1)); err != nil {
				return err
			}
		}

		last = try(ctx, part, f, from)
		switch {
		case last == nil:
			err := part.Sync()
			if err == nil {
				err = os.Rename(part.Name(), final)
			}

			return ours("fetch", f.Name, hintCache, err)
		case ctx.Err() != nil:
			return ctx.Err()
		}

		if err := permanent(last, f); err != nil {
			if fault.CodeOf(err) == fault.HashMismatch {
				os.Remove(part.Name())
			}

			return err
		}
	}

	return fault.New(fault.Unreachable, "fetch", f.Name, fmt.Errorf("gave up after %d tries: %w", tries, last)).
		WithHint("try again: the download will be resumed")
}

// permanent returns the error to end with, or nil when another try may help.
func permanent(err error, f lock.File) error {
	var file *os.PathError // of the store: errors of the network have other types
	var known *fault.Error
	switch {
	case errors.Is(err, errDamaged):
		return nil
	case errors.As(err, &file):
		return ours("fetch", f.Name, hintCache, file)
	case errors.As(err, &known) && known.Code != fault.Unreachable:
		return err
	}

	return nil
}

func (w Wheels) sleep(ctx context.Context, d time.Duration) error {
	if w.Sleep != nil {
		return w.Sleep(ctx, d)
	}

	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// try downloads the missing part of a file, and verifies all of it.
func try(ctx context.Context, part *os.File, f lock.File, from opener) error {
	info, err := part.Stat()
	if err != nil {
		return err
	}

	have := info.Size()
	resumed := have > 0
	if f.Size > 0 && have > f.Size {
		have = 0
	}

	if f.Size == 0 || have < f.Size {
		if err := appendBody(ctx, part, have, f, from); err != nil {
			return err
		}
	}

	if _, err := part.Seek(0, io.SeekStart); err != nil {
		return err
	}

	sum, n, err := digest.Reader(part)
	if err != nil {
		return err
	}

	if sum == f.SHA256 && (f.Size == 0 || n == f.Size) {
		return nil
	}

	part.Truncate(0)
	if resumed {
		return errDamaged
	}

	return fault.New(fault.HashMismatch, "fetch", f.Name,
		fmt.Errorf("got %s with sha256 %s, expected %s", measure.Bytes(n), sum, f.SHA256)).
		WithHint("do not trust this index; if the file was replaced on purpose, lock again")
}

// appendBody downloads a file from an offset, or all of it when the server does not resume.
func appendBody(ctx context.Context, part *os.File, have int64, f lock.File, from opener) error {
	body, at, err := from(ctx, have)
	if err != nil {
		return err
	}
	defer body.Close()

	if at != have {
		if at != 0 {
			return fmt.Errorf("the server resumed at %d", at)
		}

		have = 0
	}

	if err := part.Truncate(have); err != nil {
		return err
	}

	if _, err := part.Seek(have, io.SeekStart); err != nil {
		return err
	}

	limit := int64(maxWheelBytes)
	if f.Size > 0 {
		limit = f.Size
	}

	n, err := io.Copy(part, io.LimitReader(body, limit-have+1))
	if err != nil {
		return fmt.Errorf("read: %w", err)
	}

	if have += n; f.Size > 0 && have < f.Size {
		return fmt.Errorf("the connection ended after %s of %s", measure.Bytes(have), measure.Bytes(f.Size))
	}

	return nil
}

// errDamaged means that a resumed file has the wrong digest. The earlier part may be the wrong one,
// so the index is not blamed.
var errDamaged = errors.New("the earlier part of the download was damaged")

// openLocked opens a file and waits for an exclusive lock on it. The process that had the lock may
// have renamed or removed the file: then it starts again.
func openLocked(ctx context.Context, path string) (*os.File, error) {
	for {
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
		if err != nil {
			return nil, err
		}

		if err := lockFile(ctx, f); err != nil {
			f.Close()
			return nil, err
		}

		mine, err := f.Stat()
		if err != nil {
			f.Close()
			return nil, err
		}

		if named, err := os.Stat(path); err == nil && os.SameFile(mine, named) {
			return f, nil
		}

		f.Close()
	}
}

// lockFile waits for an exclusive lock. The system releases it when the process ends.
func lockFile(ctx context.Context, f *os.File) error {
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return nil
		}

		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("lock %s: %w", f.Name(), err)
		}

		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// Remove removes a file from the store. A missing file is no error.
func (w Wheels) Remove(sum digest.SHA256) error {
	err := os.Remove(w.path(sum))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}

	return err
}
