// Package ziptree holds trees of files whose bytes lie, compressed, in one or many zips (or
// anywhere else), and writes them as one canonical zip without recompressing anything.
//
// The rules of its world (APPNOTE.TXT 6.3.10 is the format; a wheel and a Lambda layer are both
// plain zips):
//   - Names are relative, clean, slash-separated, valid UTF-8 and without NUL or backslash; no two are equal. Names are
//     compared as bytes, never by locale.
//   - A tree holds regular files only. Folders are implied by names; symbolic links, devices and encrypted entries are refused.
//   - Methods are stored (0) and deflated (8); nothing else is read or written, since Lambda and zipimport read nothing else.
//   - A written zip is canonical: sorted by name, 1980-01-01 00:00, modes 0644 or 0755, no extra fields (but zip64's where a
//     size demands it), no data descriptors, no comments. The same tree gives the same bytes anywhere.
//   - A declared size is never trusted: reading stops one byte after it, and CRC-32 is checked whenever bytes are inflated.
//   - Limits: MaxEntries entries, MaxUnzippedBytes in all, and compressed sizes may not add up to more than the zip itself
//     (which overlapping entries, the trick of most zip bombs, would need).
package ziptree

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"sort"
	"strings"
	"unicode/utf8"
)

// Limits on what is read. A Lambda function may have 250 MiB unzipped with all its layers; an
// unpruned set may be larger by far, a bomb larger still.
const (
	MaxEntries       = 200_000
	MaxUnzippedBytes = 4 << 30
	MaxNameBytes     = 1024
	maxInflation     = 1032 // deflate's densest code: 258 bytes in two bits
)

// Entry is one file of a tree: its name, what it weighs, and where its compressed bytes are.
type Entry struct {
	Name        string
	Exec        bool  // mode 0755 rather than 0644
	Size        int64 // bytes unzipped
	ZippedBytes int64 // bytes as stored in the zip, without headers
	CRC32       uint32
	Method      uint16 // zip.Store or zip.Deflate
	Origin      string // the wheel or archive that it comes from, for messages and caches
	Loose       bool   // it lies in a folder, and has no compressed form yet
	Note        string // a zip comment: read always, written into caches only
	raw         func() (io.Reader, error)
}

// Named returns the entry below another name.
func (e Entry) Named(name string) Entry { e.Name = name; return e }

// OpenRaw returns the entry's bytes as they are stored.
func (e Entry) OpenRaw() (io.Reader, error) { return e.raw() }

// Open returns the entry's bytes, inflated. The reader fails when there are more or fewer than
// Size, or when the CRC differs.
func (e Entry) Open() (io.ReadCloser, error) {
	raw, err := e.raw()
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", e.Name, err)
	}

	var in io.ReadCloser
	if e.Method == zip.Deflate {
		in = inflate(raw)
	} else {
		in = io.NopCloser(raw)
	}

	return &checked{in: in, entry: e, left: e.Size}, nil
}

// Bytes inflates the whole entry; limit guards against entries that nobody expects to be that
// large.
func (e Entry) Bytes(limit int64) ([]byte, error) {
	if e.Size > limit {
		return nil, fmt.Errorf("read %s: %d bytes, limit %d", e.Name, e.Size, limit)
	}

	r, err := e.Open()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	b := make([]byte, e.Size)
	if _, err := io.ReadFull(r, b); err != nil {
		return nil, err // it names the entry
	}

	if _, err := r.Read(make([]byte, 1)); err != io.EOF { // the read that checks length and CRC
		if err == nil {
			err = errLonger
		}

		return nil, err
	}

	return b, nil
}

var errLonger = errors.New("more bytes than declared")

// checked enforces the declared size and CRC.
type checked struct {
	in    io.ReadCloser
	entry Entry
	left  int64
	crc   uint32
}

func (c *checked) Read(p []byte) (int, error) {
	n, err := c.in.Read(p)
	c.left -= int64(n)
	c.crc = crc32.Update(c.crc, crc32.IEEETable, p[:n])
	switch {
	case c.left < 0:
		return 0, fmt.Errorf("read %s: %w (%d)", c.entry.Name, errLonger, c.entry.Size)
	case err == io.EOF && c.left > 0:
		return n, fmt.Errorf("read %s: %d bytes fewer than declared: %w", c.entry.Name, c.left, io.ErrUnexpectedEOF)
	case err == io.EOF && c.crc != c.entry.CRC32:
		return n, fmt.Errorf("read %s: CRC-32 %08x, declared %08x", c.entry.Name, c.crc, c.entry.CRC32)
	case err != nil && err != io.EOF:
		return n, fmt.Errorf("read %s: %w", c.entry.Name, err)
	}

	return n, err
}

