package ziptree

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"testing"

	"github.com/layersmith/layersmith/internal/digest"
)

func digestOf(b []byte) digest.SHA256 { return digest.Of(b) }

// Every byte of a written zip, by APPNOTE.TXT 4.3.7, 4.3.12 and 4.3.16.
func TestWrittenZipIsCanonicalByteByByte(t *testing.T) {
	t.Parallel()
	want := strings.Join([]string{
		"504b0304 0a00 0000 0000 0000 2100 43beb7e8 01000000 01000000 0400 0000",
		hex.EncodeToString([]byte("a.py")),
		"61",
		"504b0304 1400 0008 0800 0000 2100 58f09a59 06000000 c8000000 0300 0000",
		hex.EncodeToString([]byte("é")) + "62",
		"4b4c1c1e0000",
		"504b0102 1403 0a00 0000 0000 0000 2100 43beb7e8 01000000 01000000 0400 0000 0000 0000 0000 0000a481 00000000",
		hex.EncodeToString([]byte("a.py")),
		"504b0102 1403 1400 0008 0800 0000 2100 58f09a59 06000000 c8000000 0300 0000 0000 0000 0000 0000ed81 23000000",
		hex.EncodeToString([]byte("é")) + "62",
		"504b0506 0000 0000 0200 0200 63000000 4a000000 0000",
	}, "")
	raw, err := hex.DecodeString("4b4c1c1e0000")
	if err != nil {
		t.Fatal(err)
	}

	deflated := Entry{
		Name:        "éb",
		Exec:        true,
		Size:        200,
		ZippedBytes: 6,
		CRC32:       0x599af058,
		Method:      zip.Deflate,
		Note:        "not written",
		raw:         rawFrom(raw),
	}
	tree := mustNew(t, deflated, File("a.py", []byte("a"), "elsewhere"))
	got := hex.EncodeToString(written(t, tree))
	if want = strings.ReplaceAll(want, " ", ""); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// If these digests change, so does every layer: raise DeflateVersion with them.
func TestDeflateGivesTheBytesOfItsVersion(t *testing.T) {
	t.Parallel()
	var text strings.Builder
	for i := range 20_000 {
		fmt.Fprintf(&text, "def f%d(x):\n    return x * %d\n", i%977, i*i%1009)
	}

	for sentence, tt := range map[string]struct{ in, want string }{
		"nothing": {in: "", want: "deflate-fast-2.1 9b4fb24edd6d1d8830e272398263cdbf026b97392cc35387b991dc0248a628f9"},
		"zeros": {
			in:   strings.Repeat("\x00", 1<<20),
			want: "deflate-fast-2.1 716759f6487523a5ba110d7999d202db8b2b5d106a22863d8b66a2c31a7a070e",
		},
		"text": {
			in:   text.String(),
			want: "deflate-fast-2.1 57d65462d296ed083be2acc71b7f067ad00d76ae2918ac203838907fe9562e1b",
		},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			for range 2 { // the second time reuses a compressor
				if got := DeflateVersion + " " + digestOf(Deflate([]byte(tt.in))).String(); got != tt.want {
					t.Errorf("got %s, want %s", got, tt.want)
				}
			}
		})
	}
}

// The written zip does not depend on how the zip that was read is laid out.
func TestTheLayoutOfTheInputDoesNotMatter(t *testing.T) {
	t.Parallel()
	files := []member{
		{name: "p/__init__.py", content: "", creator: 3, mode: 0o100644},
		{name: "p/a.py", content: strings.Repeat("import os\n", 50), method: zip.Deflate, creator: 3, mode: 0o100644},
		{name: "p/b.so", content: strings.Repeat("\x7fELF", 50), method: zip.Deflate, creator: 3, mode: 0o100755},
		{name: "é.txt", content: "text", creator: 3, mode: 0o100600},
	}
	with := func(change func(*member)) []member {
		out := slices.Clone(files)
		for i := range out {
			change(&out[i])
		}

		return out
	}
	want := written(t, mustRead(t, archive("", files...)))
	reversed := slices.Clone(files)
	slices.Reverse(reversed)
	for sentence, in := range map[string][]byte{
		"data descriptors": archive("", with(func(m *member) { m.descriptor = true })...),
		"timestamps": archive("", with(func(m *member) {
			m.time = 0x6789
			m.date = 0x5abc
		})...),
		"extra fields":      archive("", with(func(m *member) { m.extra = []byte("UT\x05\x00\x03abcd") })...),
		"zip64 fields":      archive("", with(func(m *member) { m.zip64 = true })...),
		"comments":          archive("", with(func(m *member) { m.comment = "said so" })...),
		"flags of levels":   archive("", with(func(m *member) { m.flags = 2 | 1<<11 })...),
		"another order":     archive("", reversed...),
		"folders":           archive("", append([]member{{name: "p/"}, {name: "empty/"}}, files...)...),
		"other rights":      archive("", with(func(m *member) { m.mode |= 0o022 })...),
		"bytes before it":   archive("#!python\n", files...),
		"a copy of itself":  want,
		"Go's own, streams": fromGo(t, files),
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			if got := written(t, mustRead(t, in)); !bytes.Equal(got, want) {
				t.Errorf("got  %x\nwant %x", got, want)
			}
		})
	}
}

