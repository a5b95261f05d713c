package porttest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/layersmith/layersmith/internal/digest"
	"github.com/layersmith/layersmith/internal/engine"
	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/lock"
)

// source is a server of one file, as Put sees it.
type source func(ctx context.Context, offset int64) (io.ReadCloser, int64, error)

// serve serves b from where it is asked to.
func serve(b []byte) source {
	return func(_ context.Context, offset int64) (io.ReadCloser, int64, error) {
		return io.NopCloser(bytes.NewReader(b[min(offset, int64(len(b))):])), offset, nil
	}
}

// broken yields b and then fails as a connection that breaks.
func broken(b []byte) io.ReadCloser {
	return io.NopCloser(io.MultiReader(bytes.NewReader(b), failing{errors.New("connection reset by peer")}))
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func fileOf(b []byte) lock.File {
	return lock.File{Name: "demo-1.0-py3-none-any.whl", Size: int64(len(b)), SHA256: digest.Of(b)}
}

// Wheels is the suite of engine.WheelStore. open returns an empty store that does not wait between
// tries.
func Wheels(t *testing.T, open func(t *testing.T) engine.WheelStore) {
	ctx := context.Background()
	content := pattern(100_000)
	file := fileOf(content)
	unsized := file
	unsized.Size = 0

	absent := func(t *testing.T, s engine.WheelStore, sum digest.SHA256) {
		t.Helper()
		b, err := s.Open(ctx, sum)
		if err == nil {
			b.Close()
		}

		if !errors.Is(err, fs.ErrNotExist) {
			t.Fatalf("Open = %v, want fs.ErrNotExist", err)
		}
	}
	stored := func(t *testing.T, s engine.WheelStore) {
		t.Helper()
		b, err := s.Open(ctx, file.SHA256)
		if err != nil {
			t.Fatal(err)
		}

		if got := contents(t, b); !bytes.Equal(got, content) {
			t.Fatalf("the store has %d other bytes", len(got))
		}
	}
	coded := func(t *testing.T, err error, want fault.Code) {
		t.Helper()
		if err == nil || fault.CodeOf(err) != want {
			t.Fatalf("error %v (%v), want %v", err, fault.CodeOf(err), want)
		}
	}

	t.Run("an absent file does not exist", func(t *testing.T) { absent(t, open(t), file.SHA256) })

	t.Run("what was put can be opened, at any offset", func(t *testing.T) {
		s := open(t)
		if err := s.Put(ctx, file, serve(content)); err != nil {
			t.Fatal(err)
		}

		stored(t, s)
		b, err := s.Open(ctx, file.SHA256)
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		part := make([]byte, 10)
		if _, err := b.ReadAt(part, 777); err != nil || !bytes.Equal(part, content[777:787]) {
			t.Fatalf("ReadAt = %q, %v", part, err)
		}
	})

	t.Run("a file that is there is not asked for again", func(t *testing.T) {
		s := open(t)
		if err := s.Put(ctx, file, serve(content)); err != nil {
			t.Fatal(err)
		}

		if err := s.Put(ctx, file, func(context.Context, int64) (io.ReadCloser, int64, error) {
			t.Error("the source was asked")
			return nil, 0, errors.New("must not be asked")
		}); err != nil {
			t.Fatal(err)
		}

		stored(t, s)
	})

	t.Run("a size that the index did not give is not checked", func(t *testing.T) {
		s := open(t)
		if err := s.Put(ctx, unsized, serve(content)); err != nil {
			t.Fatal(err)
		}

		stored(t, s)
	})

	for name, bad := range map[string][]byte{
		"other bytes of the right size are refused": flipped(content),
		"more bytes than promised are refused":      append(clone(content), '!'),
	} {
		t.Run(name, func(t *testing.T) {
			for _, f := range []lock.File{file, unsized} {
				s := open(t)
				coded(t, s.Put(ctx, f, serve(bad)), fault.HashMismatch)
				absent(t, s, file.SHA256)
				absent(t, s, digest.Of(bad))
				if err := s.Put(ctx, f, serve(content)); err != nil {
					t.Fatalf("after the index was mended: %v", err)
				}

				stored(t, s)
			}
		})
	}

	t.Run("a body that is always short is given up, and what came is not readable", func(t *testing.T) {
		s := open(t)
		calls := 0
		err := s.Put(ctx, file, func(_ context.Context, offset int64) (io.ReadCloser, int64, error) {
			calls++
			return io.NopCloser(bytes.NewReader(nil)), offset, nil
		})
		coded(t, err, fault.Unreachable)
		if calls < 2 {
			t.Fatalf("asked %d times", calls)
		}

		absent(t, s, file.SHA256)
	})

	t.Run("a broken body is resumed where it broke", func(t *testing.T) {
		s := open(t)
		var offsets []int64
		err := s.Put(ctx, file, func(ctx context.Context, offset int64) (io.ReadCloser, int64, error) {
			offsets = append(offsets, offset)
			if len(offsets) < 3 {
				return broken(content[offset : offset+1000]), offset, nil
			}

			return serve(content)(ctx, offset)
		})
		if err != nil {
			t.Fatal(err)
		}

		if got, want := fmt.Sprint(offsets), "[0 1000 2000]"; got != want {
			t.Fatalf("offsets %s, want %s", got, want)
		}

		stored(t, s)
	})

	t.Run("the next call resumes what an earlier one began", func(t *testing.T) {
		s := open(t)
		stop, cancel := context.WithCancel(ctx)
		err := s.Put(stop, file, func(context.Context, int64) (io.ReadCloser, int64, error) {
			return io.NopCloser(io.MultiReader(bytes.NewReader(content[:5000]), ending{cancel})), 0, nil
		})
		if !errors.Is(err, context.Canceled) {
			t.Fatalf("error %v, want context.Canceled", err)
		}

		absent(t, s, file.SHA256)
		first := int64(-1)
		if err := s.Put(ctx, file, func(ctx context.Context, offset int64) (io.ReadCloser, int64, error) {
			if first < 0 {
				first = offset
			}

			return serve(content)(ctx, offset)
		}); err != nil {
			t.Fatal(err)
		}

		if first != 5000 {
			t.Fatalf("resumed at %d, want 5000", first)
		}

		stored(t, s)
	})

	t.Run("a damaged beginning does not condemn the index", func(t *testing.T) {
		s := open(t)
		calls := 0
		err := s.Put(ctx, file, func(ctx context.Context, offset int64) (io.ReadCloser, int64, error) {
			if calls++; calls == 1 {
				return broken(flipped(content[:5000])), 0, nil
			}

			return serve(content)(ctx, offset)
		})
		if err != nil {
			t.Fatal(err)
		}

		stored(t, s)
	})

	t.Run("a server that ignores the offset is read from the start", func(t *testing.T) {
		s := open(t)
		calls := 0
		if err := s.Put(ctx, file, func(context.Context, int64) (io.ReadCloser, int64, error) {
			if calls++; calls == 1 {
				return broken(content[:5000]), 0, nil
			}

			return io.NopCloser(bytes.NewReader(content)), 0, nil
		}); err != nil {
			t.Fatal(err)
		}

		stored(t, s)
	})

	t.Run("a server that resumes elsewhere is not believed", func(t *testing.T) {
		s := open(t)
		calls := 0
		if err := s.Put(ctx, file, func(ctx context.Context, offset int64) (io.ReadCloser, int64, error) {
			switch calls++; calls {
			case 1:
				return broken(content[:5000]), 0, nil
			case 2:
				return io.NopCloser(bytes.NewReader(content[7000:])), 7000, nil
			}

			return serve(content)(ctx, offset)
		}); err != nil {
			t.Fatal(err)
		}

		stored(t, s)
	})

	t.Run("an unreachable source is tried again", func(t *testing.T) {
		s := open(t)
		calls := 0
		if err := s.Put(ctx, file, func(ctx context.Context, offset int64) (io.ReadCloser, int64, error) {
			if calls++; calls < 3 {
				return nil, 0, fault.New(fault.Unreachable, "fetch", "", errors.New("503"))
			}

			return serve(content)(ctx, offset)
		}); err != nil {
			t.Fatal(err)
		}

		stored(t, s)
	})

	t.Run("bad input is not tried again", func(t *testing.T) {
		s := open(t)
		calls := 0
		err := s.Put(ctx, file, func(context.Context, int64) (io.ReadCloser, int64, error) {
			calls++
			return nil, 0, fault.New(fault.BadInput, "fetch", "", errors.New("404"))
		})
		coded(t, err, fault.BadInput)
		if calls != 1 {
			t.Fatalf("asked %d times", calls)
		}

		absent(t, s, file.SHA256)
	})

	t.Run("bodies are closed", func(t *testing.T) {
		s := open(t)
		var opened, closed atomic.Int32
		calls := 0
		if err := s.Put(ctx, file, func(ctx context.Context, offset int64) (io.ReadCloser, int64, error) {
			opened.Add(1)
			body, at, err := serve(content)(ctx, offset)
			if calls++; calls == 1 {
				body = broken(content[:10])
			}

			return closing{body, func() { closed.Add(1) }}, at, err
		}); err != nil {
			t.Fatal(err)
		}

		if opened.Load() != closed.Load() {
			t.Fatalf("%d opened, %d closed", opened.Load(), closed.Load())
		}
	})

	t.Run("several Puts of one file at once leave one good file", func(t *testing.T) {
		s := open(t)
		var wg sync.WaitGroup
		errs := make([]error, 4)
		for i := range errs {
			wg.Go(func() { errs[i] = s.Put(ctx, file, serve(content)) })
		}

		wg.Wait()
		if err := errors.Join(errs...); err != nil {
			t.Fatal(err)
		}

		stored(t, s)
	})

	// Whoever waits while another finds a mismatch must not go on with what the other threw away.
	t.Run("a Put beside one that is refused stores the good file", func(t *testing.T) {
		s := open(t)
		began := make(chan struct{})
		goOn := make(chan struct{})
		var wg sync.WaitGroup
		wg.Go(func() {
			err := s.Put(ctx, file, func(context.Context, int64) (io.ReadCloser, int64, error) {
				close(began)
				<-goOn
				return io.NopCloser(bytes.NewReader(flipped(content))), 0, nil
			})
			if fault.CodeOf(err) != fault.HashMismatch {
				t.Errorf("error %v, want HashMismatch", err)
			}
		})
		<-began
		errs := make([]error, 3)
		for i := range errs {
			wg.Go(func() { errs[i] = s.Put(ctx, file, serve(content)) })
		}

		close(goOn)
		wg.Wait()
		if err := errors.Join(errs...); err != nil {
			t.Fatal(err)
		}

		stored(t, s)
	})

	t.Run("a canceled Put ends, and stores nothing", func(t *testing.T) {
		s := open(t)
		stop, cancel := context.WithCancel(ctx)
		cancel()
		err := s.Put(stop, file,
			func(ctx context.Context, _ int64) (io.ReadCloser, int64, error) { return nil, 0, ctx.Err() })
		if !errors.Is(err, context.Canceled) {
			t.Fatalf("error %v, want context.Canceled", err)
		}

		absent(t, s, file.SHA256)
	})

	t.Run("a Put that waits for another one can be canceled", func(t *testing.T) {
		s := open(t)
		began := make(chan struct{})
		goOn := make(chan struct{})
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := s.Put(ctx, file, func(ctx context.Context, offset int64) (io.ReadCloser, int64, error) {
				close(began)
				<-goOn
				return serve(content)(ctx, offset)
			}); err != nil {
				t.Error(err)
			}
		})
		<-began
		stop, cancel := context.WithCancel(ctx)
		cancel()
		err := s.Put(
			stop,
			file,
			func(ctx context.Context, _ int64) (io.ReadCloser, int64, error) { return nil, 0, ctx.Err() },
		)
		close(goOn)
		wg.Wait()
		if !errors.Is(err, context.Canceled) {
			t.Fatalf("error %v, want context.Canceled", err)
		}

		stored(t, s)
	})
}

// ending cancels when it is read, as a user who presses Ctrl-C, and fails.
type ending struct{ cancel func() }

func (e ending) Read([]byte) (int, error) { e.cancel(); return 0, context.Canceled }

type closing struct {
	io.ReadCloser
	closed func()
}

func (c closing) Close() error { c.closed(); return c.ReadCloser.Close() }
