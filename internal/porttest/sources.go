package porttest

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/workflow"
)

// PushedSources is workflow.Sources with the methods of the side that pushes.
type PushedSources interface {
	workflow.Sources
	Put(ctx context.Context, name string, content []byte) error
	Delete(ctx context.Context, name string) error
}

// Sources is the suite of workflow.Sources. open returns a workspace without files.
func Sources(t *testing.T, open func(t *testing.T) PushedSources) {
	start := func(t *testing.T) sourcesTest { return sourcesTest{t, open(t)} }
	runTests(t, start, []namedTest[sourcesTest]{
		{"an empty workspace has no files", sourcesTest.empty},
		{"files are listed by name and read", sourcesTest.listedAndRead},
		{"an empty file is a file", sourcesTest.emptyFile},
		{"a file that was pushed again is listed once, as it is now", sourcesTest.pushedAgain},
		{"the same content has the same ETag", sourcesTest.sameETag},
		{"a deleted file is not listed", sourcesTest.deleted},
		{"deleting an absent file is no error", sourcesTest.deleteAbsent},
		{"a version that does not exist is Changed", sourcesTest.absentVersion},
		{"a file is read up to the limit", sourcesTest.limit},
		{"a canceled call does nothing", sourcesTest.canceled},
		{"bad names are refused", sourcesTest.badNames},
	})
}

const sourceLimit = 1 << 20 // bytes

type sourcesTest struct {
	*testing.T
	PushedSources
}

func (s sourcesTest) put(name, content string) {
	s.Helper()
	succeeds(s, s.Put(s.Context(), name, []byte(content)))
}

func (s sourcesTest) list() []workflow.Source {
	s.Helper()
	return must(s.List(s.Context()))(s)
}

// wantNames compares the names of the listed files.
func (s sourcesTest) wantNames(want ...string) {
	s.Helper()
	var got []string
	for _, f := range s.list() {
		got = append(got, f.Name)
	}

	if !slices.Equal(got, want) {
		s.Fatalf("listed %q, want %q", got, want)
	}
}

// only returns the listed file if it is the only one.
func (s sourcesTest) only() workflow.Source {
	s.Helper()
	all := s.list()
	if len(all) != 1 {
		s.Fatalf("listed %+v, want one file", all)
	}

	return all[0]
}

func (s sourcesTest) has(f workflow.Source, want string) {
	s.Helper()
	b, err := s.Read(s.Context(), f, sourceLimit)
	if err != nil || string(b) != want {
		s.Fatalf("Read = %.40q (%d bytes), %v; want %.40q", b, len(b), err, want)
	}
}

// hasOrChanged expects the old content or fault Changed. A bucket that keeps versions still has
// what was listed, another one does not. Neither may return the new content.
func (s sourcesTest) hasOrChanged(f workflow.Source, want string) {
	s.Helper()
	b, err := s.Read(s.Context(), f, sourceLimit)
	if err != nil {
		wantFault(s, "read", err, fault.Changed)
	} else if string(b) != want {
		s.Fatalf("Read = %q, want %q or fault Changed", b, want)
	}
}

func (s sourcesTest) empty() { s.wantNames() }

func (s sourcesTest) listedAndRead() {
	for _, name := range []string{
		"web/requirements.txt", "workspace.yaml", "data science/layer.yaml",
		"data/wörd+ä.txt", "data-2/a&b=c.txt", "data/100%.txt",
	} {
		s.put(name, "content of "+name)
	}

	s.wantNames("data science/layer.yaml", "data-2/a&b=c.txt", "data/100%.txt", "data/wörd+ä.txt",
		"web/requirements.txt", "workspace.yaml")

	for _, f := range s.list() {
		if f.Size != int64(len("content of "+f.Name)) || f.ETag == "" || f.Modified.IsZero() {
			s.Errorf("listed %+v", f)
		}

		s.has(f, "content of "+f.Name)
	}
}

func (s sourcesTest) emptyFile() {
	s.put("x/__init__.py", "")
	s.has(s.only(), "")
}

func (s sourcesTest) pushedAgain() {
	s.put("workspace.yaml", "one")
	before := s.only()
	s.put("workspace.yaml", "twos")
	now := s.only()
	if now.ETag == before.ETag || now.Size != 4 {
		s.Errorf("listed %+v, before %+v", now, before)
	}

	s.has(now, "twos")
	s.hasOrChanged(before, "one")
}

func (s sourcesTest) sameETag() {
	s.put("a", "one")
	before := s.only()
	s.put("a", "two")
	s.put("a", "one")
	if now := s.only(); now.ETag != before.ETag {
		s.Errorf("ETags %s and %s", before.ETag, now.ETag)
	}
}

func (s sourcesTest) deleted() {
	s.put("a", "one")
	s.put("b", "two")
	before := s.list()[0]
	succeeds(s, s.Delete(s.Context(), "a"))
	s.wantNames("b")
	s.hasOrChanged(before, "one")

	s.put("a", "three")
	s.wantNames("a", "b")
	s.has(s.list()[0], "three")
}

func (s sourcesTest) deleteAbsent() { succeeds(s, s.Delete(s.Context(), "a")) }

func (s sourcesTest) absentVersion() {
	never := workflow.Source{Name: "a", ETag: "00000000000000000000000000000000", Size: 1}
	_, err := s.Read(s.Context(), never, sourceLimit)
	wantFault(s, "read", err, fault.Changed)
}

func (s sourcesTest) limit() {
	s.put("a", "12345")
	f := s.only()
	if b, err := s.Read(s.Context(), f, 5); err != nil || string(b) != "12345" {
		s.Errorf("at the limit: %q, %v", b, err)
	}

	_, err := s.Read(s.Context(), f, 4)
	wantFault(s, "read above the limit", err, fault.BadInput)
	f.Size = 1 // the listed size is not trusted
	_, err = s.Read(s.Context(), f, 4)
	wantFault(s, "read above the limit", err, fault.BadInput)
}

func (s sourcesTest) canceled() {
	s.put("a", "one")
	ctx := canceledContext(s)
	_, err := s.List(ctx)
	wantFault(s, "list", err, fault.Canceled)
	_, err = s.Read(ctx, s.only(), sourceLimit)
	wantFault(s, "read", err, fault.Canceled)
	wantFault(s, "put", s.Put(ctx, "a", []byte("two")), fault.Canceled)
	wantFault(s, "delete", s.Delete(ctx, "a"), fault.Canceled)
	s.has(s.only(), "one")
}

func (s sourcesTest) badNames() {
	for _, bad := range []string{
		"", "/abs", "../out", "a/../../out", "a//b", "a/", "./a", `a\b`, "a\nb", "a\x01b",
	} {
		wantFault(s, fmt.Sprintf("put %q", bad), s.Put(s.Context(), bad, []byte("x")), fault.BadInput)
	}

	s.wantNames()
}
