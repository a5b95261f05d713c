package ziptree

import (
	"archive/zip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"testing/iotest"
)

func names(t Tree) string {
	var all []string
	for _, e := range t.Entries() {
		all = append(all, e.Name)
	}

	return strings.Join(all, " ")
}

func TestReadTakesWhatInstallersWrite(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("a", MaxNameBytes)
	for sentence, tt := range map[string]struct {
		in    []byte
		names string
		exec  string // names of executable files
	}{
		"an empty archive": {in: archive("")},
		"files are sorted by bytes": {
			in: archive("", member{name: "b.py"}, member{name: "a/z.py"}, member{name: "a.py"},
				member{name: "B.py"}),
			names: "B.py a.py a/z.py b.py",
		},
		"folders are implied": {
			in: archive("", member{name: "a/"}, member{name: "a/b/", creator: 3, mode: 0o40755},
				member{name: "a/b/c.py"}),
			names: "a/b/c.py",
		},
		"bytes before the archive": {
			in:    archive("#!/usr/bin/env python3\n", member{name: "a.py", content: "x"}),
			names: "a.py",
		},
		"Unix modes": {
			in: archive("", member{name: "r", creator: 3, mode: 0o100644},
				member{name: "x", creator: 3, mode: 0o100755}, member{name: "g", creator: 3, mode: 0o100654}),
			names: "g r x",
			exec:  "g x",
		},
		"modes without a file type": {
			in:    archive("", member{name: "a", creator: 3, mode: 0}, member{name: "b", creator: 3, mode: 0o755}),
			names: "a b",
			exec:  "b",
		},
		"FAT has no modes": {
			in:    archive("", member{name: "a", attrs: 0x20}, member{name: "b", attrs: 1}),
			names: "a b",
		},
		"names beyond ASCII": {
			in:    archive("", member{name: "é/ñ.py", flags: 1 << 11}, member{name: "z.py"}),
			names: "z.py é/ñ.py",
		},
		"the longest name":             {in: archive("", member{name: long}), names: long},
		"dots that are part of a name": {in: archive("", member{name: "..a/b..c/..."}), names: "..a/b..c/..."},
		"sizes in a zip64 field": {
			in:    archive("", member{name: "a", content: "abc", zip64: true}),
			names: "a",
		},
		"a data descriptor": {
			in:    archive("", member{name: "a", content: "abc", method: zip.Deflate, descriptor: true}),
			names: "a",
		},
		"unknown extra fields are ignored": {
			in:    archive("", member{name: "a", extra: []byte("\xfe\xca\x02\x00hi")}),
			names: "a",
		},
		"an encrypted folder has no bytes": {
			in:    archive("", member{name: "a/", flags: 1}, member{name: "b"}),
			names: "b",
		},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			tree := mustRead(t, tt.in)
			var exec []string
			for _, e := range tree.Entries() {
				if e.Exec {
					exec = append(exec, e.Name)
				}

				if e.Origin != "x.whl" {
					t.Errorf("%s has origin %q", e.Name, e.Origin)
				}
			}

			if got := names(tree); got != tt.names {
				t.Errorf("names %q, want %q", got, tt.names)
			}

			if got := strings.Join(exec, " "); got != tt.exec {
				t.Errorf("executable %q, want %q", got, tt.exec)
			}
		})
	}
}

