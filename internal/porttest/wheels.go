package porttest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/layersmith/layersmith/internal/digest"
	"github.com/layersmith/layersmith/internal/engine"
	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/lock"
)

// Wheels is the suite of engine.WheelStore. open returns an empty store that does not wait between
// attempts.
func Wheels(t *testing.T, open func(t *testing.T) engine.WheelStore) {
	start := func(t *testing.T) wheelsTest { return newWheelsTest(t, open(t)) }
	runTests(t, start, []namedTest[wheelsTest]{
		{"an absent file does not exist", wheelsTest.absentFile},
		{"a stored file is read at any offset", wheelsTest.readAt},
		{"a file in the store is not downloaded again", wheelsTest.storedBefore},
		{"an unknown size is not checked", wheelsTest.unknownSize},
		{"other bytes of the right size are refused", wheelsTest.otherBytes},
		{"other bytes of an unknown size are refused", wheelsTest.otherBytesUnsized},
		{"more bytes than the index says are refused", wheelsTest.moreBytes},
		{"more bytes of an unknown size are refused", wheelsTest.moreBytesUnsized},
		{"bodies are closed", wheelsTest.bodiesClosed},
	})
	runTests(t, start, []namedTest[wheelsTest]{
		{"a body that is always too short is given up", wheelsTest.alwaysShort},
		{"a broken download resumes where it broke", wheelsTest.brokenDownload},
		{"the next call resumes the download of an earlier one", wheelsTest.interruptedCall},
		{"a damaged part is downloaded again", wheelsTest.damagedPart},
		{"a server that ignores the offset is read from the start", wheelsTest.offsetIgnored},
		{"a server that resumes at another offset is asked again", wheelsTest.otherOffset},
		{"an unreachable source is asked again", wheelsTest.unreachable},
		{"bad input is not asked for again", wheelsTest.badInput},
	})
	runTests(t, start, []namedTest[wheelsTest]{
		{"concurrent Puts of one file store one good file", wheelsTest.concurrentPuts},
		{"a Put beside one that is refused stores the good file", wheelsTest.besideRefusedPut},
		{"a canceled Put stores nothing", wheelsTest.canceled},
		{"a Put that waits for another one can be canceled", wheelsTest.canceledWhileWaiting},
	})
}

// wheelsTest is a test of a store that stores one file.
type wheelsTest struct {
	*testing.T
	engine.WheelStore
	content []byte
	file    lock.File // of content
	unsized lock.File // the same, if the index does not give the size
}

func newWheelsTest(t *testing.T, s engine.WheelStore) wheelsTest {
	content := pattern(100_000)
	w := wheelsTest{T: t, WheelStore: s, content: content}
	w.file = lock.File{Name: "demo-1.0-py3-none-any.whl", Size: int64(len(content)), SHA256: digest.Of(content)}
	w.unsized = w.file
	w.unsized.Size = 0

	return w
}

// put stores the file from a source, which must succeed.
func (w wheelsTest) put(from source) {
	w.Helper()
	succeeds(w, w.Put(w.Context(), w.file, from))
}

// isStored expects that the store has the file.
func (w wheelsTest) isStored() {
	w.Helper()
	b := must(w.Open(w.Context(), w.file.SHA256))(w)
	if got := readAll(w, b); !bytes.Equal(got, w.content) {
		w.Fatalf("the store has %d other bytes", len(got))
	}
}

// isAbsent expects that the store has no file with this digest.
func (w wheelsTest) isAbsent(sum digest.SHA256) {
	w.Helper()
	b, err := w.Open(w.Context(), sum)
	if err == nil {
		b.Close()
	}

	if !errors.Is(err, fs.ErrNotExist) {
		w.Fatalf("Open = %v, want fs.ErrNotExist", err)
	}
}

func (w wheelsTest) absentFile() { w.isAbsent(w.file.SHA256) }

func (w wheelsTest) readAt() {
	w.put(serve(w.content))
	w.isStored()

	b := must(w.Open(w.Context(), w.file.SHA256))(w)
	defer b.Close()

	part := make([]byte, 10)
	if _, err := b.ReadAt(part, 777); err != nil || !bytes.Equal(part, w.content[777:787]) {
		w.Fatalf("ReadAt = %q, %v", part, err)
	}
}

func (w wheelsTest) storedBefore() {
	w.put(serve(w.content))
	from := inTurn(failing(errors.New("the source must not be asked")))
	w.put(from.open)
	if len(from.offsets) > 0 {
		w.Error("the source was asked")
	}

	w.isStored()
}

func (w wheelsTest) unknownSize() {
	succeeds(w, w.Put(w.Context(), w.unsized, serve(w.content)))
	w.isStored()
}

func (w wheelsTest) otherBytes() { w.refuses(w.file, flipped(w.content)) }

func (w wheelsTest) otherBytesUnsized() { w.refuses(w.unsized, flipped(w.content)) }

func (w wheelsTest) moreBytes() { w.refuses(w.file, append(bytes.Clone(w.content), '!')) }

func (w wheelsTest) moreBytesUnsized() { w.refuses(w.unsized, append(bytes.Clone(w.content), '!')) }

// refuses expects that bytes without the digest are not stored, and that the store takes the good
// bytes after that.
func (w wheelsTest) refuses(f lock.File, bad []byte) {
	w.Helper()
	wantFault(w, "put", w.Put(w.Context(), f, serve(bad)), fault.HashMismatch)
	w.isAbsent(f.SHA256)
	w.isAbsent(digest.Of(bad))

	if err := w.Put(w.Context(), f, serve(w.content)); err != nil {
		w.Fatalf("the good bytes: %v", err)
	}

	w.isStored()
}

