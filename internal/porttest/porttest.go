// Package porttest has one conformance suite for each port of engine and workflow, a file for each.
// Each adapter passes the suite of its port: localport, awsport and memport. So what a test proves
// with an account in memory also holds for a folder and for a bucket.
//
// A suite gets a function that opens a fresh, empty implementation, and uses only its port. If a
// port waits between attempts, the opener returns one that does not.
package porttest

import (
	"context"
	"io"
	"testing"

	"github.com/layersmith/layersmith/internal/engine"
	"github.com/layersmith/layersmith/internal/fault"
)

// namedTest is one test of a suite. S holds the running test and the implementation that it tests.
type namedTest[S any] struct {
	name string
	run  func(S)
}

// runTests runs each test of a suite with an S of its own.
func runTests[S any](t *testing.T, start func(t *testing.T) S, tests []namedTest[S]) {
	t.Helper()
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) { test.run(start(t)) })
	}
}

// must returns the value of a call, or ends the test: must(f())(t).
func must[T any](v T, err error) func(t testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		succeeds(t, err)

		return v
	}
}

// succeeds ends the test if there is an error.
func succeeds(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// wantFault ends the test unless the error of a call is a fault with that code.
func wantFault(t testing.TB, call string, err error, want fault.Code) {
	t.Helper()
	if err == nil {
		t.Fatalf("%s: no error, want %s", call, want)
	}

	if got := fault.CodeOf(err); got != want {
		t.Fatalf("%s: %s (%v), want %s", call, got, err, want)
	}
}

// readAll reads all of a blob and closes it.
func readAll(t testing.TB, b engine.Blob) []byte {
	t.Helper()
	defer b.Close()

	return must(io.ReadAll(io.NewSectionReader(b, 0, b.Size())))(t)
}

// canceledContext returns a context that was canceled.
func canceledContext(t testing.TB) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()

	return ctx
}
