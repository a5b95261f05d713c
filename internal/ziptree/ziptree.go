// Package ziptree holds trees of files whose compressed bytes are in one or more zips, and writes
// them as one canonical zip without recompressing.
//
// The format is that of APPNOTE.TXT 6.3.10. Wheels and Lambda layers are plain zips. Rules:
//
//   - Names are relative, clean, separated by slashes and valid UTF-8, without NUL or backslash. No
//     two are equal. They are compared as bytes, never by locale.
//   - A tree holds regular files only. Folders are implied by names. Symbolic links, devices and
//     encrypted entries are refused.
//   - Methods are stored (0) and deflated (8), the only ones that Lambda and zipimport read.
//   - A written zip is canonical: sorted by name, 1980-01-01 00:00, modes 0644 or 0755, no extra
//     fields (except zip64's where a size needs it), no data descriptors, no comments. The same
//     tree gives the same bytes on every machine.
//   - Declared sizes are not trusted. Reading stops one byte after the declared size, and CRC-32 is
//     checked whenever bytes are inflated.
//   - Limits: MaxEntries entries and MaxUnzippedBytes in total. Compressed sizes must not add up to
//     more than the zip itself, as they do with overlapping entries (most zip bombs).
package ziptree

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"slices"
	"sort"
	"strings"
	"unicode/utf8"
)

// Limits for reading. Lambda allows 250 MiB unzipped for a function with its layers. A set of
// unpruned wheels may be many times larger.
const (
	MaxEntries       = 200_000
	MaxUnzippedBytes = 4 << 30
	MaxNameBytes     = 1024
	maxInflation     = 1032 // deflate's highest ratio: 258 bytes in two bits
)

// Entry is one file of a tree.
type Entry struct {
	Name        string
	Exec        bool  // mode 0755 instead of 0644
	Size        int64 // bytes unzipped
	ZippedBytes int64 // bytes as stored in the zip, without headers
	CRC32       uint32
	Method      uint16 // zip.Store or zip.Deflate
	Origin      string // wheel or archive that it comes from, for messages and caches
	Loose       bool   // from a folder, not compressed yet
	Closed      bool   // only its owner may read it, or nobody: not written, files that are written have 0644 or 0755
	Note        string // zip comment: always read, written into caches only
	raw         func() (io.Reader, error)
}

// Named returns the entry with another name.
func (e Entry) Named(name string) Entry { e.Name = name; return e }

// OpenRaw returns the entry's bytes as stored in the zip.
func (e Entry) OpenRaw() (io.Reader, error) { return e.raw() }

// Open returns the entry's bytes, inflated. The reader fails if there are more or fewer than Size,
// or if the CRC differs.
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

// Bytes returns the entry's bytes, inflated. It fails if Size exceeds the limit, and like Open.
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
		return nil, err // names the entry
	}

	if _, err := r.Read(make([]byte, 1)); err != io.EOF { // checks length and CRC
		if err == nil {
			err = errLonger
		}

		return nil, err
	}

	return b, nil
}

var errLonger = errors.New("more bytes than declared")

// checked fails when bytes do not have the declared size and CRC.
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

// Tree is a set of entries with unique names, sorted by name. The zero Tree is empty.
type Tree struct{ entries []Entry }