func TestReadRefuses(t *testing.T) {
	t.Parallel()
	const gib4 = 4 << 30
	deflated := func(change func(*member)) member {
		m := member{name: "a", content: "a", raw: []byte("\x4b\x04\x00"), method: zip.Deflate}
		change(&m)
		return m
	}
	for sentence, tt := range map[string]struct {
		in  []byte
		err string
	}{
		"not a zip": {in: []byte("hello"), err: "read x.whl: zip: not a valid zip file"},
		"nothing":   {in: nil, err: "read x.whl: zip: not a valid zip file"},
		"a name above the root": {
			in:  archive("", member{name: "../a"}),
			err: `read x.whl: entry "../a" has a name that is not a clean relative path`,
		},
		"a name above the root, from a folder": {
			in:  archive("", member{name: "a/../../b"}),
			err: `read x.whl: entry "a/../../b" has a name that is not a clean relative path`,
		},
		"a folder above the root": {
			in:  archive("", member{name: "../"}),
			err: `read x.whl: entry "../" has a name that is not a clean relative path`,
		},
		"the root as a folder": {in: archive("", member{name: "/"}), err: `read x.whl: entry "/" has no name`},
		"the root as a file": {
			in:  archive("", member{name: "."}),
			err: `read x.whl: entry "." has a name that is not a clean relative path`,
		},
		"two slashes": {
			in:  archive("", member{name: "a//b"}),
			err: `read x.whl: entry "a//b" has a name that is not a clean relative path`,
		},
		"an absolute name": {
			in:  archive("", member{name: "/etc/passwd"}),
			err: `read x.whl: entry "/etc/passwd" has an absolute name`,
		},
		"a drive letter": {
			in:  archive("", member{name: "c:a"}),
			err: `read x.whl: entry "c:a" has an absolute name`,
		},
		"a backslash": {
			in:  archive("", member{name: `a\b`}),
			err: `read x.whl: entry "a\\b" has a backslash in its name`,
		},
		"a NUL": {
			in:  archive("", member{name: "a\x00b"}),
			err: `read x.whl: entry "a\x00b" has a NUL in its name`,
		},
		"a name in Latin-1": {
			in:  archive("", member{name: "\xe9.py"}),
			err: `read x.whl: entry "\xe9.py" has a name that is not UTF-8`,
		},
		"no name": {in: archive("", member{name: ""}), err: "read x.whl: has no name"},
		"a name that is too long": {
			in:  archive("", member{name: strings.Repeat("a", MaxNameBytes+1)}),
			err: `read x.whl: entry "` + strings.Repeat("a", MaxNameBytes+1) + `" has a name of 1025 bytes, limit 1024`,
		},
		"a name twice": {
			in:  archive("", member{name: "a"}, member{name: "b"}, member{name: "a"}),
			err: "read x.whl: a is in x.whl and in x.whl",
		},
		"a symbolic link": {
			in:  archive("", member{name: "l", content: "a", creator: 3, mode: 0o120777}),
			err: `read x.whl: entry "l" is a symbolic link; layers cannot contain symbolic links`,
		},
		"a device": {
			in:  archive("", member{name: "d", creator: 3, mode: 0o020644}),
			err: `read x.whl: entry "d" is not a regular file (Dcrw-r--r--)`,
		},
		"a folder without a slash": {
			in:  archive("", member{name: "d", attrs: 0x10}),
			err: `read x.whl: entry "d" is not a regular file (drwxrwxrwx)`,
		},
		"a folder with bytes": {
			in:  archive("", member{name: "d/", content: "x"}),
			err: `read x.whl: entry "d/" has a name that is not a clean relative path`,
		},
		"an encrypted file": {
			in:  archive("", member{name: "a", content: "x", flags: 1}),
			err: `read x.whl: entry "a" is encrypted`,
		},
		"an unknown method": {
			in:  archive("", member{name: "a", method: 12, raw: []byte("x"), content: "x"}),
			err: `read x.whl: entry "a" has compression method 12; known: 0 (stored), 8 (deflated)`,
		},
		"stored, with two sizes": {
			in:  archive("", member{name: "a", content: "abc", size: number[uint64](4)}),
			err: `read x.whl: entry "a" is stored, but its two sizes differ (3, 4)`,
		},
		"a size above the limit": {
			in: archive("", deflated(func(m *member) {
				m.zip64 = true
				m.size = number[uint64](gib4 + 1)
			})),
			err: `read x.whl: entry "a" declares 4294967297 bytes (3 zipped); the archive has 123`,
		},
		"a zipped size larger than the archive": {
			in:  archive("", deflated(func(m *member) { m.zipped = number[uint64](1000) })),
			err: `read x.whl: entry "a" declares 1 bytes (1000 zipped); the archive has 103`,
		},
		"a size beyond 63 bits": {
			in: archive("", deflated(func(m *member) {
				m.zip64 = true
				m.size = number[uint64](1<<64 - 1)
			})),
			err: `read x.whl: entry "a" declares 18446744073709551615 bytes (3 zipped); the archive has 123`,
		},
		"more bytes than deflate can encode": {
			in: archive("",
				member{name: "a", raw: []byte("\x03\x00"), method: zip.Deflate, size: number[uint64](1 << 30)}),
			err: `read x.whl: entry "a" declares 1073741824 bytes, which is more than 2 bytes can inflate to`,
		},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			_, err := read(tt.in)
			if errText(err) != tt.err {
				t.Fatalf("error %v\n want %s", err, tt.err)
			}

			var format *FormatError
			if !errors.As(err, &format) || format.Archive != "x.whl" {
				t.Errorf("%T is no FormatError of x.whl", err)
			}
		})
	}
}

