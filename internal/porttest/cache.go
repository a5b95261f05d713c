package porttest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/layersmith/layersmith/internal/engine"
	"github.com/layersmith/layersmith/internal/ziptree"
)

type pack = func(add func(ziptree.Entry) error) error

// packOf writes entries name=content.
func packOf(pairs ...string) pack {
	return func(add func(ziptree.Entry) error) error {
		for _, p := range pairs {
			name, content, _ := strings.Cut(p, "=")
			if err := add(ziptree.File(name, []byte(content), false, "test")); err != nil {
				return err
			}
		}

		return nil
	}
}

// listed is a tree as name=content, sorted by name.
func listed(t *testing.T, tree ziptree.Tree) string {
	t.Helper()
	var out []string
	for _, e := range tree.Entries() {
		b, err := e.Bytes(1 << 20)
		if err != nil {
			t.Fatal(err)
		}

		out = append(out, e.Name+"="+string(b))
	}

	return strings.Join(out, " ")
}

// Cache is the suite of engine.Cache.
func Cache(t *testing.T, open func(t *testing.T) engine.Cache) {
	ctx := context.Background()
	const key = "0123abcd/what-1"
	load := func(t *testing.T, c engine.Cache, key, want string) {
		t.Helper()
		tree, err := c.Load(ctx, key)
		if err != nil {
			t.Fatal(err)
		}

		if got := listed(t, tree); got != want {
			t.Fatalf("the pack has %q, want %q", got, want)
		}
	}
	store := func(t *testing.T, c engine.Cache, key string, write pack, want string) {
		t.Helper()
		tree, err := c.Store(ctx, key, write)
		if err != nil {
			t.Fatal(err)
		}

		if got := listed(t, tree); got != want {
			t.Fatalf("Store returned %q, want %q", got, want)
		}
	}

	t.Run("an absent pack is empty", func(t *testing.T) { load(t, open(t), key, "") })

	t.Run("what was stored is loaded, sorted", func(t *testing.T) {
		c := open(t)
		store(t, c, key, packOf("b.py=2", "a/x.py=1"), "a/x.py=1 b.py=2")
		load(t, c, key, "a/x.py=1 b.py=2")
		load(t, c, "0123abcd/what-2", "")
	})

	t.Run("a pack is replaced as a whole", func(t *testing.T) {
		c := open(t)
		store(t, c, key, packOf("a=1", "b=2"), "a=1 b=2")
		store(t, c, key, packOf("c=3"), "c=3")
		load(t, c, key, "c=3")
	})

	t.Run("an empty pack is a pack", func(t *testing.T) {
		c := open(t)
		store(t, c, key, packOf("a=1"), "a=1")
		store(t, c, key, packOf(), "")
		load(t, c, key, "")
	})

	t.Run("entries of the old pack are readable while and after it is replaced", func(t *testing.T) {
		c := open(t)
		store(t, c, key, packOf("a=1"), "a=1")
		before, err := c.Load(ctx, key)
		if err != nil {
			t.Fatal(err)
		}

		store(t, c, key, func(add func(ziptree.Entry) error) error {
			for _, e := range before.Entries() {
				if err := add(e); err != nil {
					return err
				}
			}

			return add(ziptree.File("b", []byte("2"), false, "test"))
		}, "a=1 b=2")
		if got := listed(t, before); got != "a=1" {
			t.Fatalf("the old pack has %q", got)
		}
	})

	t.Run("a failing write leaves the old pack", func(t *testing.T) {
		c := open(t)
		store(t, c, key, packOf("a=1"), "a=1")
		failure := errors.New("no more")
		if _, err := c.Store(ctx, key, func(add func(ziptree.Entry) error) error {
			if err := add(ziptree.File("b", []byte("2"), false, "test")); err != nil {
				return err
			}

			return failure
		}); !errors.Is(err, failure) {
			t.Fatalf("error %v, want %v", err, failure)
		}

		load(t, c, key, "a=1")
	})

	t.Run("a canceled write leaves the old pack", func(t *testing.T) {
		c := open(t)
		store(t, c, key, packOf("a=1"), "a=1")
		stop, cancel := context.WithCancel(ctx)
		if _, err := c.Store(stop, key, func(add func(ziptree.Entry) error) error {
			cancel()
			return add(ziptree.File("b", []byte("2"), false, "test"))
		}); !errors.Is(err, context.Canceled) {
			t.Fatalf("error %v, want context.Canceled", err)
		}

		load(t, c, key, "a=1")
	})

	t.Run("notes and modes survive", func(t *testing.T) {
		c := open(t)
		e := ziptree.File("x", nil, true, "test")
		e.Note = "failed: wörds"
		stored, err := c.Store(ctx, key, func(add func(ziptree.Entry) error) error { return add(e) })
		if err != nil {
			t.Fatal(err)
		}

		loaded, err := c.Load(ctx, key)
		if err != nil {
			t.Fatal(err)
		}

		for _, tree := range []ziptree.Tree{stored, loaded} {
			if got, ok := tree.Lookup("x"); !ok || got.Note != e.Note || !got.Exec || got.Size != 0 {
				t.Fatalf("got %+v, %v", got, ok)
			}
		}
	})

	t.Run("compressed bytes are kept as they are", func(t *testing.T) {
		c := open(t)
		e := ziptree.File("x", pattern(50_000), false, "test")
		tree, err := c.Store(ctx, key, func(add func(ziptree.Entry) error) error { return add(e) })
		if err != nil {
			t.Fatal(err)
		}

		got, _ := tree.Lookup("x")
		b, err := got.Bytes(1 << 20)
		if err != nil || !bytes.Equal(b, pattern(50_000)) || got.ZippedBytes != e.ZippedBytes ||
			got.Method != e.Method {
			t.Fatalf("got %d bytes, %d zipped, %v", len(b), got.ZippedBytes, err)
		}
	})

	// Two builds may store different parts of one pack: each must get its own back, or it would
	// take a file for one that was never made.
	t.Run("Store returns what it wrote whatever others store", func(t *testing.T) {
		c := open(t)
		var wg sync.WaitGroup
		for i := range 4 {
			wg.Go(func() {
				for n := range 25 {
					want := fmt.Sprintf("f%d=%d", i, n)
					tree, err := c.Store(ctx, key, packOf(want))
					if err != nil {
						t.Error(err)
						return
					}

					if got := listed(t, tree); got != want {
						t.Errorf("Store returned %q, want %q", got, want)
						return
					}
				}
			})
		}

		wg.Wait()
		if tree, err := c.Load(ctx, key); err != nil || tree.Len() != 1 {
			t.Fatalf("%d entries, %v", tree.Len(), err)
		}
	})

	for _, bad := range []string{"", "/abs", "../out", "a/../../out", "a//b", "a/", "./a"} {
		t.Run(fmt.Sprintf("%q is not a key", bad), func(t *testing.T) {
			c := open(t)
			if _, err := c.Store(ctx, bad, packOf("a=1")); err == nil {
				t.Error("Store takes it")
			}

			if _, err := c.Load(ctx, bad); err == nil {
				t.Error("Load takes it")
			}
		})
	}
}