// New makes a tree of entries. Two entries with one name are an error that names both origins.
func New(entries []Entry) (Tree, error) {
	sorted := slices.Clone(entries)
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

// UnzippedBytes is the sum of all sizes, to which Lambda's limit applies.
func (t Tree) UnzippedBytes() (n int64) {
	for _, e := range t.entries {
		n += e.Size
	}

	return n
}

// Bytes of the records of a zip (APPNOTE.TXT 4.3.7, 4.3.12, 4.3.16), without names.
const (
	localHeaderBytes     = 30
	directoryHeaderBytes = 46
	endOfDirectoryBytes  = 22
)

// ZipBytes is the exact size of the zip that Write makes of the tree, if that needs no zip64
// fields.
func (t Tree) ZipBytes() (n int64) {
	for _, e := range t.entries {
		n += e.ZippedBytes + int64(localHeaderBytes+directoryHeaderBytes+2*len(e.Name))
	}

	return n + endOfDirectoryBytes
}

// Read opens a zip as a tree. It checks names, methods, file types and limits. Contents are read
// when entries are opened. An invalid archive is a *FormatError that names the entry.
func Read(r io.ReaderAt, size int64, origin string) (Tree, error) {
	// The section turns offsets before the file, which a directory may contain, into EOF.
	z, err := zip.NewReader(io.NewSectionReader(r, 0, size), size)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = zip.ErrFormat
	}

	if err != nil {
		return Tree{}, &FormatError{origin, "", err.Error()}
	}

	if len(z.File) > MaxEntries {
		return Tree{}, &FormatError{origin, "", fmt.Sprintf("%d entries, limit %d", len(z.File), MaxEntries)}
	}

	in := reader{origin: origin, size: uint64(size), entries: make([]Entry, 0, len(z.File))}
	for _, f := range z.File {
		if err := in.add(f); err != nil {
			return Tree{}, &FormatError{origin, f.Name, err.Error()}
		}
	}

	t, err := New(in.entries)
	if err != nil {
		return Tree{}, &FormatError{origin, "", err.Error()}
	}

	return t, nil
}

// reader collects the entries of one archive.
type reader struct {
	origin           string
	size             uint64 // of the archive
	entries          []Entry
	zipped, unzipped uint64 // declared bytes so far
}

// add checks one member of the archive and adds it, unless it is a folder.
func (in *reader) add(f *zip.File) error {
	folder, isFolder := strings.CutSuffix(f.Name, "/")
	if isFolder && f.UncompressedSize64 == 0 {
		return CheckName(folder)
	}

	if err := CheckName(f.Name); err != nil {
		return err
	}

	if err := checkType(f); err != nil {
		return err
	}

	if err := in.checkSizes(f); err != nil {
		return err
	}

	in.entries = append(in.entries, Entry{
		Name:        f.Name,
		Exec:        f.Mode()&0o111 != 0,
		Closed:      f.CreatorVersion>>8 == madeOnUnix && f.Mode()&0o004 == 0,
		Size:        int64(f.UncompressedSize64),
		ZippedBytes: int64(f.CompressedSize64),
		CRC32:       f.CRC32,
		Method:      f.Method,
		Origin:      in.origin,
		Note:        f.Comment,
		raw:         f.OpenRaw,
	})
	return nil
}

const madeOnUnix = 3 // APPNOTE.TXT 4.4.2

const encryptedFlag = 1 // general purpose bit 0, APPNOTE.TXT 4.4.4

func checkType(f *zip.File) error {
	mode := f.Mode()
	switch {
	case mode&fs.ModeSymlink != 0:
		return errSymlink
	case !mode.IsRegular():
		return fmt.Errorf("is not a regular file (%v)", mode)
	case f.Flags&encryptedFlag != 0:
		return errors.New("is encrypted")
	case f.Method != zip.Store && f.Method != zip.Deflate:
		return fmt.Errorf("has compression method %d; known: 0 (stored), 8 (deflated)", f.Method)
	}

	return nil
}

// checkSizes checks the declared sizes of a member, and adds them to those of the archive.
func (in *reader) checkSizes(f *zip.File) error {
	zipped := f.CompressedSize64
	unzipped := f.UncompressedSize64
	switch {
	case f.Method == zip.Store && zipped != unzipped:
		return fmt.Errorf("is stored, but its two sizes differ (%d, %d)", zipped, unzipped)
	case unzipped > MaxUnzippedBytes || zipped > in.size:
		return fmt.Errorf("declares %d bytes (%d zipped); the archive has %d", unzipped, zipped, in.size)
	case f.Method == zip.Deflate && unzipped > zipped*maxInflation:
		return fmt.Errorf("declares %d bytes, which is more than %d bytes can inflate to", unzipped, zipped)
	}

	in.zipped += zipped
	in.unzipped += unzipped
	if in.zipped > in.size {
		const overlap = "overlaps another entry: compressed sizes add up to more than the archive's %d bytes"
		return fmt.Errorf(overlap, in.size)
	}

	if in.unzipped > MaxUnzippedBytes {
		return fmt.Errorf("unzipped sizes add up to more than %d bytes", uint64(MaxUnzippedBytes))
	}

	return nil
}