func fromGo(t *testing.T, files []member) []byte {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, m := range files {
		h := &zip.FileHeader{Name: m.name, Method: m.method, Flags: 8}
		h.SetMode(0o644 | map[bool]fs.FileMode{true: 0o111}[m.mode&0o111 != 0])
		raw := []byte(m.content)
		if m.method == zip.Deflate {
			raw = Deflate(raw)
		}

		e := File(m.name, []byte(m.content), "")
		h.CRC32 = e.CRC32
		h.CompressedSize64 = uint64(len(raw))
		h.UncompressedSize64 = uint64(e.Size)
		w, err := z.CreateRaw(h)
		if err == nil {
			_, err = w.Write(raw)
		}

		if err != nil {
			t.Fatal(err)
		}
	}

	if err := z.Close(); err != nil {
		t.Fatal(err)
	}

	return b.Bytes()
}

func TestWrittenZipIsReadByArchiveZip(t *testing.T) {
	t.Parallel()
	tree := mustNew(
		t,
		File("b/c.py", []byte(strings.Repeat("x = 1\n", 99)), ""),
		File("a.sh", []byte("#!/bin/sh\n"), "").Executable(),
		File("b/empty", nil, ""),
	)
	b := written(t, tree)
	z, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}

	var got []string
	for _, f := range z.File {
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}

		content, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}

		got = append(
			got,
			fmt.Sprintf("%s %v %s %d", f.Name, f.Mode(), f.Modified.Format("2006-01-02 15:04:05"), len(content)),
		)
		if len(f.Extra) > 0 || f.Comment != "" || f.Flags != 0 {
			t.Errorf("%s: extra %x, comment %q, flags %x", f.Name, f.Extra, f.Comment, f.Flags)
		}
	}

	want := []string{
		"a.sh -rwxr-xr-x 1980-01-01 00:00:00 10",
		"b/c.py -rw-r--r-- 1980-01-01 00:00:00 594",
		"b/empty -rw-r--r-- 1980-01-01 00:00:00 0",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestWrittenZipIsReadBack(t *testing.T) {
	t.Parallel()
	for sentence, entries := range map[string]int{
		"no files":                 0,
		"one":                      1,
		"as many as 16 bits count": 1<<16 - 1,
		"more than 16 bits count":  1<<16 + 1,
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			all := make([]Entry, entries)
			for i := range all {
				all[i] = Entry{Name: fmt.Sprintf("f%06d", i), raw: rawFrom(nil)}
			}

			tree := mustNew(t, all...)
			b := written(t, tree)
			again := mustRead(t, b)
			if again.Len() != entries || names(again) != names(tree) {
				t.Errorf("%d entries", again.Len())
			}

			if entries < 2 && int64(len(b)) != tree.ZipBytes() {
				t.Errorf("%d bytes, ZipBytes says %d", len(b), tree.ZipBytes())
			}
		})
	}
}

func TestNamedEntryIsWrittenUnderItsNewName(t *testing.T) {
	t.Parallel()
	e, ok := mustRead(t, archive("", member{name: "a.py", content: "x"})).Lookup("a.py")
	if !ok {
		t.Fatal("no a.py")
	}

	again := mustRead(t, written(t, mustNew(t, e.Named("python/a.py"))))
	if names(again) != "python/a.py" || e.Name != "a.py" {
		t.Errorf("%s from %s", names(again), e.Name)
	}
}

func TestCachesKeepNotes(t *testing.T) {
	t.Parallel()
	e := File("a", []byte("x"), "o")
	e.Note = "sha256 0123"
	var b bytes.Buffer
	w := NewWriter(&b)
	if err := w.Add(e); err != nil {
		t.Fatal(err)
	}

	done, err := w.Close()
	if err != nil || done.Bytes != int64(b.Len()) || done.SHA256 != digestOf(b.Bytes()) {
		t.Fatalf("%+v, %v", done, err)
	}

	if got, _ := mustRead(t, b.Bytes()).Lookup("a"); got.Note != e.Note {
		t.Errorf("note %q", got.Note)
	}

	if got, _ := mustRead(t, written(t, mustRead(t, b.Bytes()))).Lookup("a"); got.Note != "" {
		t.Errorf("a layer carries the note %q", got.Note)
	}
}

func TestWriteRefusesAnEntryThatEndsTooSoon(t *testing.T) {
	t.Parallel()
	tree := mustNew(t, Entry{Name: "a", Size: 5, ZippedBytes: 5, Origin: "x.whl", raw: rawFrom([]byte("abc"))})
	_, err := Write(t.Context(), io.Discard, tree)
	const short = "copy a from x.whl: 3 bytes, declared 5: unexpected EOF"
	if !errors.Is(err, io.ErrUnexpectedEOF) || err.Error() != short {
		t.Errorf("error %v", err)
	}

	closed := func() (io.Reader, error) { return nil, io.ErrClosedPipe }
	_, err = Write(t.Context(), io.Discard, mustNew(t, Entry{Name: "a", Origin: "x.whl", raw: closed}))
	const unopened = "copy a from x.whl: io: read/write on closed pipe"
	if !errors.Is(err, io.ErrClosedPipe) || err.Error() != unopened {
		t.Errorf("error %v", err)
	}
}

