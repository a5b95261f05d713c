package ziptree

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"io"
	"testing"
)

// member is a file of a test archive. Every header field can be set to a wrong value.
type member struct {
	name       string
	content    string // stored or deflated by method; headers match it unless set below
	method     uint16
	flags      uint16
	creator    byte   // 3 is Unix, 0 is FAT
	mode       uint32 // of st_mode
	attrs      uint32 // of FAT
	time, date uint16
	extra      []byte
	comment    string
	descriptor bool // sizes and CRC follow the bytes; the local header has zeros
	zip64      bool // sizes are in an extra field of the directory
	at         int  // > 0: the directory points to the member that begins there

	size, zipped *uint64 // as declared by the directory
	crc          *uint32
	raw          []byte // the bytes in the archive, instead of content
}

func number[T any](n T) *T { return &n }

// archive lays members out in the order given, after prefix.
func archive(prefix string, members ...member) []byte {
	out := []byte(prefix)
	dir := []byte(nil)
	le := binary.LittleEndian
	for _, m := range members {
		raw := m.raw
		if raw == nil {
			raw = []byte(m.content)
			if m.method == zip.Deflate {
				raw = Deflate(raw)
			}
		}

		size := uint64(len(m.content))
		zipped := uint64(len(raw))
		crc := crc32.ChecksumIEEE([]byte(m.content))
		if m.size != nil {
			size = *m.size
		}

		if m.zipped != nil {
			zipped = *m.zipped
		}

		if m.crc != nil {
			crc = *m.crc
		}

		flags := m.flags
		at := len(out)
		if m.descriptor {
			flags |= 8
		}

		head := le.AppendUint16(nil, flags)
		head = le.AppendUint16(head, m.method)
		head = le.AppendUint16(head, m.time)
		head = le.AppendUint16(head, m.date)
		sizes := func(b []byte, crc uint32, zipped, size uint64) []byte {
			return le.AppendUint32(le.AppendUint32(le.AppendUint32(b, crc), uint32(zipped)), uint32(size))
		}
		local := le.AppendUint16([]byte("PK\x03\x04"), 20)
		local = append(local, head...)
		if m.descriptor {
			local = sizes(local, 0, 0, 0)
		} else {
			local = sizes(local, crc, zipped, size)
		}

		local = le.AppendUint16(local, uint16(len(m.name)))
		local = le.AppendUint16(local, uint16(len(m.extra)))
		local = append(append(local, m.name...), m.extra...)
		if m.at == 0 {
			out = append(append(out, local...), raw...)
			if m.descriptor {
				out = sizes(append(out, "PK\x07\x08"...), crc, zipped, size)
			}
		} else {
			at = m.at
		}

		extra := m.extra
		if m.zip64 {
			extra = le.AppendUint16(le.AppendUint16(bytes.Clone(extra), 1), 16)
			extra = le.AppendUint64(le.AppendUint64(extra, size), zipped)
			size = 1<<32 - 1
			zipped = 1<<32 - 1
		}

		attrs := m.mode<<16 | m.attrs
		dir = le.AppendUint16(append(dir, "PK\x01\x02"...), uint16(m.creator)<<8|20)
		dir = le.AppendUint16(dir, 20)
		dir = sizes(append(dir, head...), crc, zipped, size)
		for _, n := range []int{len(m.name), len(extra), len(m.comment), 0, 0} {
			dir = le.AppendUint16(dir, uint16(n))
		}

		dir = le.AppendUint32(le.AppendUint32(dir, attrs), uint32(at))
		dir = append(append(append(dir, m.name...), extra...), m.comment...)
	}

	start := len(out)
	out = append(out, dir...)
	out = append(out, "PK\x05\x06\x00\x00\x00\x00"...)
	out = le.AppendUint16(le.AppendUint16(out, uint16(len(members))), uint16(len(members)))
	out = le.AppendUint32(le.AppendUint32(out, uint32(len(dir))), uint32(start))
	return le.AppendUint16(out, 0)
}

func read(b []byte) (Tree, error) { return Read(bytes.NewReader(b), int64(len(b)), "x.whl") }

func mustRead(t *testing.T, b []byte) Tree {
	t.Helper()
	tree, err := read(b)
	if err != nil {
		t.Fatal(err)
	}

	return tree
}

func mustNew(t *testing.T, entries ...Entry) Tree {
	t.Helper()
	tree, err := New(entries)
	if err != nil {
		t.Fatal(err)
	}

	return tree
}

// written is the canonical zip of a tree. It checks the size and digest that Write returns, and
// ZipBytes.
func written(t *testing.T, tree Tree) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := Write(t.Context(), &b, tree)
	if err != nil {
		t.Fatal(err)
	}

	if w.Bytes != int64(b.Len()) || w.SHA256 != digestOf(b.Bytes()) {
		t.Fatalf("Write says %d bytes, %s; it wrote %d, %s", w.Bytes, w.SHA256, b.Len(), digestOf(b.Bytes()))
	}

	if tree.Len() < 1<<16-1 && tree.ZipBytes() != w.Bytes {
		t.Fatalf("ZipBytes says %d, Write wrote %d", tree.ZipBytes(), w.Bytes)
	}

	return b.Bytes()
}

func errText(err error) string {
	if err == nil {
		return ""
	}

	return err.Error()
}

// rawFrom is the source of an entry that is not in a zip.
func rawFrom(b []byte) func() (io.Reader, error) {
	return func() (io.Reader, error) { return bytes.NewReader(b), nil }
}
