package prune

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/layersmith/layersmith/internal/policy"
	"github.com/layersmith/layersmith/internal/ziptree"
)

// packs is a Cache.
type packs struct {
	mu    sync.Mutex
	byKey map[string][]byte
}

func (c *packs) Load(_ context.Context, key string) (ziptree.Tree, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	b, ok := c.byKey[key]
	if !ok {
		return ziptree.Tree{}, nil
	}

	return ziptree.Read(bytes.NewReader(b), int64(len(b)), key)
}

func (c *packs) Store(
	ctx context.Context, key string, write func(add func(ziptree.Entry) error) error,
) (ziptree.Tree, error) {
	var b bytes.Buffer
	z := ziptree.NewWriter(&b)
	if err := write(z.Add); err != nil {
		return ziptree.Tree{}, err
	}

	if _, err := z.Close(); err != nil {
		return ziptree.Tree{}, err
	}

	c.mu.Lock()
	c.byKey[key] = b.Bytes()
	c.mu.Unlock()
	return c.Load(ctx, key)
}

// transformed applies a transform to a program, and returns the result and its content.
func transformed(t *testing.T, cache Cache, transform *Transform) (Pruned, Applied, string) {
	t.Helper()
	e := ziptree.File("python/bin/run", []byte(strings.Repeat("as shipped ", 100)), "wheel").Executable()
	p := Plan{decisions: []Decision{{
		Entry: e, Site: "bin/run", Wheel: "abc", Fate: Transformed, Rule: "shorten", transform: transform,
		transformRule: "shorten",
	}}}
	out, err := Apply(t.Context(), p, cache)
	if err != nil {
		t.Fatal(err)
	}

	shipped, ok := out.Tree.Lookup("python/bin/run")
	if !ok {
		t.Fatal("the program is gone")
	}

	b, err := shipped.Bytes(1 << 20)
	if err != nil {
		t.Fatal(err)
	}

	if !shipped.Exec {
		t.Error("the program cannot be executed any more")
	}

	return out, out.Decisions[0], string(b)
}

func shorten(version, to string, verify error) *Transform {
	return &Transform{
		ID:      "shorten",
		Version: version,
		Rewrite: func(string, []byte, policy.Policy) ([]byte, error) { return []byte(to), nil },
		Verify:  func(string, []byte, []byte) error { return verify },
	}
}

func TestRewrittenProgramsStayExecutable(t *testing.T) {
	t.Parallel()
	out, o, content := transformed(t, &packs{byKey: map[string][]byte{}}, shorten("1", "short", nil))
	if content != "short" || o.Fate != Transformed || len(out.Notes) > 0 {
		t.Errorf("%q, %s, notes %q", content, o.Fate, out.Notes)
	}
}

// What a transform's own check refuses is shipped as it was, now and when the refusal is cached.
func TestRefusedResultsAreNotShipped(t *testing.T) {
	t.Parallel()
	cache := &packs{byKey: map[string][]byte{}}
	for range 2 {
		out, o, content := transformed(t, cache, shorten("1", "short", errors.New("it does not load")))
		if !strings.HasPrefix(content, "as shipped") || o.Fate != Kept {
			t.Errorf("%q, %s", content, o.Fate)
		}

		const note = "bin/run: shorten left it alone: it does not load"
		if len(out.Notes) != 1 || out.Notes[0] != note {
			t.Errorf("notes %q, want %q", out.Notes, note)
		}
	}
}

func TestRaisedVersionsDoNotReadOldResults(t *testing.T) {
	t.Parallel()
	cache := &packs{byKey: map[string][]byte{}}
	for _, want := range []string{"one", "two", "one"} {
		version := map[string]string{"one": "1", "two": "2"}[want]
		if _, _, content := transformed(t, cache, shorten(version, want, nil)); content != want {
			t.Errorf("version %s gave %q", version, content)
		}
	}

	if len(cache.byKey) != 2 {
		t.Errorf("%d packs, want one for each version", len(cache.byKey))
	}
}
