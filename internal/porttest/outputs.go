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

// Outputs is the suite of engine.Outputs.
func Outputs(t *testing.T, open func(t *testing.T) engine.Outputs) {
	start := func(t *testing.T) outputsTest { return outputsTest{t, open(t)} }
	runTests(t, start, []namedTest[outputsTest]{
		{"an absent output does not exist", outputsTest.absentOutput},
		{"an output is read, and replaced", outputsTest.replaced},
		{"a failing write leaves the old file", outputsTest.failingWrite},
		{"a failing first write leaves no file", outputsTest.failingFirstWrite},
		{"a canceled write leaves the old file", outputsTest.canceledWrite},
		{"an open reader keeps the file that it opened", outputsTest.openedBefore},
		{"concurrent writes leave one of them whole", outputsTest.concurrentWrites},
		{"bad names are refused", outputsTest.badNames},
	})
}

// outputName is the file that the suite writes.
const outputName = "demo-python3.13-x86_64.zip"

type outputsTest struct {
	*testing.T
	engine.Outputs
}

func (o outputsTest) write(content string) {
	o.Helper()
	succeeds(o, o.Write(o.Context(), outputName, writing(content)))
}

func (o outputsTest) has(want string) {
	o.Helper()
	b, err := o.Read(o.Context(), outputName)
	if err != nil || string(b) != want {
		o.Fatalf("Read = %q, %v; want %q", b, err, want)
	}

	opened := must(o.Open(o.Context(), outputName))(o)
	if got := readAll(o, opened); string(got) != want {
		o.Fatalf("Open has %q, want %q", got, want)
	}
}

func (o outputsTest) absentOutput() {
	o.Helper()
	if _, err := o.Read(o.Context(), outputName); !errors.Is(err, fs.ErrNotExist) {
		o.Errorf("Read: %v, want fs.ErrNotExist", err)
	}

	if _, err := o.Open(o.Context(), outputName); !errors.Is(err, fs.ErrNotExist) {
		o.Errorf("Open: %v, want fs.ErrNotExist", err)
	}
}

func (o outputsTest) replaced() {
	for _, content := range []string{"one", "", "three"} {
		o.write(content)
		o.has(content)
	}
}

func (o outputsTest) failingWrite() {
	o.write("one")
	failure := errors.New("no more")
	err := o.Write(o.Context(), outputName, writingThenFailing("half", failure))
	if !errors.Is(err, failure) {
		o.Fatalf("error %v, want %v", err, failure)
	}

	o.has("one")
}

func (o outputsTest) failingFirstWrite() {
	failure := errors.New("no more")
	err := o.Write(o.Context(), outputName, func(io.Writer) error { return failure })
	if err == nil {
		o.Fatal("no error")
	}

	o.absentOutput()
}

func (o outputsTest) canceledWrite() {
	o.write("one")
	ctx, cancel := context.WithCancel(o.Context())
	err := o.Write(ctx, outputName, func(w io.Writer) error {
		cancel()
		return writing("two")(w)
	})
	if !errors.Is(err, context.Canceled) {
		o.Fatalf("error %v, want context.Canceled", err)
	}

	o.has("one")
}

func (o outputsTest) openedBefore() {
	o.write("one")
	opened := must(o.Open(o.Context(), outputName))(o)
	o.write("second")
	if got := readAll(o, opened); string(got) != "one" {
		o.Fatalf("it reads %q, want the file that it opened", got)
	}
}

func (o outputsTest) concurrentWrites() {
	const size = 100_000
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			content := strings.Repeat(fmt.Sprint(i), size)
			if err := o.Write(o.Context(), outputName, writing(content)); err != nil {
				o.Error(err)
			}
		})
	}

	wg.Wait()
	b := must(o.Read(o.Context(), outputName))(o)
	if len(b) != size || !bytes.Equal(b, bytes.Repeat(b[:1], size)) {
		o.Fatalf("%d bytes of more than one write", len(b))
	}
}

func (o outputsTest) badNames() {
	for _, bad := range []string{"", ".", "..", "a/b", "/a", "../a", `a\b`, ".hidden"} {
		if err := o.Write(o.Context(), bad, writing("x")); err == nil {
			o.Errorf("Write accepts the name %q", bad)
		}

		if _, err := o.Read(o.Context(), bad); err == nil || errors.Is(err, fs.ErrNotExist) {
			o.Errorf("Read %q: %v, want it refused", bad, err)
		}

		if _, err := o.Open(o.Context(), bad); err == nil || errors.Is(err, fs.ErrNotExist) {
			o.Errorf("Open %q: %v, want it refused", bad, err)
		}
	}
}
