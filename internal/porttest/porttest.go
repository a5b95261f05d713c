// Package porttest has one conformance suite for each port of engine and workflow, a file for each.
// Each adapter passes the suite of its port: localport, awsport and memport. So what a test proves
// with an account in memory also holds for a folder and for a bucket.
//
// A suite gets a function that opens a fresh, empty implementation, and uses only its port. If a port
// waits between attempts, the opener returns one that does not.
package porttest

import (
	"bytes"
	"io"
	"testing"

	"github.com/layersmith/layersmith/internal/engine"
)

// contents reads all of a blob and closes it.
func contents(t *testing.T, b engine.Blob) []byte {
	t.Helper()
	defer b.Close()
	got, err := io.ReadAll(io.NewSectionReader(b, 0, b.Size()))
	if err != nil {
		t.Fatal(err)
	}

	return got
}

func pattern(n int) []byte    { return bytes.Repeat([]byte("0123456789abcdef"), n/16+1)[:n] }
func clone(b []byte) []byte   { return append([]byte{}, b...) }
func flipped(b []byte) []byte { c := clone(b); c[len(c)/2] ^= 1; return c }
