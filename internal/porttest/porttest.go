// Package porttest holds one conformance suite for each port of internal/stage. Every adapter and
// every fake passes the suite of its port, so that what stage's tests prove with a fake holds for a
// folder and for a bucket.
//
// A suite gets a function that opens a fresh, empty implementation; it knows nothing but the port.
// Where a port waits before it tries again, the opener hands out one that does not. The fakes that
// stage's tests need live here too, beside the suite that keeps them honest.
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

// blob is a Blob of bytes in memory.
type blob struct{ *bytes.Reader }

func newBlob(b []byte) blob   { return blob{bytes.NewReader(b)} }
func (blob) Close() error     { return nil }
func (b blob) Size() int64    { return b.Reader.Size() }
func pattern(n int) []byte    { return bytes.Repeat([]byte("0123456789abcdef"), n/16+1)[:n] }
func clone(b []byte) []byte   { return append([]byte{}, b...) }
func flipped(b []byte) []byte { c := clone(b); c[len(c)/2] ^= 1; return c }