// Zip bombs have many directory entries for the same bytes.
func TestReadRefusesOverlappingEntries(t *testing.T) {
	t.Parallel()
	kernel := strings.Repeat("\x00", 1<<20)
	members := []member{{name: "0", content: kernel, method: zip.Deflate, raw: Deflate([]byte(kernel))}}
	for i := 1; i < 100; i++ {
		m := members[0]
		m.name = fmt.Sprint(i)
		m.at = len("prefix")
		members = append(members, m)
	}

	_, err := read(archive("prefix", members...))
	if err == nil ||
		!strings.Contains(err.Error(), "overlaps another entry: compressed sizes add up to more than the archive's") {
		t.Errorf("error %v", err)
	}
}

func TestReadRefusesTooManyBytesInAll(t *testing.T) {
	t.Parallel()
	// Each is possible by itself: 5 MB that declare to inflate to 3 GiB.
	raw := make([]byte, 5<<20)
	m := member{name: "a", method: zip.Deflate, raw: raw, size: number[uint64](3 << 30)}
	n := m
	n.name = "b"
	_, err := read(archive("", m, n))
	if want := `read x.whl: entry "b" unzipped sizes add up to more than 4294967296 bytes`; errText(err) != want {
		t.Errorf("error %v\n want %s", err, want)
	}
}

func TestReadCountsEntriesBeforeItChecksThem(t *testing.T) {
	t.Parallel()
	members := make([]member, MaxEntries+1)
	_, err := read(archive("", members...)) // none has a name, but the count is checked first
	if want := "read x.whl: 200001 entries, limit 200000"; errText(err) != want {
		t.Errorf("error %v\n want %s", err, want)
	}
}

func TestOpenEnforcesWhatTheDirectoryDeclares(t *testing.T) {
	t.Parallel()
	const content = "the bytes of a file, the bytes of a file"
	for sentence, tt := range map[string]struct {
		in    member
		bytes string // what Bytes says
		open  string // what reading Open says
	}{
		"stored":   {in: member{}},
		"deflated": {in: member{method: zip.Deflate}},
		"stored, wrong CRC": {
			in:    member{crc: number[uint32](1)},
			bytes: "read a: CRC-32 e0da4aac, declared 00000001",
		},
		"deflated, wrong CRC": {
			in:    member{method: zip.Deflate, crc: number[uint32](1)},
			bytes: "read a: CRC-32 e0da4aac, declared 00000001",
		},
		"one byte too many": {
			in:    member{method: zip.Deflate, size: number(uint64(len(content) - 1))},
			bytes: "read a: more bytes than declared (39)",
		},
		"none declared": {
			in:    member{method: zip.Deflate, size: number[uint64](0)},
			bytes: "read a: more bytes than declared (0)",
		},
		"one byte too few": {
			in:    member{method: zip.Deflate, size: number(uint64(len(content) + 1))},
			bytes: "read a: 1 bytes fewer than declared: unexpected EOF",
		},
		"not deflated at all": {
			in:    member{method: zip.Deflate, raw: []byte("\xff\xff\xff\xff\xff")},
			bytes: "read a: flate: corrupt input before offset 1",
		},
		"deflated and cut off": {
			in:    member{method: zip.Deflate, raw: Deflate([]byte(content))[:8]},
			bytes: "read a: unexpected EOF",
		},
		"behind a descriptor": {in: member{method: zip.Deflate, descriptor: true}},
		"no bytes, but a CRC": {
			in:    member{method: zip.Deflate, raw: Deflate(nil), size: number[uint64](0), crc: number[uint32](7)},
			bytes: "read a: CRC-32 00000000, declared 00000007",
		},
		"behind the directory":  {in: member{at: 1 << 20}, bytes: "read a: EOF"},
		"at no header of a zip": {in: member{at: 1}, bytes: "read a: zip: not a valid zip file"},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			m := tt.in
			m.name = "a"
			m.content = content
			e, ok := mustRead(t, archive(strings.Repeat("-", 100), m)).Lookup("a")
			if !ok {
				t.Fatal("no entry a")
			}

			b, err := e.Bytes(1 << 20)
			if errText(err) != tt.bytes || err == nil && string(b) != content {
				t.Errorf("Bytes: %q, %v\n want %s", b, err, tt.bytes)
			}

			// A reader of single bytes must meet the same error.
			r, err := e.Open()
			if err == nil {
				b, err = io.ReadAll(iotest.OneByteReader(r))
				if err := r.Close(); err != nil {
					t.Error(err)
				}
			}

			if errText(err) != tt.bytes || err == nil && string(b) != content {
				t.Errorf("Open: %q, %v\n want %s", b, err, tt.bytes)
			}
		})
	}
}

