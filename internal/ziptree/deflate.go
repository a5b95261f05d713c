package ziptree

import (
	"archive/zip"
	"bytes"
	"io"
	"sync"

	"github.com/klauspost/compress/flate"

	"github.com/layersmith/layersmith/internal/deflate"
)

// DeflateVersion identifies the output of Deflate. It is part of the key of cached output.
const DeflateVersion = "deflate-fast-" + deflate.Version + ".1"

// Deflate compresses b (RFC 1951).
func Deflate(b []byte) []byte { return deflate.Encode(nil, b, deflate.Fast) }

// BestVersion identifies the output of Entry.Recompressed. It is part of the key of cached output.
const BestVersion = "deflate-best-" + deflate.Version

// Recompressed returns the entry deflated at the highest effort, if that is smaller. The result is
// in memory.
func (e Entry) Recompressed() (Entry, error) {
	b, err := e.Bytes(MaxUnzippedBytes)
	if err != nil {
		return Entry{}, err
	}

	packed := deflate.Encode(nil, b, deflate.Best)
	if int64(len(packed)) >= e.ZippedBytes {
		return e, nil
	}

	e.Method = zip.Deflate
	e.ZippedBytes = int64(len(packed))
	e.Loose = false
	e.raw = func() (io.Reader, error) { return bytes.NewReader(packed), nil }
	return e, nil
}

var inflaters sync.Pool

// inflate returns a reader of deflated bytes. Close makes its state available for reuse.
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

// Deflated returns a stored entry deflated, if that is smaller. The result is in memory.
func (e Entry) Deflated() (Entry, error) {
	if e.Method == zip.Deflate || e.Size == 0 {
		return e, nil
	}

	b, err := e.Bytes(MaxUnzippedBytes)
	if err != nil {
		return Entry{}, err
	}

	small := File(e.Name, b, e.Origin)
	small.Exec = e.Exec
	small.Note = e.Note
	return small, nil
}
