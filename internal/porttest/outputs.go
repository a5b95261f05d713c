package porttest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"sync"
	"testing"

	"github.com/layersmith/layersmith/internal/engine"
)

func writes(s string) func(io.Writer) error {
	return func(w io.Writer) error { _, err := io.WriteString(w, s); return err }
}

// Outputs is the suite of engine.Outputs.
func Outputs(t *testing.T, open func(t *testing.T) engine.Outputs) {
	ctx := context.Background()
	const name = "demo-python3.13-x86_64.zip"
	has := func(t *testing.T, o engine.Outputs, want string) {
		t.Helper()
		b, err := o.Read(ctx, name)
		if err != nil || string(b) != want {
			t.Fatalf("Read = %q, %v; want %q", b, err, want)
		}

		opened, err := o.Open(ctx, name)
		if err != nil {
			t.Fatal(err)
		}

		if got := contents(t, opened); string(got) != want {
			t.Fatalf("Open has %q, want %q", got, want)
		}
	}
	write := func(t *testing.T, o engine.Outputs, s string) {
		t.Helper()
		if err := o.Write(ctx, name, writes(s)); err != nil {
			t.Fatal(err)
		}
	}

	t.Run("an absent output does not exist", func(t *testing.T) {
		o := open(t)
		if _, err := o.Read(ctx, name); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("Read: %v, want fs.ErrNotExist", err)
		}

		if _, err := o.Open(ctx, name); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("Open: %v, want fs.ErrNotExist", err)
		}
	})

	t.Run("what was written is read, and replaced", func(t *testing.T) {
		o := open(t)
		write(t, o, "one")
		has(t, o, "one")
		write(t, o, "")
		has(t, o, "")
		write(t, o, "three")
		has(t, o, "three")
	})

	t.Run("a failing write leaves the old file", func(t *testing.T) {
		o := open(t)
		write(t, o, "one")
		failure := errors.New("no more")
		if err := o.Write(ctx, name, func(w io.Writer) error {
			if _, err := io.WriteString(w, "half"); err != nil {
				return err
			}

			return failure
		}); !errors.Is(err, failure) {
			t.Fatalf("error %v, want %v", err, failure)
		}

		has(t, o, "one")
	})

	t.Run("a failing first write leaves none", func(t *testing.T) {
		o := open(t)
		if err := o.Write(ctx, name, func(io.Writer) error { return errors.New("no more") }); err == nil {
			t.Fatal("no error")
		}

		if _, err := o.Read(ctx, name); !errors.Is(err, fs.ErrNotExist) {
			t.Fatalf("Read: %v, want fs.ErrNotExist", err)
		}
	})

	t.Run("a canceled write leaves the old file", func(t *testing.T) {
		o := open(t)
		write(t, o, "one")
		stop, cancel := context.WithCancel(ctx)
		if err := o.Write(stop, name, func(w io.Writer) error { cancel(); return writes("two")(w) }); !errors.Is(err,
			context.Canceled) {
			t.Fatalf("error %v, want context.Canceled", err)
		}

		has(t, o, "one")
	})

	t.Run("a reader that is open keeps what it opened", func(t *testing.T) {
		o := open(t)
		write(t, o, "one")
		opened, err := o.Open(ctx, name)
		if err != nil {
			t.Fatal(err)
		}

		write(t, o, "second")
		if got := contents(t, opened); string(got) != "one" {
			t.Fatalf("it reads %q, want what it opened", got)
		}
	})

	t.Run("writes at once leave one of them whole", func(t *testing.T) {
		o := open(t)
		var wg sync.WaitGroup
		for i := range 4 {
			wg.Go(func() {
				if err := o.Write(ctx, name, writes(strings.Repeat(fmt.Sprint(i), 100_000))); err != nil {
					t.Error(err)
				}
			})
		}

		wg.Wait()
		b, err := o.Read(ctx, name)
		if err != nil || len(b) != 100_000 || !bytes.Equal(b, bytes.Repeat(b[:1], len(b))) {
			t.Fatalf("%d bytes, %v", len(b), err)
		}
	})

	for _, bad := range []string{"", ".", "..", "a/b", "/a", "../a", `a\b`, ".hidden"} {
		t.Run(fmt.Sprintf("%q is not a name", bad), func(t *testing.T) {
			o := open(t)
			if err := o.Write(ctx, bad, writes("x")); err == nil {
				t.Error("Write takes it")
			}

			if _, err := o.Read(ctx, bad); err == nil || errors.Is(err, fs.ErrNotExist) {
				t.Errorf("Read: %v, want a refusal", err)
			}

			if _, err := o.Open(ctx, bad); err == nil || errors.Is(err, fs.ErrNotExist) {
				t.Errorf("Open: %v, want a refusal", err)
			}
		})
	}
}
