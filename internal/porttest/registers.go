package porttest

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/release"
	"github.com/layersmith/layersmith/internal/workflow"
)

// Registers is the suite of workflow.Registers.
func Registers(t *testing.T, open func(t *testing.T) workflow.Registers) {
	ctx := context.Background()
	const name = "state/lease.json"
	store := func(t *testing.T, r workflow.Registers, name, doc, tag string) string {
		t.Helper()
		tag, err := r.Store(ctx, name, []byte(doc), tag)
		if err != nil {
			t.Fatal(err)
		}

		if tag == "" {
			t.Fatal("Store returned no tag")
		}

		return tag
	}
	refuses := func(t *testing.T, r workflow.Registers, doc, tag string, want fault.Code) {
		t.Helper()
		_, err := r.Store(ctx, name, []byte(doc), tag)
		codedAs(t, err, want)
	}
	has := func(t *testing.T, r workflow.Registers, want, wantTag string) {
		t.Helper()
		doc, tag, err := r.Load(ctx, name)
		if err != nil || string(doc) != want || tag != wantTag {
			t.Fatalf("Load = %.40q (%d bytes), %q, %v; want %.40q, %q", doc, len(doc), tag, err, want, wantTag)
		}
	}

	t.Run("an absent document is not found", func(t *testing.T) {
		_, _, err := open(t).Load(ctx, name)
		codedAs(t, err, fault.NotFound)
	})

	t.Run("what was stored is loaded, with its tag", func(t *testing.T) {
		for _, doc := range []string{`{"run":"1"}`, "", string(pattern(1 << 20))} {
			r := open(t)
			has(t, r, doc, store(t, r, name, doc, ""))
		}
	})

	t.Run("a document is made only once", func(t *testing.T) {
		r := open(t)
		tag := store(t, r, name, "one", "")
		refuses(t, r, "two", "", fault.Changed)
		has(t, r, "one", tag)
	})

	t.Run("a document is made only once even of the same bytes", func(t *testing.T) {
		r := open(t)
		store(t, r, name, "one", "")
		refuses(t, r, "one", "", fault.Changed)
	})

	t.Run("the tag allows one change", func(t *testing.T) {
		r := open(t)
		first := store(t, r, name, "one", "")
		second := store(t, r, name, "two", first)
		if first == second {
			t.Fatalf("another document has the same tag %q", first)
		}

		refuses(t, r, "three", first, fault.Changed)
		has(t, r, "two", second)
		has(t, r, "three", store(t, r, name, "three", second))
	})

	t.Run("a tag does not make a document", func(t *testing.T) {
		r := open(t)
		tag := store(t, r, "state/other.json", "one", "")
		refuses(t, r, "two", tag, fault.Changed)
		_, _, err := r.Load(ctx, name)
		codedAs(t, err, fault.NotFound)
	})

	t.Run("documents do not share bytes with who stores and loads them", func(t *testing.T) {
		r := open(t)
		doc := []byte("one")
		tag, err := r.Store(ctx, name, doc, "")
		if err != nil {
			t.Fatal(err)
		}

		doc[0] = 'x'
		loaded, _, err := r.Load(ctx, name)
		if err != nil {
			t.Fatal(err)
		}

		loaded[0] = 'y'
		has(t, r, "one", tag)
	})

	t.Run("names are listed by prefix, sorted", func(t *testing.T) {
		r := open(t)
		for _, n := range []string{
			"runs/b/change-2.json", "runs/b/change-10.json", "runs/a/run.json",
			"runs/bb/run.json", "state/released.json", "runs/b/Z.json",
		} {
			store(t, r, n, n, "")
		}

		for prefix, want := range map[string]string{
			"runs/b/":       "runs/b/Z.json runs/b/change-10.json runs/b/change-2.json",
			"runs/b":        "runs/b/Z.json runs/b/change-10.json runs/b/change-2.json runs/bb/run.json",
			"runs/b/change": "runs/b/change-10.json runs/b/change-2.json",
			"runs/none/":    "",
			"state/":        "state/released.json",
		} {
			got, err := r.List(ctx, prefix)
			if err != nil || strings.Join(got, " ") != want {
				t.Errorf("List(%q) = %q, %v; want %q", prefix, got, err, want)
			}
		}
	})

	t.Run("of several that make it at once one does", func(t *testing.T) {
		r := open(t)
		oneWins(t, r, name, "")
	})

	t.Run("of several that change it at once one does", func(t *testing.T) {
		r := open(t)
		oneWins(t, r, name, store(t, r, name, "start", ""))
	})

	t.Run("no change gets lost", func(t *testing.T) {
		r := open(t)
		store(t, r, name, "0", "")
		const writers, each = 4, 5
		var wg sync.WaitGroup
		for range writers {
			wg.Go(func() {
				for done := 0; done < each; {
					doc, tag, err := r.Load(ctx, name)
					if err != nil {
						t.Error(err)
						return
					}

					n, err := strconv.Atoi(string(doc))
					if err != nil {
						t.Error(err)
						return
					}

					switch _, err := r.Store(ctx, name, []byte(strconv.Itoa(n+1)), tag); {
					case err == nil:
						done++
					case fault.CodeOf(err) != fault.Changed:
						t.Error(err)
						return
					}
				}
			})
		}

		wg.Wait()
		if doc, _, err := r.Load(ctx, name); err != nil || string(doc) != strconv.Itoa(writers*each) {
			t.Fatalf("counted %s, %v; want %d", doc, err, writers*each)
		}
	})

	t.Run("the largest document is stored, a larger one is not", func(t *testing.T) {
		r := open(t)
		largest := string(pattern(release.MaxDocumentBytes))
		tag := store(t, r, name, largest, "")
		refuses(t, r, largest+"x", tag, fault.OverLimit)
		has(t, r, largest, tag)
	})

	t.Run("what is canceled is not done", func(t *testing.T) {
		r := open(t)
		tag := store(t, r, name, "one", "")
		stop, cancel := context.WithCancel(ctx)
		cancel()
		_, _, err := r.Load(stop, name)
		codedAs(t, err, fault.Canceled)
		_, err = r.List(stop, "state/")
		codedAs(t, err, fault.Canceled)
		_, err = r.Store(stop, name, []byte("two"), tag)
		codedAs(t, err, fault.Canceled)
		has(t, r, "one", tag)
	})

	for _, bad := range []string{"", "/abs", "state/", "a\nb"} {
		t.Run(fmt.Sprintf("%q is not a name", bad), func(t *testing.T) {
			r := open(t)
			_, err := r.Store(ctx, bad, []byte("x"), "")
			codedAs(t, err, fault.Internal)
			_, _, err = r.Load(ctx, bad)
			codedAs(t, err, fault.Internal)
		})
	}
}

// oneWins lets several store different documents with the same tag.
func oneWins(t *testing.T, r workflow.Registers, name, tag string) {
	t.Helper()
	ctx := context.Background()
	docs := make([]string, 8)
	var mu sync.Mutex
	won := map[string]string{}
	var wg sync.WaitGroup
	for i := range docs {
		docs[i] = fmt.Sprintf(`{"run":"%d"}`, i)
		wg.Go(func() {
			switch got, err := r.Store(ctx, name, []byte(docs[i]), tag); {
			case err == nil:
				mu.Lock()
				defer mu.Unlock()
				won[docs[i]] = got
			case fault.CodeOf(err) != fault.Changed:
				t.Error(err)
			}
		})
	}

	wg.Wait()
	doc, now, err := r.Load(ctx, name)
	if err != nil || len(won) != 1 || won[string(doc)] != now {
		t.Fatalf("%v won; the register has %s, tag %s, %v", won, doc, now, err)
	}
}
