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
)

// Wheels is the wheel store in a folder: <first two digits>/<sha256>, each verified before it got
// its name.
type Wheels struct {
	Dir   string
	Sleep func(context.Context, time.Duration) error // between tries; time.Sleep that ends with ctx when nil
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

// tries is how often a download is begun or resumed before it is given up. Waits double from
// firstWait.
const (
	tries     = 5
	firstWait = 500 * time.Millisecond
)

// maxWheelBytes is the largest file that is fetched. The index's largest wheels have 3 GB, Lambda's
// limit is 250 MiB.
const maxWheelBytes = 4 << 30

// Put downloads a file into the store. What arrived of it stays as <sha256>.partial for the next
// try or the next run; a lock on that file makes two runs wait for each other rather than write
// both.
func (w Wheels) Put(
	ctx context.Context,
	f lock.File,
	from func(ctx context.Context, offset int64) (io.ReadCloser, int64, error),
) error {
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
		return os.Remove(part.Name()) // another run was faster
	}

	var last error
	for n := range tries {
		if n > 0 {
			if err := w.sleep(ctx, firstWait<<(n-1)); err != nil {
				return err
			}
		}

		if last = w.try(ctx, part, f, from); last == nil {
			if err := part.Sync(); err != nil {
				return ours("fetch", f.Name, hintCache, err)
			}

			return ours("fetch", f.Name, hintCache, os.Rename(final+".partial", final))
		}

		if ctx.Err() != nil {
			return ctx.Err()
		}

		if errors.Is(last, errDamaged) {
			continue
		}

		var system *os.PathError // of our own files: what is the network's comes as another type
		if errors.As(last, &system) {
			return ours("fetch", f.Name, hintCache, system)
		}

		var permanent *fault.Error
		if errors.As(last, &permanent) && permanent.Code != fault.Unreachable {
			if permanent.Code == fault.HashMismatch {
				os.Remove(final + ".partial")
			}

			return last
		}
	}

	return fault.New(fault.Unreachable, "fetch", f.Name, fmt.Errorf("gave up after %d tries: %w", tries, last)).
		WithHint("try again: what arrived is kept")
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

func (w Wheels) try(
	ctx context.Context,
	part *os.File,
	f lock.File,
	from func(context.Context, int64) (io.ReadCloser, int64, error),
) error {
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
		body, at, err := from(ctx, have)
		if err != nil {
			return err
		}
		defer body.Close()
		if at != have {
			have = 0
			if at != 0 {
				return fmt.Errorf("the server resumed at %d", at)
			}
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

		have += n
		if f.Size > 0 && have < f.Size {
			return fmt.Errorf("the connection ended after %d of %d bytes", have, f.Size)
		}
	}

	if _, err := part.Seek(0, io.SeekStart); err != nil {
		return err
	}

	sum, n, err := digest.Reader(part)
	if err != nil {
		return err
	}

	if sum != f.SHA256 || f.Size > 0 && n != f.Size {
		part.Truncate(0)
		if resumed {
			return errDamaged
		}

		return fault.New(fault.HashMismatch, "fetch", f.Name,
			fmt.Errorf("got %d bytes with sha256 %s, the lock promises %s", n, sum, f.SHA256)).
			WithHint("do not trust this index; if the file was replaced on purpose, lock again")
	}

	return nil
}

// errDamaged says that what an earlier try left was no beginning of the file: that is no proof
// against the index.
var errDamaged = errors.New("what had arrived before was damaged")

// openLocked opens a file and waits until nobody else has it. Whoever had it may have renamed or
// removed it: then the name is another file's, and that one is opened.
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

// lockFile waits for an exclusive lock, which ends with the process.
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

// Remove takes a file out of the store.
func (w Wheels) Remove(sum digest.SHA256) error {
	err := os.Remove(w.path(sum))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}

	return err
}
