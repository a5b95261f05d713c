package porttest

import (
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
	start := func(t *testing.T) registersTest { return registersTest{t, open(t)} }
	loaded := func(doc string) func(registersTest) {
		return func(r registersTest) { r.has(doc, r.store(doc, "")) }
	}
	runTests(t, start, []namedTest[registersTest]{
		{"an absent document is NotFound", registersTest.absentDocument},
		{"a document is loaded with the tag of Store", loaded(`{"run":"1"}`)},
		{"an empty document is loaded", loaded("")},
		{"a document of 1 MiB is loaded", loaded(string(pattern(1 << 20)))},
		{"a document is created only once", registersTest.createdOnce},
		{"a document is created only once, even of the same bytes", registersTest.sameBytesCreatedOnce},
		{"a tag allows one change", registersTest.tagAllowsOneChange},
		{"a tag does not create a document", registersTest.tagCreatesNothing},
		{"documents do not share bytes with the caller", registersTest.copies},
		{"names are listed by prefix, sorted", registersTest.listed},
		{"of concurrent writers one creates it", registersTest.concurrentCreate},
		{"of concurrent writers one changes it", registersTest.concurrentChange},
		{"no concurrent change is lost", registersTest.concurrentCount},
		{"the largest document is stored, a larger one is not", registersTest.largest},
		{"a canceled call does nothing", registersTest.canceled},
		{"bad names are refused", registersTest.badNames},
	})
}

// registerName is the document that the suite changes.
const registerName = "state/lease.json"

type registersTest struct {
	*testing.T
	workflow.Registers
}

func (r registersTest) store(doc, tag string) string {
	r.Helper()
	return r.storeAs(registerName, doc, tag)
}

func (r registersTest) storeAs(name, doc, tag string) string {
	r.Helper()
	stored := must(r.Store(r.Context(), name, []byte(doc), tag))(r)
	if stored == "" {
		r.Fatal("Store returned no tag")
	}

	return stored
}

func (r registersTest) cannotStore(doc, tag string, want fault.Code) {
	r.Helper()
	_, err := r.Store(r.Context(), registerName, []byte(doc), tag)
	wantFault(r, "store", err, want)
}

func (r registersTest) has(want, wantTag string) {
	r.Helper()
	doc, tag, err := r.Load(r.Context(), registerName)
	if err != nil || string(doc) != want || tag != wantTag {
		r.Fatalf("Load = %.40q (%d bytes), %q, %v; want %.40q, %q", doc, len(doc), tag, err, want, wantTag)
	}
}

func (r registersTest) absentDocument() {
	r.Helper()
	_, _, err := r.Load(r.Context(), registerName)
	wantFault(r, "load", err, fault.NotFound)
}

func (r registersTest) createdOnce() {
	tag := r.store("one", "")
	r.cannotStore("two", "", fault.Changed)
	r.has("one", tag)
}

func (r registersTest) sameBytesCreatedOnce() {
	r.store("one", "")
	r.cannotStore("one", "", fault.Changed)
}

func (r registersTest) tagAllowsOneChange() {
	first := r.store("one", "")
	second := r.store("two", first)
	if first == second {
		r.Fatalf("another document has the same tag %q", first)
	}

	r.cannotStore("three", first, fault.Changed)
	r.has("two", second)
	r.has("three", r.store("three", second))
}

func (r registersTest) tagCreatesNothing() {
	tag := r.storeAs("state/other.json", "one", "")
	r.cannotStore("two", tag, fault.Changed)
	r.absentDocument()
}

func (r registersTest) copies() {
	doc := []byte("one")
	tag := must(r.Store(r.Context(), registerName, doc, ""))(r)
	doc[0] = 'x'

	loaded, _, err := r.Load(r.Context(), registerName)
	succeeds(r, err)
	loaded[0] = 'y'

	r.has("one", tag)
}