var errSymlink = errors.New("is a symbolic link; layers cannot contain symbolic links")

// FormatError reports an archive or folder that cannot be read as a tree. Entry may be empty.
type FormatError struct{ Archive, Entry, Reason string }

func (e *FormatError) Error() string {
	if e.Entry == "" {
		return fmt.Sprintf("read %s: %s", e.Archive, e.Reason)
	}

	return fmt.Sprintf("read %s: entry %q %s", e.Archive, e.Entry, e.Reason)
}

// CheckName returns an error if a tree cannot contain the name. Its text follows the name.
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
		return errors.New("has a name that is not a clean relative path")
	}

	return nil
}

// Executable returns the entry with execute permission.
func (e Entry) Executable() Entry {
	e.Exec = true
	return e
}

// File makes an entry from bytes in memory. They are deflated if that is smaller.
func File(name string, content []byte, origin string) Entry {
	e := Entry{Name: name, Size: int64(len(content)), CRC32: crc32.ChecksumIEEE(content), Origin: origin}
	// Gzipped files do not get smaller. Trying would take most of the time of rewriting botocore.
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

// ReadFolder makes a tree of the regular files of a folder. Its entries are stored and Loose:
// callers that write them deflate them first (see Entry.Deflated). A file is read once now, for its
// CRC, and again when its entry is opened. Files that a tree cannot contain are a *FormatError.
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

		if err := checkDirEntry(name, d); err != nil {
			return &FormatError{origin, name, err.Error()}
		}

		info, err := d.Info()
		if err != nil {
			return err
		}

		total += info.Size()
		if len(entries) >= MaxEntries || total > MaxUnzippedBytes {
			const limits = "exceeds the limits for a folder: %d files and %d bytes"
			return &FormatError{origin, name, fmt.Sprintf(limits, MaxEntries, int64(MaxUnzippedBytes))}
		}

		size, sum, err := checksum(fsys, name)
		if err != nil {
			return err
		}

		entries = append(entries, Entry{
			Name:        name,
			Exec:        info.Mode()&0o111 != 0,
			Closed:      info.Mode()&0o004 == 0,
			Size:        size,
			ZippedBytes: size,
			CRC32:       sum,
			Method:      zip.Store,
			Origin:      origin,
			Loose:       true,
			raw:         func() (io.Reader, error) { return openAll(fsys, name) },
		})
		return nil
	})
	if err != nil {
		return Tree{}, err
	}

	return New(entries)
}

func checkDirEntry(name string, d fs.DirEntry) error {
	if err := CheckName(name); err != nil {
		return err
	}

	if d.Type()&fs.ModeSymlink != 0 {
		return errSymlink
	}

	if !d.Type().IsRegular() {
		return fmt.Errorf("is not a regular file (%v)", d.Type())
	}

	return nil
}

// checksum returns the size and CRC-32 of a file.
func checksum(fsys fs.FS, name string) (size int64, sum uint32, err error) {
	f, err := fsys.Open(name)
	if err != nil {
		return 0, 0, err
	}
	defer f.Close()

	h := crc32.NewIEEE()
	size, err = io.Copy(h, f)
	return size, h.Sum32(), err
}

// openAll reads the whole file, so that entries hold no open files.
func openAll(fsys fs.FS, name string) (io.Reader, error) {
	b, err := fs.ReadFile(fsys, name)
	if err != nil {
		return nil, err
	}

	return bytes.NewReader(b), nil
}