func (w wheelsTest) bodiesClosed() {
	from := inTurn(dropAfter(w.content, 10), serve(w.content))
	var opened, closed atomic.Int32
	w.put(func(ctx context.Context, offset int64) (io.ReadCloser, int64, error) {
		opened.Add(1)
		body, at, err := from.open(ctx, offset)

		return closing{body, func() { closed.Add(1) }}, at, err
	})
	if opened.Load() != closed.Load() {
		w.Fatalf("%d opened, %d closed", opened.Load(), closed.Load())
	}
}

func (w wheelsTest) alwaysShort() {
	from := inTurn(func(_ context.Context, offset int64) (io.ReadCloser, int64, error) {
		return io.NopCloser(bytes.NewReader(nil)), offset, nil
	})
	wantFault(w, "put", w.Put(w.Context(), w.file, from.open), fault.Unreachable)
	if len(from.offsets) < 2 {
		w.Fatalf("asked %d times", len(from.offsets))
	}

	w.isAbsent(w.file.SHA256)
}

func (w wheelsTest) brokenDownload() {
	from := inTurn(dropAfter(w.content, 1000), dropAfter(w.content, 1000), serve(w.content))
	w.put(from.open)
	if want := []int64{0, 1000, 2000}; !slices.Equal(from.offsets, want) {
		w.Fatalf("offsets %d, want %d", from.offsets, want)
	}

	w.isStored()
}

func (w wheelsTest) interruptedCall() {
	ctx, cancel := context.WithCancel(w.Context())
	err := w.Put(ctx, w.file, func(context.Context, int64) (io.ReadCloser, int64, error) {
		body := io.MultiReader(bytes.NewReader(w.content[:5000]), interrupt{cancel})
		return io.NopCloser(body), 0, nil
	})
	if !errors.Is(err, context.Canceled) {
		w.Fatalf("error %v, want context.Canceled", err)
	}

	w.isAbsent(w.file.SHA256)
	from := inTurn(serve(w.content))
	w.put(from.open)
	if from.offsets[0] != 5000 {
		w.Fatalf("resumed at %d, want 5000", from.offsets[0])
	}

	w.isStored()
}

func (w wheelsTest) damagedPart() {
	damaged := append(flipped(w.content[:5000]), w.content[5000:]...)
	from := inTurn(dropAfter(damaged, 5000), serve(w.content))
	w.put(from.open)
	w.isStored()
}

func (w wheelsTest) offsetIgnored() {
	from := inTurn(dropAfter(w.content, 5000), serveFrom(w.content, 0))
	w.put(from.open)
	if want := []int64{0, 5000}; !slices.Equal(from.offsets, want) {
		w.Fatalf("offsets %d, want %d", from.offsets, want)
	}

	w.isStored()
}

func (w wheelsTest) otherOffset() {
	from := inTurn(dropAfter(w.content, 5000), serveFrom(w.content, 7000), serve(w.content))
	w.put(from.open)
	w.isStored()
}

func (w wheelsTest) unreachable() {
	unreachable := failing(fault.New(fault.Unreachable, "fetch", "", errors.New("503")))
	from := inTurn(unreachable, unreachable, serve(w.content))
	w.put(from.open)
	w.isStored()
}

func (w wheelsTest) badInput() {
	from := inTurn(failing(fault.New(fault.BadInput, "fetch", "", errors.New("404"))))
	wantFault(w, "put", w.Put(w.Context(), w.file, from.open), fault.BadInput)
	if len(from.offsets) != 1 {
		w.Fatalf("asked %d times", len(from.offsets))
	}

	w.isAbsent(w.file.SHA256)
}

func (w wheelsTest) concurrentPuts() {
	var wg sync.WaitGroup
	errs := make([]error, 4)
	for i := range errs {
		wg.Go(func() { errs[i] = w.Put(w.Context(), w.file, serve(w.content)) })
	}

	wg.Wait()
	succeeds(w, errors.Join(errs...))
	w.isStored()
}

// besideRefusedPut has Puts wait while another one finds a mismatch. They must not continue the
// part that the other one discards.
func (w wheelsTest) besideRefusedPut() {
	bad := paused(serve(flipped(w.content)))
	var wg sync.WaitGroup
	wg.Go(func() {
		err := w.Put(w.Context(), w.file, bad.open)
		if fault.CodeOf(err) != fault.HashMismatch {
			w.Errorf("error %v, want HashMismatch", err)
		}
	})
	<-bad.began

	errs := make([]error, 3)
	for i := range errs {
		wg.Go(func() { errs[i] = w.Put(w.Context(), w.file, serve(w.content)) })
	}

	close(bad.proceed)
	wg.Wait()
	succeeds(w, errors.Join(errs...))
	w.isStored()
}

func (w wheelsTest) canceled() {
	err := w.Put(canceledContext(w), w.file, ended)
	if !errors.Is(err, context.Canceled) {
		w.Fatalf("error %v, want context.Canceled", err)
	}

	w.isAbsent(w.file.SHA256)
}

func (w wheelsTest) canceledWhileWaiting() {
	first := paused(serve(w.content))
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := w.Put(w.Context(), w.file, first.open); err != nil {
			w.Error(err)
		}
	})
	<-first.began

	err := w.Put(canceledContext(w), w.file, ended)
	close(first.proceed)
	wg.Wait()
	if !errors.Is(err, context.Canceled) {
		w.Fatalf("error %v, want context.Canceled", err)
	}

	w.isStored()
}
