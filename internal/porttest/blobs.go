package porttest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"

	"github.com/layersmith/layersmith/internal/blob"
	"github.com/layersmith/layersmith/internal/digest"
	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/workflow"
)

// Blobs is the suite of workflow.Blobs.
func Blobs(t *testing.T, open func(t *testing.T) workflow.Blobs) {
	start := func(t *testing.T) blobsTest { return blobsTest{t, open(t)} }
	for name, content := range map[string]string{
		"no bytes":          "",
		"a few bytes":       "{}\n",
		"several megabytes": string(pattern(3<<20 + 7)),
	} {
		with := func(test func(b blobsTest, content string)) func(blobsTest) {
			return func(b blobsTest) { test(b, content) }
		}
		t.Run(name, func(t *testing.T) {
			runTests(t, start, []namedTest[blobsTest]{
				{"are stored under their digest", with(blobsTest.underDigest)},
				{"are read at any offset, up to the end", with(blobsTest.readAt)},
				{"are not stored if the write fails", with(blobsTest.failingWrite)},
				{"do not match a reference of another size or digest", with(blobsTest.mismatch)},
				{"stay readable while other objects are stored", with(blobsTest.openedBefore)},
			})
		})
	}

	runTests(t, start, []namedTest[blobsTest]{
		{"the same bytes again give the same reference", blobsTest.sameReference},
		{"prefix and suffix are part of the key", blobsTest.prefixAndSuffix},
		{"a fault of the writer is returned as it is", blobsTest.faultOfWriter},
		{"a canceled write stores nothing", blobsTest.canceledWrite},
		{"a deadline is TimedOut", blobsTest.deadline},
		{"an absent object is NotFound", blobsTest.absentObject},
		{"concurrent writes of the same bytes give the same reference", blobsTest.concurrentWrites},
		{"bad prefixes are refused", blobsTest.badPrefixes},
	})
}

const (
	blobPrefix = "documents/"
	blobSuffix = ".json"
)

type blobsTest struct {
	*testing.T
	workflow.Blobs
}

func (b blobsTest) put(content string) blob.Ref {
	b.Helper()
	return must(b.Put(b.Context(), blobPrefix, blobSuffix, writing(content)))(b)
}

// refTo is the reference of a content, whether it is stored or not.
func refTo(content string) blob.Ref {
	sum := digest.Of([]byte(content))
	return blob.Ref{Key: blobPrefix + sum.String() + blobSuffix, SHA256: sum, Size: int64(len(content))}
}

// has expects that a reference can be read.
func (b blobsTest) has(ref blob.Ref, want string) {
	b.Helper()
	opened := must(b.Open(b.Context(), ref))(b)
	if opened.Size() != int64(len(want)) {
		b.Errorf("Size is %d, want %d", opened.Size(), len(want))
	}

	if got := readAll(b, opened); string(got) != want {
		b.Fatalf("Open has %.40q (%d bytes), want %.40q", got, len(got), want)
	}
}

// cannotOpen expects that Open fails.
func (b blobsTest) cannotOpen(ref blob.Ref, want fault.Code) {
	b.Helper()
	opened, err := b.Open(b.Context(), ref)
	if err == nil {
		opened.Close()
	}

	wantFault(b, fmt.Sprintf("open %d bytes, sha256 %s", ref.Size, ref.SHA256.Short()), err, want)
}

func (b blobsTest) underDigest(content string) {
	ref := b.put(content)
	want := refTo(content)
	if ref.Key != want.Key || ref.SHA256 != want.SHA256 || ref.Size != want.Size {
		b.Errorf("reference %+v, want %+v", ref, want)
	}

	b.has(ref, content)
}

func (b blobsTest) readAt(content string) {
	opened := must(b.Open(b.Context(), b.put(content)))(b)
	end := int64(len(content))
	middle := end / 2

	got := make([]byte, end-middle)
	n, err := opened.ReadAt(got, middle)
	if n != len(got) || err != nil && err != io.EOF { //nolint:errorlint // io.ReaderAt
		b.Fatalf("%d of %d bytes, %v", n, len(got), err)
	}

	if string(got) != content[middle:] {
		b.Error("other bytes")
	}

	n, err = opened.ReadAt(make([]byte, 1), end)
	if n != 0 || err != io.EOF { //nolint:errorlint // io.ReaderAt
		b.Errorf("behind the end: %d bytes, %v", n, err)
	}

	if err := opened.Close(); err != nil {
		b.Error(err)
	}
}

