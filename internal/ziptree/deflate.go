package ziptree

import (
	"archive/zip"
	"bytes"
	"io"
	"sync"

	"github.com/klauspost/compress/flate"
)

// DeflateVersion names how Deflate compresses; it belongs to the key of everything that caches its output.
const DeflateVersion = "flate-8.1"

var deflaters = sync.Pool{New: func() any {
	w, err := flate.NewWriter(io.Discard, 8)
	if err != nil {
		panic(err) // the level is a constant
	}
	return w
}}

// Deflate compresses b (RFC 1951).
func Deflate(b []byte) []byte {
	var out bytes.Buffer
	out.Grow(len(b)/3 + 64)
	w := deflaters.Get().(*flate.Writer)
	defer deflaters.Put(w)
	w.Reset(&out)
	w.Write(b) // writing to a bytes.Buffer does not fail
	w.Close()
	return out.Bytes()
}

var inflaters sync.Pool

// inflate returns a reader of deflated bytes whose state is used again after Close.
func inflate(raw io.Reader) io.ReadCloser {
	if r, ok := inflaters.Get().(io.ReadCloser); ok {
		r.(flate.Resetter).Reset(raw, nil)
		return &pooled{r}
	}
	return &pooled{flate.NewReader(raw)}
}

type pooled struct{ io.ReadCloser }

func (p *pooled) Close() error {
	if p.ReadCloser == nil {
		return nil
	}
	inflaters.Put(p.ReadCloser)
	p.ReadCloser = nil
	return nil
}

// Deflated returns the entry with its bytes deflated, when they are stored and that makes them smaller. It holds them in memory.
func (e Entry) Deflated() (Entry, error) {
	if e.Method == zip.Deflate || e.Size == 0 {
		return e, nil
	}
	b, err := e.Bytes(MaxUnzippedBytes)
	if err != nil {
		return Entry{}, err
	}
	packed := File(e.Name, b, e.Exec, e.Origin)
	packed.Note = e.Note
	return packed, nil
}
