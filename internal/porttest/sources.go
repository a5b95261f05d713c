package porttest

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/workflow"
)

// PushedSources are Sources and the other side of them: whoever pushes.
type PushedSources interface {
	workflow.Sources
	Put(ctx context.Context, name string, content []byte) error
	Delete(ctx context.Context, name string) error
}

// Sources is the suite of workflow.Sources. open returns a workspace without files.
func Sources(t *testing.T, open func(t *testing.T) PushedSources) {
	ctx := context.Background()
	const limit = 1 << 20
	put := func(t *testing.T, s PushedSources, name, content string) {
		t.Helper()
		if err := s.Put(ctx, name, []byte(content)); err != nil {
			t.Fatal(err)
		}
	}
	list := func(t *testing.T, s PushedSources) []workflow.Source {
		t.Helper()
		all, err := s.List(ctx)
		if err != nil {
			t.Fatal(err)
		}

		return all
	}
	names := func(all []workflow.Source) string {
		var out []string
		for _, f := range all {
			out = append(out, f.Name)
		}

		return strings.Join(out, "|")
	}
	only := func(t *testing.T, s PushedSources) workflow.Source {
		t.Helper()
		all := list(t, s)
		if len(all) != 1 {
			t.Fatalf("listed %s, want one file", names(all))
		}

		return all[0]
	}
	has := func(t *testing.T, s PushedSources, f workflow.Source, want string) {
		t.Helper()
		b, err := s.Read(ctx, f, limit)
		if err != nil || string(b) != want {
			t.Fatalf("Read = %.40q (%d bytes), %v; want %.40q", b, len(b), err, want)
		}
	}
	// hadOrChanged: a bucket that keeps versions still has what was listed, another one says that
	// it changed; none gives out something else.
	hadOrChanged := func(t *testing.T, s PushedSources, f workflow.Source, want string) {
		t.Helper()
		if b, err := s.Read(ctx, f, limit); err == nil && string(b) != want ||
			err != nil && fault.CodeOf(err) != fault.Changed {
			t.Fatalf("Read = %q, %v; want %q or fault Changed", b, err, want)
		}
	}

	t.Run("an empty workspace has no files", func(t *testing.T) {
		if all := list(t, open(t)); len(all) > 0 {
			t.Errorf("listed %s", names(all))
		}
	})

	t.Run("files are listed by name, and read", func(t *testing.T) {
		s := open(t)
		for _, n := range []string{
			"web/requirements.txt", "workspace.yaml", "data science/layer.yaml",
			"data/wörd+ä.txt", "data-2/a&b=c.txt", "data/100%.txt",
		} {
			put(t, s, n, "content of "+n)
		}

		all := list(t, s)
		if got, want := names(
			all,
		), "data science/layer.yaml|data-2/a&b=c.txt|data/100%.txt|data/wörd+ä.txt|web/requirements.txt|workspace.yaml"; got != want {
			t.Fatalf("listed %s, want %s", got, want)
		}

		for _, f := range all {
			if f.Size != int64(len("content of "+f.Name)) || f.ETag == "" || f.Modified.IsZero() {
				t.Errorf("listed %+v", f)
			}

			has(t, s, f, "content of "+f.Name)
		}
	})

	t.Run("an empty file is a file", func(t *testing.T) {
		s := open(t)
		put(t, s, "x/__init__.py", "")
		has(t, s, only(t, s), "")
	})

	t.Run("a file that was pushed again is listed once, as it is now", func(t *testing.T) {
		s := open(t)
		put(t, s, "workspace.yaml", "one")
		before := only(t, s)
		put(t, s, "workspace.yaml", "twos")
		now := only(t, s)
		if now.ETag == before.ETag || now.Size != 4 {
			t.Errorf("listed %+v, before %+v", now, before)
		}

		has(t, s, now, "twos")
		hadOrChanged(t, s, before, "one")
	})

	t.Run("the same content has the same ETag", func(t *testing.T) {
		s := open(t)
		put(t, s, "a", "one")
		before := only(t, s)
		put(t, s, "a", "two")
		put(t, s, "a", "one")
		if now := only(t, s); now.ETag != before.ETag {
			t.Errorf("ETags %s and %s", before.ETag, now.ETag)
		}
	})

	t.Run("a file that was deleted is not listed", func(t *testing.T) {
		s := open(t)
		put(t, s, "a", "one")
		put(t, s, "b", "two")
		listed := list(t, s)
		if err := s.Delete(ctx, "a"); err != nil {
			t.Fatal(err)
		}

		if got := names(list(t, s)); got != "b" {
			t.Errorf("listed %s, want b", got)
		}

		hadOrChanged(t, s, listed[0], "one")
		put(t, s, "a", "three")
		if got := names(list(t, s)); got != "a|b" {
			t.Errorf("listed %s, want a and b again", got)
		}

		has(t, s, list(t, s)[0], "three")
	})

	t.Run("to delete what is gone is no error", func(t *testing.T) {
		if err := open(t).Delete(ctx, "a"); err != nil {
			t.Error(err)
		}
	})

	t.Run("what was never listed has changed", func(t *testing.T) {
		_, err := open(t).Read(ctx, workflow.Source{Name: "a", ETag: "00000000000000000000000000000000", Size: 1}, limit)
		codedAs(t, err, fault.Changed)
	})

	t.Run("a file is read up to the limit", func(t *testing.T) {
		s := open(t)
		put(t, s, "a", "12345")
		f := only(t, s)
		if b, err := s.Read(ctx, f, 5); err != nil || string(b) != "12345" {
			t.Errorf("at the limit: %q, %v", b, err)
		}

		_, err := s.Read(ctx, f, 4)
		codedAs(t, err, fault.BadInput)
		f.Size = 1 // of which a listing may say anything
		_, err = s.Read(ctx, f, 4)
		codedAs(t, err, fault.BadInput)
	})

	t.Run("what is canceled is not done", func(t *testing.T) {
		s := open(t)
		put(t, s, "a", "one")
		stop, cancel := context.WithCancel(ctx)
		cancel()
		_, err := s.List(stop)
		codedAs(t, err, fault.Canceled)
		_, err = s.Read(stop, only(t, s), limit)
		codedAs(t, err, fault.Canceled)
		codedAs(t, s.Put(stop, "a", []byte("two")), fault.Canceled)
		codedAs(t, s.Delete(stop, "a"), fault.Canceled)
		has(t, s, only(t, s), "one")
	})

	for _, bad := range []string{"", "/abs", "../out", "a/../../out", "a//b", "a/", "./a", `a\b`, "a\nb", "a\x01b"} {
		t.Run(fmt.Sprintf("%q is not a name", bad), func(t *testing.T) {
			s := open(t)
			codedAs(t, s.Put(ctx, bad, []byte("x")), fault.BadInput)
			if all := list(t, s); len(all) > 0 {
				t.Errorf("listed %s", names(all))
			}
		})
	}
}
