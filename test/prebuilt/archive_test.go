package prebuilt_test

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// file is an entry of an archive.
type file struct {
	name    string // with a slash at the end: a folder
	content []byte
	mode    uint32 // Unix mode with its type; 0 for a regular 0644
	flags   uint16
	method  uint16 // method to claim; 0 to choose
	crc     uint32 // added to the true one
}

// archive is a zip as other tools write it, with features that this project's own zips never have.
type archive struct {
	files    []file
	head     string // bytes before the first entry, as self-extracting archives have
	comment  string
	stored   bool
	streamed bool // sizes and CRC-32 in data descriptors, as when zip writes to a pipe
	zip64    bool // sizes in zip64's extra fields, whatever they are
	extra    bool // Info-ZIP's extended timestamps and user ids
}

// bytes follows APPNOTE.TXT 6.3.10: 4.3.7 local headers, 4.3.9 data descriptors, 4.3.12 directory,
// 4.3.14 to 4.3.16 its ends.
func (a archive) bytes(t *testing.T) []byte {
	t.Helper()
	var out, directory bytes.Buffer
	le := binary.LittleEndian
	put := func(b *bytes.Buffer, values ...any) {
		for _, v := range values {
			if err := binary.Write(b, le, v); err != nil {
				t.Fatal(err)
			}
		}
	}
	out.WriteString(a.head)
	for _, f := range a.files {
		packed := f.content
		method := uint16(0)
		if !a.stored && len(f.content) > 0 {
			var b bytes.Buffer
			w, err := flate.NewWriter(&b, flate.BestSpeed)
			if err != nil {
				t.Fatal(err)
			}

			w.Write(f.content)
			w.Close()
			packed = b.Bytes()
			method = 8
		}

		if f.method != 0 {
			method = f.method
		}

		flags := f.flags
		version := uint16(20)
		crc := crc32.ChecksumIEEE(f.content) + f.crc
		size := uint32(len(f.content))
		zipped := uint32(len(packed))
		var local, central []byte
		if a.extra {
			stamp := []byte("UT\x05\x00\x03\x80\x43\x6d\x38")
			local = append(slices.Clone(stamp), "ux\x0b\x00\x01\x04\xe8\x03\x00\x00\x04\xe8\x03\x00\x00"...)
			central = stamp
		}

		localSize := size
		localZipped := zipped
		localCRC := crc
		if a.streamed {
			flags |= 1 << 3
			localSize = 0
			localZipped = 0
			localCRC = 0
		}

		if a.zip64 {
			version = 45
			wide := le.AppendUint64(le.AppendUint64([]byte{1, 0, 16, 0}, uint64(size)), uint64(zipped))
			local = append(local, wide...)
			central = append(central, wide...)
			size = 1<<32 - 1
			zipped = 1<<32 - 1
			localSize = 1<<32 - 1
			localZipped = 1<<32 - 1
		}

		offset := uint32(out.Len())
		const date, clock = 44<<9 | 11<<5 | 23, 19<<11 | 30<<5 // 2024-11-23 19:30
		put(&out, uint32(0x04034b50), version, flags, method, uint16(clock), uint16(date), localCRC, localZipped,
			localSize, uint16(len(f.name)), uint16(len(local)))
		out.WriteString(f.name)
		out.Write(local)
		out.Write(packed)
		if a.streamed {
			put(&out, uint32(0x08074b50), crc, uint32(len(packed)), uint32(len(f.content)))
		}

		mode := f.mode
		if mode == 0 {
			mode = 0o100644
		}

		attributes := mode << 16
		if strings.HasSuffix(f.name, "/") {
			attributes = 0o040755<<16 | 0x10
		}

		put(&directory, uint32(0x02014b50), uint16(3<<8|30), version, flags, method, uint16(clock), uint16(date), crc,
			zipped, size, uint16(len(f.name)), uint16(len(central)), uint16(0), uint16(0), uint16(0), attributes,
			offset)
		directory.WriteString(f.name)
		directory.Write(central)
	}

	start := uint64(out.Len())
	n := uint64(len(a.files))
	length := uint64(directory.Len())
	out.Write(directory.Bytes())
	count := uint16(n)
	size := uint32(length)
	offset := uint32(start)
	if a.zip64 {
		end := uint64(out.Len())
		put(&out, uint32(0x06064b50), uint64(44), uint16(45), uint16(45), uint32(0), uint32(0), n, n, length, start)
		put(&out, uint32(0x07064b50), uint32(0), end, uint32(1))
		count = 1<<16 - 1
		size = 1<<32 - 1
		offset = 1<<32 - 1
	}

	put(&out, uint32(0x06054b50), uint16(0), uint16(0), count, count, size, offset, uint16(len(a.comment)))
	out.WriteString(a.comment)
	return out.Bytes()
}

// filesOf are the files of a folder, below a prefix, sorted by name.
func filesOf(t *testing.T, dir, prefix string) []file {
	t.Helper()
	var files []file
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}

		info, err := d.Info()
		if err != nil {
			return err
		}

		b, err := os.ReadFile(name)
		if err != nil {
			return err
		}

		rel, err := filepath.Rel(dir, name)
		files = append(files,
			file{name: prefix + filepath.ToSlash(rel), content: b, mode: 0o100000 | uint32(info.Mode().Perm())})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}

	return files
}

// with replaces and adds files.
func with(files []file, more ...file) []file {
	out := slices.Clone(files)
	for _, m := range more {
		if i := slices.IndexFunc(out, func(f file) bool { return f.name == m.name }); i >= 0 {
			out[i] = m
		} else {
			out = append(out, m)
		}
	}

	return out
}

// without removes the files whose names have one of the suffixes.
func without(files []file, endings ...string) []file {
	return slices.DeleteFunc(slices.Clone(files), func(f file) bool {
		return slices.ContainsFunc(endings, func(ending string) bool { return strings.HasSuffix(f.name, ending) })
	})
}

// text is a small file.
func text(name, content string) file { return file{name: name, content: []byte(content)} }

// edited changes the first file whose name has a suffix.
func edited(t *testing.T, files []file, ending string, change func(f *file)) []file {
	t.Helper()
	out := slices.Clone(files)
	for i := range out {
		if strings.HasSuffix(out[i].name, ending) {
			out[i].content = slices.Clone(out[i].content)
			change(&out[i])
			return out
		}
	}

	t.Fatalf("no file ends in %s", ending)
	return nil
}