func (b blobsTest) failingWrite(content string) {
	failure := errors.New("no more")
	_, err := b.Put(b.Context(), blobPrefix, blobSuffix, writingThenFailing(content, failure))
	if !errors.Is(err, failure) {
		b.Fatalf("error %v, want %v", err, failure)
	}

	b.cannotOpen(refTo(content), fault.NotFound)
}

func (b blobsTest) mismatch(content string) {
	good := b.put(content)
	longer := good
	longer.Size++
	b.cannotOpen(longer, fault.HashMismatch)

	if good.Size > 0 {
		shorter := good
		shorter.Size--
		b.cannotOpen(shorter, fault.HashMismatch)
	}

	other := good
	other.SHA256 = digest.Of([]byte("other"))
	b.cannotOpen(other, fault.HashMismatch)

	b.has(good, content)
}

func (b blobsTest) openedBefore(content string) {
	ref := b.put(content)
	opened := must(b.Open(b.Context(), ref))(b)
	b.put(content + "more")
	b.has(ref, content)
	if got := readAll(b, opened); string(got) != content {
		b.Errorf("it has %d other bytes", len(got))
	}
}

func (b blobsTest) sameReference() {
	first := b.put("one")
	b.put("two")
	if again := b.put("one"); again != first {
		b.Errorf("got %+v, then %+v", first, again)
	}
}

func (b blobsTest) prefixAndSuffix() {
	first := b.put("one")
	other := must(b.Put(b.Context(), "artifacts/", ".zip", writing("one")))(b)
	if other.Key == first.Key || !strings.HasPrefix(other.Key, "artifacts/") ||
		!strings.HasSuffix(other.Key, ".zip") {
		b.Errorf("keys %s and %s", first.Key, other.Key)
	}

	b.has(other, "one")
	b.has(first, "one")
}

func (b blobsTest) faultOfWriter() {
	_, err := b.Put(b.Context(), blobPrefix, blobSuffix, func(io.Writer) error {
		return fault.New(fault.CorruptArchive, "prune", "", nil)
	})
	wantFault(b, "put", err, fault.CorruptArchive)
}

func (b blobsTest) canceledWrite() {
	ctx, cancel := context.WithCancel(b.Context())
	_, err := b.Put(ctx, blobPrefix, blobSuffix, func(w io.Writer) error {
		cancel()
		return writing("two")(w)
	})
	wantFault(b, "put", err, fault.Canceled)
	if !errors.Is(err, context.Canceled) {
		b.Errorf("error %v, want context.Canceled in its chain", err)
	}

	b.cannotOpen(refTo("two"), fault.NotFound)
}

func (b blobsTest) deadline() {
	ref := b.put("one")
	ctx, cancel := context.WithTimeout(b.Context(), -1)
	defer cancel()

	_, err := b.Put(ctx, blobPrefix, blobSuffix, writing("two"))
	wantFault(b, "put", err, fault.TimedOut)
	_, err = b.Open(ctx, ref)
	wantFault(b, "open", err, fault.TimedOut)
}

func (b blobsTest) absentObject() { b.cannotOpen(refTo("never"), fault.NotFound) }

func (b blobsTest) concurrentWrites() {
	content := string(pattern(200_000))
	refs := make([]blob.Ref, 8)
	var wg sync.WaitGroup
	for i := range refs {
		wg.Go(func() {
			var err error
			if refs[i], err = b.Put(b.Context(), blobPrefix, blobSuffix, writing(content)); err != nil {
				b.Error(err)
			}
		})
	}

	wg.Wait()
	for _, ref := range refs {
		if ref != refs[0] {
			b.Fatalf("references %+v and %+v", refs[0], ref)
		}
	}

	b.has(refs[0], content)
}

func (b blobsTest) badPrefixes() {
	for _, bad := range []string{"/abs/", "a\nb/", strings.Repeat("long", 300)} {
		if ref, err := b.Put(b.Context(), bad, blobSuffix, writing("x")); err == nil {
			b.Errorf("prefix %.10q: Put returned %+v", bad, ref)
		}
	}
}