func TestBytesRefusesMoreThanItsLimit(t *testing.T) {
	t.Parallel()
	e := File("a", []byte("abcd"), "here")
	if b, err := e.Bytes(4); string(b) != "abcd" || err != nil {
		t.Errorf("%q, %v", b, err)
	}

	if _, err := e.Bytes(3); errText(err) != "read a: 4 bytes, limit 3" {
		t.Errorf("error %v", err)
	}
}

func TestBytesPassesOnErrorsOfTheSource(t *testing.T) {
	t.Parallel()
	e := Entry{Name: "a", Size: 1, raw: func() (io.Reader, error) { return nil, fs.ErrNotExist }}
	if _, err := e.Bytes(9); !errors.Is(err, fs.ErrNotExist) || err.Error() != "read a: file does not exist" {
		t.Errorf("error %v", err)
	}

	e.raw = func() (io.Reader, error) { return iotest.ErrReader(io.ErrClosedPipe), nil }
	_, err := e.Bytes(9)
	if !errors.Is(err, io.ErrClosedPipe) || err.Error() != "read a: io: read/write on closed pipe" {
		t.Errorf("error %v", err)
	}
}

func TestNewNamesBothOriginsOfAName(t *testing.T) {
	t.Parallel()
	_, err := New([]Entry{
		File("b", nil, "one.whl"),
		File("a", nil, "two.whl"),
		File("b", nil, "three.whl"),
	})
	if want := "b is in one.whl and in three.whl"; errText(err) != want {
		t.Errorf("error %v\n want %s", err, want)
	}
}

func TestNewLeavesItsArgumentAlone(t *testing.T) {
	t.Parallel()
	in := []Entry{File("b", nil, ""), File("a", nil, "")}
	if tree := mustNew(t, in...); names(tree) != "a b" || in[0].Name != "b" {
		t.Errorf("tree %s, argument begins with %s", names(tree), in[0].Name)
	}
}

func TestLookupFindsExactNamesOnly(t *testing.T) {
	t.Parallel()
	tree := mustNew(t, File("a/b.py", nil, ""), File("a.py", nil, ""), File("c", nil, ""))
	var found []string
	for _, name := range []string{"", "a", "a.py", "a/", "a/b", "a/b.py", "A.py", "c", "d"} {
		if e, ok := tree.Lookup(name); ok && e.Name == name {
			found = append(found, name)
		}
	}

	if want := []string{"a.py", "a/b.py", "c"}; !slices.Equal(found, want) {
		t.Errorf("found %q, want %q", found, want)
	}

	if _, ok := (Tree{}).Lookup("a"); ok {
		t.Error("the empty tree has a file")
	}
}

func TestFileIsDeflatedOnlyWhenThatIsSmaller(t *testing.T) {
	t.Parallel()
	small := File("a", []byte("ab"), "o").Executable()
	large := File("b", []byte(strings.Repeat("ab", 100)), "o")
	if small.Method != zip.Store || small.Size != 2 || small.ZippedBytes != 2 || !small.Exec {
		t.Errorf("small: %+v", small)
	}

	if large.Method != zip.Deflate || large.Size != 200 || large.ZippedBytes >= 200 {
		t.Errorf("large: %+v", large)
	}

	for _, e := range []Entry{small, large} {
		b, err := e.Bytes(1000)
		if err != nil || int64(len(b)) != e.Size {
			t.Errorf("%s: %q, %v", e.Name, b, err)
		}
	}

	if n := mustNew(t, small, large).UnzippedBytes(); n != 202 {
		t.Errorf("UnzippedBytes %d", n)
	}
}

