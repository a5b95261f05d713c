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

// Cache is the suite of engine.Cache.
func Cache(t *testing.T, open func(t *testing.T) engine.Cache) {
	start := func(t *testing.T) cacheTest { return cacheTest{t, open(t)} }
	runTests(t, start, []namedTest[cacheTest]{
		{"an absent pack is empty", cacheTest.absentPack},
		{"a stored pack is loaded, sorted", cacheTest.storedPack},
		{"a pack is replaced as a whole", cacheTest.replacedPack},
		{"an empty pack replaces another one", cacheTest.emptyPack},
		{"entries of the old pack stay readable while it is replaced", cacheTest.oldEntries},
		{"a failing write leaves the old pack", cacheTest.failingWrite},
		{"a canceled write leaves the old pack", cacheTest.canceledWrite},
		{"notes and modes are kept", cacheTest.notesAndModes},
		{"compressed bytes are kept as they are", cacheTest.compressedBytes},
		{"Store returns what it wrote, whatever others store", cacheTest.concurrentStores},
		{"bad keys are refused", cacheTest.badKeys},
	})
}

// cacheKey is the pack that the suite stores.
const cacheKey = "0123abcd/what-1"

type cacheTest struct {
	*testing.T
	engine.Cache
}

// packWriter writes the entries of a pack.
type packWriter = func(add func(ziptree.Entry) error) error

// pack writes "name=content".
func pack(files ...string) packWriter {
	var entries []ziptree.Entry
	for _, f := range files {
		name, content, _ := strings.Cut(f, "=")
		entries = append(entries, ziptree.File(name, []byte(content), "test"))
	}

	return packOf(entries...)
}

func packOf(entries ...ziptree.Entry) packWriter {
	return func(add func(ziptree.Entry) error) error {
		for _, e := range entries {
			if err := add(e); err != nil {
				return err
			}
		}

		return nil
	}
}

// listed is a tree as "name=content", sorted by name.
func listed(t testing.TB, tree ziptree.Tree) string {
	t.Helper()
	var files []string
	for _, e := range tree.Entries() {
		b := must(e.Bytes(1 << 20))(t)
		files = append(files, e.Name+"="+string(b))
	}

	return strings.Join(files, " ")
}

func (c cacheTest) load() ziptree.Tree {
	c.Helper()
	return must(c.Load(c.Context(), cacheKey))(c)
}

// has loads the pack and compares it.
func (c cacheTest) has(want string) {
	c.Helper()
	if got := listed(c, c.load()); got != want {
		c.Fatalf("the pack has %q, want %q", got, want)
	}
}

// store stores the pack and compares what Store returns.
func (c cacheTest) store(write packWriter, want string) {
	c.Helper()
	tree := must(c.Store(c.Context(), cacheKey, write))(c)
	if got := listed(c, tree); got != want {
		c.Fatalf("Store returned %q, want %q", got, want)
	}
}

func (c cacheTest) absentPack() { c.has("") }

func (c cacheTest) storedPack() {
	c.store(pack("b.py=2", "a/x.py=1"), "a/x.py=1 b.py=2")
	c.has("a/x.py=1 b.py=2")
	other := must(c.Load(c.Context(), "0123abcd/what-2"))(c)
	if other.Len() > 0 {
		c.Fatalf("another pack has %q", listed(c, other))
	}
}

func (c cacheTest) replacedPack() {
	c.store(pack("a=1", "b=2"), "a=1 b=2")
	c.store(pack("c=3"), "c=3")
	c.has("c=3")
}

func (c cacheTest) emptyPack() {
	c.store(pack("a=1"), "a=1")
	c.store(pack(), "")
	c.has("")
}

func (c cacheTest) oldEntries() {
	c.store(pack("a=1"), "a=1")
	before := c.load()
	b := ziptree.File("b", []byte("2"), "test")
	c.store(packOf(append(before.Entries(), b)...), "a=1 b=2")
	if got := listed(c, before); got != "a=1" {
		c.Fatalf("the old pack has %q", got)
	}
}

func (c cacheTest) failingWrite() {
	c.store(pack("a=1"), "a=1")
	failure := errors.New("no more")
	_, err := c.Store(c.Context(), cacheKey, func(add func(ziptree.Entry) error) error {
		if err := pack("b=2")(add); err != nil {
			return err
		}

		return failure
	})
	if !errors.Is(err, failure) {
		c.Fatalf("error %v, want %v", err, failure)
	}

	c.has("a=1")
}

func (c cacheTest) canceledWrite() {
	c.store(pack("a=1"), "a=1")
	ctx, cancel := context.WithCancel(c.Context())
	_, err := c.Store(ctx, cacheKey, func(add func(ziptree.Entry) error) error {
		cancel()
		return pack("b=2")(add)
	})
	if !errors.Is(err, context.Canceled) {
		c.Fatalf("error %v, want context.Canceled", err)
	}

	c.has("a=1")
}

func (c cacheTest) notesAndModes() {
	e := ziptree.File("x", nil, "test").Executable()
	e.Note = "failed: wörds"
	stored := must(c.Store(c.Context(), cacheKey, packOf(e)))(c)
	for _, tree := range []ziptree.Tree{stored, c.load()} {
		if got, ok := tree.Lookup("x"); !ok || got.Note != e.Note || !got.Exec || got.Size != 0 {
			c.Fatalf("got %+v, %v", got, ok)
		}
	}
}

func (c cacheTest) compressedBytes() {
	content := pattern(50_000)
	e := ziptree.File("x", content, "test")
	tree := must(c.Store(c.Context(), cacheKey, packOf(e)))(c)
	got, _ := tree.Lookup("x")
	if got.ZippedBytes != e.ZippedBytes || got.Method != e.Method {
		c.Fatalf("%d bytes by method %d, want %d by %d", got.ZippedBytes, got.Method, e.ZippedBytes, e.Method)
	}

	if b := must(got.Bytes(1 << 20))(c); !bytes.Equal(b, content) {
		c.Fatalf("it has %d other bytes", len(b))
	}
}

// concurrentStores stores different parts of one pack at once, as two builds do. If a build got the
// other's part back, it would miss its own files.
func (c cacheTest) concurrentStores() {
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for n := range 25 {
				if err := c.storesOwn(fmt.Sprintf("f%d=%d", i, n)); err != nil {
					c.Error(err)
					return
				}
			}
		})
	}

	wg.Wait()
	if tree := c.load(); tree.Len() != 1 {
		c.Fatalf("%d entries, want 1", tree.Len())
	}
}

func (c cacheTest) storesOwn(file string) error {
	tree, err := c.Store(c.Context(), cacheKey, pack(file))
	if err != nil {
		return err
	}

	if got := listed(c, tree); got != file {
		return fmt.Errorf("Store returned %q, want %q", got, file)
	}

	return nil
}

func (c cacheTest) badKeys() {
	for _, bad := range []string{"", "/abs", "../out", "a/../../out", "a//b", "a/", "./a"} {
		if _, err := c.Store(c.Context(), bad, pack("a=1")); err == nil {
			c.Errorf("Store accepts the key %q", bad)
		}

		if _, err := c.Load(c.Context(), bad); err == nil {
			c.Errorf("Load accepts the key %q", bad)
		}
	}
}
