package porttest

import (
	"archive/zip"
	"bytes"
	"io"
	"strings"
	"testing"

	"github.com/layersmith/layersmith/internal/ziptree"
)

// Tree makes a tree of "name=content"; a name that ends with * is executable.
func Tree(t testing.TB, files ...string) ziptree.Tree {
	t.Helper()
	var entries []ziptree.Entry
	for _, f := range files {
		name, content, _ := strings.Cut(f, "=")
		name, exec := strings.CutSuffix(name, "*")
		e := ziptree.File(name, []byte(content), "test")
		e.Exec = exec
		entries = append(entries, e)
	}

	return must(ziptree.New(entries))(t)
}

// zipOf makes a zip of "name=content".
func zipOf(t testing.TB, files ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, f := range files {
		name, content, _ := strings.Cut(f, "=")
		entry := must(w.Create(name))(t)
		must(io.WriteString(entry, content))(t)
	}

	succeeds(t, w.Close())

	return b.Bytes()
}

// pattern makes n bytes of text.
func pattern(n int) []byte { return bytes.Repeat([]byte("0123456789abcdef"), n/16+1)[:n] }

// flipped returns a copy with one bit changed.
func flipped(b []byte) []byte {
	c := bytes.Clone(b)
	c[len(c)/2] ^= 1

	return c
}

// writing returns a function that writes s.
func writing(s string) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := io.WriteString(w, s)
		return err
	}
}

// writingThenFailing returns a function that writes s and fails.
func writingThenFailing(s string, failure error) func(io.Writer) error {
	return func(w io.Writer) error {
		if err := writing(s)(w); err != nil {
			return err
		}

		return failure
	}
}