func TestDeflatedKeepsAllButTheMethod(t *testing.T) {
	t.Parallel()
	content := strings.Repeat("ab", 100)
	stored, ok := mustRead(
		t,
		archive("", member{name: "a", content: content, creator: 3, mode: 0o100755, comment: "note"}),
	).Lookup("a")
	if !ok {
		t.Fatal("no entry a")
	}

	packed, err := stored.Deflated()
	if err != nil {
		t.Fatal(err)
	}

	if packed.Method != zip.Deflate || packed.ZippedBytes >= stored.ZippedBytes {
		t.Errorf("method %d, %d bytes", packed.Method, packed.ZippedBytes)
	}

	if packed.Name != "a" || packed.Size != stored.Size || packed.CRC32 != stored.CRC32 || !packed.Exec ||
		packed.Origin != "x.whl" || packed.Note != "note" {
		t.Errorf("%+v\nwant all else of %+v", packed, stored)
	}

	again, err := packed.Deflated()
	if err != nil || again.ZippedBytes != packed.ZippedBytes {
		t.Errorf("again: %+v, %v", again, err)
	}

	stored.CRC32++
	if _, err := stored.Deflated(); err == nil {
		t.Error("a wrong CRC was accepted")
	}
}

func TestReadFolderTakesRegularFilesOnly(t *testing.T) {
	t.Parallel()
	file := func(s string, mode fs.FileMode) *fstest.MapFile { return &fstest.MapFile{Data: []byte(s), Mode: mode} }
	for sentence, tt := range map[string]struct {
		in   fstest.MapFS
		want string
		err  string
	}{
		"an empty folder": {in: fstest.MapFS{}},
		"files": {
			in: fstest.MapFS{
				"b.py":   file("b", 0o644),
				"a/x.sh": file("xy", 0o755),
				"empty":  {Mode: fs.ModeDir | 0o755},
			},
			want: "a/x.sh:xy:true b.py:b:false",
		},
		"a symbolic link": {
			in:  fstest.MapFS{"a": file("b", fs.ModeSymlink|0o777)},
			err: `read dir: entry "a" is a symbolic link; layers cannot contain symbolic links`,
		},
		"a pipe": {
			in:  fstest.MapFS{"p/a": file("", fs.ModeNamedPipe|0o644)},
			err: `read dir: entry "p/a" is not a regular file (p---------)`,
		},
		"a backslash": {
			in:  fstest.MapFS{`a\b`: file("", 0o644)},
			err: `read dir: entry "a\\b" has a backslash in its name`,
		},
		"a name that is not": {
			in:  fstest.MapFS{"c:d": file("", 0o644)},
			err: `read dir: entry "c:d" has an absolute name`,
		},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			tree, err := ReadFolder(tt.in, "dir")
			if errText(err) != tt.err {
				t.Fatalf("error %v\n want %s", err, tt.err)
			}

			var got []string
			for _, e := range tree.Entries() {
				b, err := e.Bytes(99)
				if err != nil || e.Origin != "dir" || e.Method != zip.Store {
					t.Errorf("%+v: %v", e, err)
				}

				got = append(got, fmt.Sprintf("%s:%s:%v", e.Name, b, e.Exec))
			}

			if s := strings.Join(got, " "); s != tt.want {
				t.Errorf("got %q, want %q", s, tt.want)
			}
		})
	}
}

func TestReadFolderDetectsAChangedFile(t *testing.T) {
	t.Parallel()
	dir := fstest.MapFS{"a": {Data: []byte("before"), Mode: 0o644}}
	tree, err := ReadFolder(dir, "dir")
	if err != nil {
		t.Fatal(err)
	}

	dir["a"].Data = []byte("after!")
	if _, err := tree.Entries()[0].Bytes(99); err == nil || !strings.Contains(err.Error(), "read a: CRC-32") {
		t.Errorf("error %v", err)
	}

	delete(dir, "a")
	if _, err := tree.Entries()[0].Bytes(99); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error %v", err)
	}
}