func (c *checked) Close() error { return c.in.Close() }

// Tree is a set of entries, sorted by name, no two of one name. The zero Tree is empty.
type Tree struct{ entries []Entry }

// New sorts entries into a tree. Two entries of one name are an error that names both origins.
func New(entries []Entry) (Tree, error) {
	sorted := append([]Entry(nil), entries...)
	sort.Slice(sorted, func(i, j int) bool { return sorted[i].Name < sorted[j].Name })
	for i := range sorted {
		if i > 0 && sorted[i].Name == sorted[i-1].Name {
			return Tree{}, fmt.Errorf("%s is in %s and in %s", sorted[i].Name, sorted[i-1].Origin, sorted[i].Origin)
		}
	}

	return Tree{sorted}, nil
}

// Entries returns the sorted entries; the caller must not change them.
func (t Tree) Entries() []Entry { return t.entries }

// Len is the number of files.
func (t Tree) Len() int { return len(t.entries) }

// Lookup finds an entry by its exact name.
func (t Tree) Lookup(name string) (Entry, bool) {
	i := sort.Search(len(t.entries), func(i int) bool { return t.entries[i].Name >= name })
	if i < len(t.entries) && t.entries[i].Name == name {
		return t.entries[i], true
	}

	return Entry{}, false
}

// UnzippedBytes is the sum of all sizes: what Lambda counts against its limit.
func (t Tree) UnzippedBytes() (n int64) {
	for _, e := range t.entries {
		n += e.Size
	}

	return n
}

// ZipBytes is the exact size of the zip that Write makes of the tree (below the zip64 bounds, as
// any layer is).
func (t Tree) ZipBytes() (n int64) {
	for _, e := range t.entries {
		n += e.ZippedBytes + int64(30+46+2*len(e.Name))
	}

	return n + 22
}

// Read opens a zip as a tree. It checks names, methods, kinds and limits; bytes are read only when
// entries are opened. Problems of the archive are returned as *FormatError, naming the entry.
func Read(r io.ReaderAt, size int64, origin string) (Tree, error) {
	z, err := zip.NewReader(
		io.NewSectionReader(r, 0, size),
		size,
	) // a directory may point before the file, which a file answers with an error of the system
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = zip.ErrFormat
	}

	if err != nil {
		return Tree{}, &FormatError{origin, "", err.Error()}
	}

	if len(z.File) > MaxEntries {
		return Tree{}, &FormatError{origin, "", fmt.Sprintf("%d entries, limit %d", len(z.File), MaxEntries)}
	}

	entries := make([]Entry, 0, len(z.File))
	var zipped, unzipped uint64
	for _, f := range z.File {
		bad := func(format string, args ...any) (Tree, error) {
			return Tree{}, &FormatError{origin, f.Name, fmt.Sprintf(format, args...)}
		}
		if strings.HasSuffix(f.Name, "/") && f.UncompressedSize64 == 0 {
			if err := CheckName(strings.TrimSuffix(f.Name, "/")); err != nil {
				return bad("%v", err)
			}

			continue
		}

		if err := CheckName(f.Name); err != nil {
			return bad("%v", err)
		}

		mode := f.Mode()
		switch {
		case mode&fs.ModeSymlink != 0:
			return bad(symlink)
		case !mode.IsRegular():
			return bad("is not a regular file (%v)", mode)
		case f.Flags&1 != 0:
			return bad("is encrypted")
		case f.Method != zip.Store && f.Method != zip.Deflate:
			return bad("has compression method %d; known: 0 (stored), 8 (deflated)", f.Method)
		case f.Method == zip.Store && f.CompressedSize64 != f.UncompressedSize64:
			return bad("is stored, but its two sizes differ (%d, %d)", f.CompressedSize64, f.UncompressedSize64)
		case f.UncompressedSize64 > MaxUnzippedBytes || f.CompressedSize64 > uint64(size):
			return bad(
				"declares %d bytes (%d zipped); the archive has %d",
				f.UncompressedSize64,
				f.CompressedSize64,
				size,
			)
		}

		if f.Method == zip.Deflate && f.UncompressedSize64 > f.CompressedSize64*maxInflation {
			return bad(
				"declares %d bytes, which is more than %d bytes can inflate to",
				f.UncompressedSize64,
				f.CompressedSize64,
			)
		}

		zipped += f.CompressedSize64
		unzipped += f.UncompressedSize64
		if zipped > uint64(size) {
			return bad("overlaps another entry: compressed sizes add up to more than the archive's %d bytes", size)
		}

		if unzipped > MaxUnzippedBytes {
			return bad("unzipped sizes add up to more than %d bytes", uint64(MaxUnzippedBytes))
		}

		entries = append(entries, Entry{
			Name:        f.Name,
			Exec:        mode&0o111 != 0,
			Size:        int64(f.UncompressedSize64),
			ZippedBytes: int64(f.CompressedSize64),
			CRC32:       f.CRC32,
			Method:      f.Method,
			Origin:      origin,
			Note:        f.Comment,
			raw:         f.OpenRaw,
		})
	}

	t, err := New(entries)
	if err != nil {
		return Tree{}, &FormatError{origin, "", err.Error()}
	}

	return t, nil
}

