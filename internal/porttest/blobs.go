package porttest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"

	objects "github.com/layersmith/layersmith/internal/blob"
	"github.com/layersmith/layersmith/internal/digest"
	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/workflow"
)

// codedAs asserts an error's fault code.
func codedAs(t *testing.T, err error, want fault.Code) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want fault %s", want)
	}

	if got := fault.CodeOf(err); got != want {
		t.Fatalf("fault %s (%v), want %s", got, err, want)
	}
}

// Blobs is the suite of workflow.Blobs.
func Blobs(t *testing.T, open func(t *testing.T) workflow.Blobs) {
	ctx := context.Background()
	const prefix, suffix = "documents/", ".json"
	put := func(t *testing.T, b workflow.Blobs, s string) objects.Ref {
		t.Helper()
		ref, err := b.Put(ctx, prefix, suffix, writes(s))
		if err != nil {
			t.Fatal(err)
		}

		return ref
	}
	has := func(t *testing.T, b workflow.Blobs, ref objects.Ref, want string) {
		t.Helper()
		opened, err := b.Open(ctx, ref)
		if err != nil {
			t.Fatal(err)
		}

		if opened.Size() != int64(len(want)) {
			t.Errorf("the blob says that it has %d bytes, want %d", opened.Size(), len(want))
		}

		if got := contents(t, opened); string(got) != want {
			t.Fatalf("Open has %.40q (%d bytes), want %.40q", got, len(got), want)
		}
	}
	refuses := func(t *testing.T, b workflow.Blobs, ref objects.Ref, want fault.Code) {
		t.Helper()
		opened, err := b.Open(ctx, ref)
		if err == nil {
			opened.Close()
		}

		codedAs(t, err, want)
	}
	sizes := map[string]string{"nothing": "", "a few bytes": "{}\n", "several megabytes": string(pattern(3<<20 + 7))}

	for name, want := range sizes {
		t.Run(name+" is opened as it was put, under its digest", func(t *testing.T) {
			b := open(t)
			ref := put(t, b, want)
			sum := digest.Of([]byte(want))
			if ref.Key != prefix+sum.String()+suffix || ref.SHA256 != sum || ref.Size != int64(len(want)) {
				t.Errorf("reference %+v", ref)
			}

			has(t, b, ref, want)
		})
	}

	t.Run("a blob is read at any place, and ends", func(t *testing.T) {
		for name, s := range sizes {
			b := open(t)
			opened, err := b.Open(ctx, put(t, b, s))
			if err != nil {
				t.Fatal(err)
			}

			middle := int64(len(s) / 2)
			end := int64(len(s))
			got := make([]byte, end-middle)
			if n, err := opened.ReadAt(got, middle); n != len(got) ||
				err != nil && err != io.EOF { //nolint:errorlint // io.ReaderAt
				t.Errorf("%s: %d of %d bytes, %v", name, n, len(got), err)
			} else if string(got) != s[middle:] {
				t.Errorf("%s: other bytes", name)
			}

			if n, err := opened.ReadAt(make([]byte, 1), end); n != 0 ||
				err != io.EOF { //nolint:errorlint // io.ReaderAt
				t.Errorf("%s: behind its end are %d bytes, %v", name, n, err)
			}

			if err := opened.Close(); err != nil {
				t.Error(err)
			}
		}
	})

	t.Run("the same bytes again are the same reference", func(t *testing.T) {
		b := open(t)
		first := put(t, b, "one")
		put(t, b, "two")
		if again := put(t, b, "one"); again != first {
			t.Errorf("got %+v, then %+v", first, again)
		}
	})

	t.Run("prefix and suffix are part of the key", func(t *testing.T) {
		b := open(t)
		first := put(t, b, "one")
		other, err := b.Put(ctx, "artifacts/", ".zip", writes("one"))
		if err != nil {
			t.Fatal(err)
		}

		if other.Key == first.Key || !strings.HasPrefix(other.Key, "artifacts/") ||
			!strings.HasSuffix(other.Key, ".zip") {
			t.Errorf("keys %s and %s", first.Key, other.Key)
		}

		has(t, b, other, "one")
		has(t, b, first, "one")
	})

	t.Run("a failing write is returned, and leaves nothing", func(t *testing.T) {
		for name, half := range sizes {
			b := open(t)
			failure := errors.New("no more")
			_, err := b.Put(ctx, prefix, suffix, func(w io.Writer) error {
				if _, err := io.WriteString(w, half); err != nil {
					return err
				}

				return failure
			})
			if !errors.Is(err, failure) {
				t.Fatalf("%s: error %v, want %v", name, err, failure)
			}

			sum := digest.Of([]byte(half))
			refuses(t, b, objects.Ref{Key: prefix + sum.String() + suffix, SHA256: sum, Size: int64(len(half))},
				fault.NotFound)
		}
	})

	t.Run("a fault of the writer stays that fault", func(t *testing.T) {
		_, err := open(
			t,
		).Put(ctx, prefix, suffix, func(io.Writer) error { return fault.New(fault.CorruptArchive, "prune", "", nil) })
		codedAs(t, err, fault.CorruptArchive)
	})

	t.Run("a canceled write leaves nothing", func(t *testing.T) {
		b := open(t)
		stop, cancel := context.WithCancel(ctx)
		_, err := b.Put(stop, prefix, suffix, func(w io.Writer) error { cancel(); return writes("two")(w) })
		codedAs(t, err, fault.Canceled)
		if !errors.Is(err, context.Canceled) {
			t.Errorf("error %v, want context.Canceled in its chain", err)
		}

		sum := digest.Of([]byte("two"))
		refuses(t, b, objects.Ref{Key: prefix + sum.String() + suffix, SHA256: sum, Size: 3}, fault.NotFound)
	})

	t.Run("a deadline is no cancellation", func(t *testing.T) {
		b := open(t)
		ref := put(t, b, "one")
		late, cancel := context.WithTimeout(ctx, -1)
		defer cancel()
		_, err := b.Put(late, prefix, suffix, writes("two"))
		codedAs(t, err, fault.TimedOut)
		_, err = b.Open(late, ref)
		codedAs(t, err, fault.TimedOut)
	})

	t.Run("what was never put is not found", func(t *testing.T) {
		sum := digest.Of([]byte("never"))
		refuses(t, open(t), objects.Ref{Key: prefix + sum.String() + suffix, SHA256: sum, Size: 5}, fault.NotFound)
	})

	t.Run("what is not as the reference says is a mismatch", func(t *testing.T) {
		for name, s := range sizes {
			b := open(t)
			good := put(t, b, s)
			longer := good
			shorter := good
			other := good
			longer.Size++
			shorter.Size--
			other.SHA256 = digest.Of([]byte("other"))
			bad := []objects.Ref{longer, other}
			if good.Size > 0 {
				bad = append(bad, shorter)
			}

			for _, ref := range bad {
				opened, err := b.Open(ctx, ref)
				if err == nil {
					opened.Close()
				}

				if fault.CodeOf(err) != fault.HashMismatch {
					t.Errorf("%s, of which the reference says %d bytes and %s: %v, want HashMismatch", name, ref.Size,
						ref.SHA256.Short(), err)
				}
			}

			has(t, b, good, s)
		}
	})

	t.Run("an open blob stays while others come and go", func(t *testing.T) {
		for _, s := range sizes {
			b := open(t)
			ref := put(t, b, s)
			opened, err := b.Open(ctx, ref)
			if err != nil {
				t.Fatal(err)
			}

			put(t, b, s+"more")
			has(t, b, ref, s)
			if got := contents(t, opened); string(got) != s {
				t.Errorf("it has %d other bytes", len(got))
			}
		}
	})

	t.Run("several that put the same at once get the same", func(t *testing.T) {
		b := open(t)
		s := string(pattern(200_000))
		refs := make([]objects.Ref, 8)
		var wg sync.WaitGroup
		for i := range refs {
			wg.Go(func() {
				var err error
				if refs[i], err = b.Put(ctx, prefix, suffix, writes(s)); err != nil {
					t.Error(err)
				}
			})
		}

		wg.Wait()
		for _, ref := range refs {
			if ref != refs[0] {
				t.Fatalf("references %+v and %+v", refs[0], ref)
			}
		}

		has(t, b, refs[0], s)
	})

	for _, bad := range []string{"/abs/", "a\nb/", strings.Repeat("long", 300)} {
		t.Run(fmt.Sprintf("%.10q is not a prefix", bad), func(t *testing.T) {
			if ref, err := open(t).Put(ctx, bad, suffix, writes("x")); err == nil {
				t.Errorf("Put takes it: %+v", ref)
			}
		})
	}
}