type full struct{}

var errFull = errors.New("no space left")

func (full) Write([]byte) (int, error) { return 0, errFull }

func TestWriteReturnsErrorsOfItsOutput(t *testing.T) {
	t.Parallel()
	noise := make([]byte, 3<<20)
	for i := range noise {
		noise[i] = byte(i * i >> 8)
	}

	for sentence, tree := range map[string]Tree{
		"at the end": mustNew(t, File("a", []byte("x"), "")),
		"early":      mustNew(t, Entry{Name: "a", Size: 3 << 20, ZippedBytes: 3 << 20, raw: rawFrom(noise)}),
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			if _, err := Write(t.Context(), full{}, tree); !errors.Is(err, errFull) {
				t.Errorf("error %v", err)
			}
		})
	}
}

func TestWriteStopsWhenItIsCanceled(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	opened := 0
	count := func() (io.Reader, error) {
		opened++
		cancel()
		return strings.NewReader(""), nil
	}
	tree := mustNew(t, Entry{Name: "a", raw: count}, Entry{Name: "b", raw: count})
	if _, err := Write(ctx, io.Discard, tree); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}

	if opened != 1 {
		t.Errorf("%d entries were opened", opened)
	}
}

func FuzzRead(f *testing.F) {
	a := member{
		name:    "a.py",
		content: "import os\nimport os\nimport os\n",
		method:  zip.Deflate,
		creator: 3,
		mode:    0o100755,
	}
	b := member{name: "b/c.txt", content: "text"}
	both := func(change func(*member)) []byte {
		x := a
		y := b
		change(&x)
		change(&y)
		return archive("", x, y)
	}
	f.Add(both(func(*member) {}))
	f.Add(both(func(m *member) { m.descriptor = true }))
	f.Add(both(func(m *member) { m.zip64 = true }))
	f.Add(both(func(m *member) { m.extra = []byte("UT\x05\x00\x03abcd") }))
	f.Add(both(func(m *member) { m.crc = number[uint32](1) }))
	f.Add(both(func(m *member) { m.size = number[uint64](5) }))
	f.Add(both(func(m *member) {
		m.size = number[uint64](1 << 63)
		m.zip64 = true
	}))
	f.Add(both(func(m *member) { m.zipped = number[uint64](1000) }))
	f.Add(both(func(m *member) { m.mode = 0o120777 }))
	f.Add(archive("", member{name: "bomb", content: strings.Repeat("\x00", 1<<20), method: zip.Deflate}))
	f.Add(archive("-", a, member{name: "again", content: a.content, method: zip.Deflate, at: 1}))
	f.Add(archive("", member{name: "d/"}, member{name: "../x"}, a, a))
	f.Fuzz(func(t *testing.T, in []byte) {
		tree, err := read(in)
		if err != nil {
			var format *FormatError
			if !errors.As(err, &format) {
				t.Fatalf("%T: %v", err, err)
			}

			return
		}

		readable := checkTree(t, tree)
		var out bytes.Buffer
		w, err := Write(t.Context(), &out, tree)
		if err != nil {
			if readable {
				t.Fatalf("every entry can be read, but: %v", err)
			}

			return
		}

		if w.Bytes != int64(out.Len()) || tree.ZipBytes() != w.Bytes {
			t.Fatalf("wrote %d bytes, Write returned %d, ZipBytes %d", out.Len(), w.Bytes, tree.ZipBytes())
		}

		again, err := read(out.Bytes())
		if err != nil {
			t.Fatal(err)
		}

		if names(again) != names(tree) || again.UnzippedBytes() != tree.UnzippedBytes() {
			t.Fatalf("%q became %q", names(tree), names(again))
		}

		var twice bytes.Buffer
		if _, err := Write(t.Context(), &twice, again); err != nil || !bytes.Equal(out.Bytes(), twice.Bytes()) {
			t.Fatalf("a copy of the copy differs: %v", err)
		}
	})
}

// checkTree checks the properties that every tree has, and reports whether all entries are
// readable.
func checkTree(t *testing.T, tree Tree) (readable bool) {
	t.Helper()
	if tree.UnzippedBytes() > MaxUnzippedBytes || tree.Len() > MaxEntries {
		t.Fatalf("%d entries, %d bytes", tree.Len(), tree.UnzippedBytes())
	}

	readable = true
	for i, e := range tree.Entries() {
		if err := CheckName(e.Name); err != nil {
			t.Fatalf("%q %v", e.Name, err)
		}

		if i > 0 && tree.Entries()[i-1].Name >= e.Name {
			t.Fatalf("%q is not sorted", e.Name)
		}

		content, err := e.Bytes(1 << 22)
		if err == nil && int64(len(content)) != e.Size {
			t.Fatalf("%q: %d bytes, declared %d", e.Name, len(content), e.Size)
		}

		readable = readable && err == nil
	}

	return readable
}