const symlink = "is a symbolic link; layers are written without"

// FormatError is a zip that is not what this package reads.
type FormatError struct{ Archive, Entry, Reason string }

func (e *FormatError) Error() string {
	if e.Entry == "" {
		return fmt.Sprintf("read %s: %s", e.Archive, e.Reason)
	}

	return fmt.Sprintf("read %s: entry %q %s", e.Archive, e.Entry, e.Reason)
}

// CheckName says why a name may not be in a tree, nil when it may.
func CheckName(name string) error {
	switch {
	case name == "":
		return errors.New("has no name")
	case len(name) > MaxNameBytes:
		return fmt.Errorf("has a name of %d bytes, limit %d", len(name), MaxNameBytes)
	case strings.ContainsRune(name, 0):
		return errors.New("has a NUL in its name")
	case strings.Contains(name, `\`):
		return errors.New("has a backslash in its name")
	case strings.HasPrefix(name, "/") || len(name) > 1 && name[1] == ':':
		return errors.New("has an absolute name")
	case !utf8.ValidString(name):
		return errors.New("has a name that is not UTF-8")
	case !fs.ValidPath(name) || name == ".":
		return errors.New("has a name that leaves the tree or is not clean")
	}

	return nil
}

// File makes an entry of bytes in memory, deflated at once when that is smaller.
func File(name string, content []byte, exec bool, origin string) Entry {
	e := Entry{Name: name, Exec: exec, Size: int64(len(content)), CRC32: crc32.ChecksumIEEE(content), Origin: origin}
	// What is gzipped does not get smaller, and trying takes longer than anything else in a
	// rewritten botocore.
	if !bytes.HasPrefix(content, []byte{0x1f, 0x8b}) {
		if packed := Deflate(content); len(packed) < len(content) {
			e.Method = zip.Deflate
			content = packed
		}
	}

	e.ZippedBytes = int64(len(content))
	e.raw = func() (io.Reader, error) { return bytes.NewReader(content), nil }
	return e
}

// ReadFolder makes a tree of the regular files of a folder. Bytes are read when an entry is opened,
// and stored uncompressed: what a folder holds has no compressed form to be carried over, so
// callers that write it deflate it first (see Deflated).
func ReadFolder(fsys fs.FS, origin string) (Tree, error) {
	var entries []Entry
	var total int64
	err := fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}

		if d.IsDir() {
			return nil
		}

		if err := CheckName(name); err != nil {
			return &FormatError{origin, name, err.Error()}
		}

		if d.Type()&fs.ModeSymlink != 0 {
			return &FormatError{origin, name, symlink}
		}

		if !d.Type().IsRegular() {
			return &FormatError{origin, name, fmt.Sprintf("is not a regular file (%v)", d.Type())}
		}

		info, err := d.Info()
		if err != nil {
			return err
		}

		total += info.Size()
		if len(entries) >= MaxEntries || total > MaxUnzippedBytes {
			return &FormatError{
				origin,
				name,
				fmt.Sprintf("is one too many: limits are %d files and %d bytes", MaxEntries, int64(MaxUnzippedBytes)),
			}
		}

		sum := crc32.NewIEEE()
		f, err := fsys.Open(name)
		if err != nil {
			return err
		}

		n, err := io.Copy(sum, f)
		f.Close()
		if err != nil {
			return err
		}

		entries = append(
			entries,
			Entry{
				Name:        name,
				Exec:        info.Mode()&0o111 != 0,
				Size:        n,
				ZippedBytes: n,
				CRC32:       sum.Sum32(),
				Method:      zip.Store,
				Origin:      origin,
				Loose:       true,
				raw:         func() (io.Reader, error) { return openAll(fsys, name) },
			},
		)
		return nil
	})
	if err != nil {
		return Tree{}, err
	}

	return New(entries)
}

func openAll(fsys fs.FS, name string) (io.Reader, error) {
	b, err := fs.ReadFile(fsys, name)
	if err != nil {
		return nil, err
	}

	return bytes.NewReader(b), nil
}