func (r registersTest) listed() {
	for _, name := range []string{
		"runs/b/change-2.json", "runs/b/change-10.json", "runs/a/run.json",
		"runs/bb/run.json", "state/released.json", "runs/b/Z.json",
	} {
		r.storeAs(name, name, "")
	}

	for prefix, want := range map[string]string{
		"runs/b/":       "runs/b/Z.json runs/b/change-10.json runs/b/change-2.json",
		"runs/b":        "runs/b/Z.json runs/b/change-10.json runs/b/change-2.json runs/bb/run.json",
		"runs/b/change": "runs/b/change-10.json runs/b/change-2.json",
		"runs/none/":    "",
		"state/":        "state/released.json",
	} {
		got, err := r.List(r.Context(), prefix)
		if err != nil || strings.Join(got, " ") != want {
			r.Errorf("List(%q) = %q, %v; want %q", prefix, got, err, want)
		}
	}
}

func (r registersTest) concurrentCreate() { r.oneWriterWins("") }

func (r registersTest) concurrentChange() { r.oneWriterWins(r.store("start", "")) }

// oneWriterWins stores different documents with the same tag at once.
func (r registersTest) oneWriterWins(tag string) {
	r.Helper()
	var mu sync.Mutex
	won := map[string]string{} // document to tag
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			doc := fmt.Sprintf(`{"run":"%d"}`, i)
			got, err := r.Store(r.Context(), registerName, []byte(doc), tag)
			if err == nil {
				mu.Lock()
				defer mu.Unlock()

				won[doc] = got
			} else if fault.CodeOf(err) != fault.Changed {
				r.Error(err)
			}
		})
	}

	wg.Wait()
	doc, now, err := r.Load(r.Context(), registerName)
	if err != nil || len(won) != 1 || won[string(doc)] != now {
		r.Fatalf("%v were stored; the register has %s, tag %s, %v", won, doc, now, err)
	}
}

func (r registersTest) concurrentCount() {
	const writers = 4
	const each = 5
	r.store("0", "")
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			for done := 0; done < each; {
				stored, err := r.increment()
				if err != nil {
					r.Error(err)
					return
				}

				if stored {
					done++
				}
			}
		})
	}

	wg.Wait()
	if doc, _, err := r.Load(r.Context(), registerName); err != nil || string(doc) != strconv.Itoa(writers*each) {
		r.Fatalf("counted %s, %v; want %d", doc, err, writers*each)
	}
}

// increment adds one to the number in the register, unless another writer was faster.
func (r registersTest) increment() (stored bool, err error) {
	doc, tag, err := r.Load(r.Context(), registerName)
	if err != nil {
		return false, err
	}

	n, err := strconv.Atoi(string(doc))
	if err != nil {
		return false, err
	}

	_, err = r.Store(r.Context(), registerName, []byte(strconv.Itoa(n+1)), tag)
	if fault.CodeOf(err) == fault.Changed {
		return false, nil
	}

	return err == nil, err
}

func (r registersTest) largest() {
	doc := string(pattern(release.MaxDocumentBytes))
	tag := r.store(doc, "")
	r.cannotStore(doc+"x", tag, fault.OverLimit)
	r.has(doc, tag)
}

func (r registersTest) canceled() {
	tag := r.store("one", "")
	ctx := canceledContext(r)
	_, _, err := r.Load(ctx, registerName)
	wantFault(r, "load", err, fault.Canceled)
	_, err = r.List(ctx, "state/")
	wantFault(r, "list", err, fault.Canceled)
	_, err = r.Store(ctx, registerName, []byte("two"), tag)
	wantFault(r, "store", err, fault.Canceled)
	r.has("one", tag)
}

func (r registersTest) badNames() {
	for _, bad := range []string{"", "/abs", "state/", "a\nb"} {
		_, err := r.Store(r.Context(), bad, []byte("x"), "")
		wantFault(r, fmt.Sprintf("store %q", bad), err, fault.Internal)
		_, _, err = r.Load(r.Context(), bad)
		wantFault(r, fmt.Sprintf("load %q", bad), err, fault.Internal)
	}
}
