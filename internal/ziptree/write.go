package ziptree

import (
	"archive/zip"
	"bufio"
	"context"
	"fmt"
	"io"
	"sync"
	"unicode/utf8"

	"github.com/layersmith/layersmith/internal/digest"
)

// dosEpoch is 1980-01-01 in the date field of a zip header, the earliest possible date.
const dosEpoch = 1<<5 | 1

// Written describes a written zip.
type Written struct {
	SHA256 digest.SHA256
	Bytes  int64
}

var copyBuffers = sync.Pool{New: func() any { b := make([]byte, 256<<10); return &b }}

// Writer writes a zip entry by entry, until Close. Compressed bytes are copied unchanged.
type Writer struct {
	z     *zip.Writer
	out   *bufio.Writer
	hash  digest.Hasher
	count *counter
	notes bool
}

// NewWriter returns a Writer for caches: it writes entries' notes as zip comments. Write is for
// layers, which have none.
func NewWriter(w io.Writer) *Writer { return newWriter(w, true) }

func newWriter(w io.Writer, notes bool) *Writer {
	h := digest.NewHasher()
	count := new(counter)
	out := bufio.NewWriterSize(io.MultiWriter(w, h, count), 1<<20)
	return &Writer{z: zip.NewWriter(out), out: out, hash: h, count: count, notes: notes}
}

// Add copies one entry.
func (w *Writer) Add(e Entry) error {
	hdr := header(e)
	if w.notes {
		hdr.Comment = e.Note
	}

	dst, err := w.z.CreateRaw(&hdr)
	if err != nil {
		return fmt.Errorf("write %s: %w", e.Name, err)
	}

	raw, err := e.raw()
	if err != nil {
		return fmt.Errorf("copy %s from %s: %w", e.Name, e.Origin, err)
	}

	buf := copyBuffers.Get().(*[]byte)
	defer copyBuffers.Put(buf)

	n, err := io.CopyBuffer(onlyWriter{dst}, io.LimitReader(raw, e.ZippedBytes), *buf)
	if err == nil && n != e.ZippedBytes {
		err = fmt.Errorf("%d bytes, declared %d: %w", n, e.ZippedBytes, io.ErrUnexpectedEOF)
	}

	if err != nil {
		return fmt.Errorf("copy %s from %s: %w", e.Name, e.Origin, err)
	}

	return nil
}

// Close writes the directory of the zip.
func (w *Writer) Close() (Written, error) {
	if err := w.z.Close(); err != nil {
		return Written{}, fmt.Errorf("write zip: %w", err)
	}

	if err := w.out.Flush(); err != nil {
		return Written{}, fmt.Errorf("write zip: %w", err)
	}

	return Written{w.hash.Sum(), int64(*w.count)}, nil
}

// Write writes the tree as one canonical zip. It holds one buffer and the central directory in
// memory. It stops at the first entry after ctx is done.
func Write(ctx context.Context, w io.Writer, t Tree) (Written, error) {
	z := newWriter(w, false)
	for _, e := range t.entries {
		if err := ctx.Err(); err != nil {
			return Written{}, err
		}

		if err := z.Add(e); err != nil {
			return Written{}, err
		}
	}

	return z.Close()
}

// Values of header fields (APPNOTE.TXT 4.4.2 to 4.4.4).
const (
	createdByUnix   = 3<<8 | 20 // Unix modes; specification 2.0
	versionStored   = 10
	versionDeflated = 20
	utf8Flag        = 1 << 11
)

func header(e Entry) zip.FileHeader {
	mode := uint32(0o100644)
	if e.Exec {
		mode = 0o100755
	}

	version := uint16(versionStored)
	if e.Method == zip.Deflate {
		version = versionDeflated
	}

	h := zip.FileHeader{
		Name:               e.Name,
		Method:             e.Method,
		CRC32:              e.CRC32,
		CompressedSize64:   uint64(e.ZippedBytes),
		UncompressedSize64: uint64(e.Size),
		CreatorVersion:     createdByUnix,
		ReaderVersion:      version,
		ExternalAttrs:      mode << 16,
		ModifiedDate:       dosEpoch, //nolint:staticcheck // CreateRaw ignores Modified and writes this field
	}
	if !isASCII(e.Name) {
		h.Flags = utf8Flag
	}

	return h
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}

	return true
}

// onlyWriter hides ReadFrom, which would allocate its own buffer.
type onlyWriter struct{ io.Writer }

// counter counts the bytes written to it.
type counter int64

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}
