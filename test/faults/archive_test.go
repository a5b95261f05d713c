package faults

import (
	"archive/zip"
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/layersmith/layersmith/internal/ziptree"
)

// archiveFault is a zip that is refused for the same reason as a wheel, as a layer to prune, and as
// a layer to check.
type archiveFault struct {
	title   string
	entries []entry             // beside what makes it a wheel, or a layer
	change  func([]byte) []byte // of the whole zip; instead of or after entries
	reason  string              // after the name of the archive
	hint    string              // of a layer; "" for zipHint
	byUV    bool                // uv does not take it for a wheel either, and is the first to see it
}

func stored(name, content string) entry {
	return entry{name: name, content: content, header: func(h *zip.FileHeader) { h.Method = zip.Store }}
}

// declared is a file whose headers do not match its content.
func declared(name, content string, change func(*zip.FileHeader)) entry {
	raw := ziptree.Deflate([]byte(content))
	return entry{name: name, raw: raw, header: func(h *zip.FileHeader) {
		h.CRC32 = crc32.ChecksumIEEE([]byte(content))
		h.CompressedSize64 = uint64(len(raw))
		h.UncompressedSize64 = uint64(len(content))
		change(h)
	}}
}

func link(name, to string) entry {
	return entry{name: name, content: to, header: func(h *zip.FileHeader) { h.SetMode(0o777 | fs.ModeSymlink) }}
}

// archiveFaults are refused before anything is unpacked.
var archiveFaults = []archiveFault{
	{
		title:   "a name that leaves the archive",
		entries: []entry{{name: "../evil.py", content: "x"}},
		reason:  `entry "../evil.py" has a name that is not a clean relative path`,
	},
	{
		title:   "a name that leaves it from inside",
		entries: []entry{{name: "a/../../evil.py", content: "x"}},
		reason:  `entry "a/../../evil.py" has a name that is not a clean relative path`,
	},
	{
		title:   "an absolute name",
		entries: []entry{{name: "/tmp/evil.py", content: "x"}},
		reason:  `entry "/tmp/evil.py" has an absolute name`,
	},
	{
		title:   "a name with a drive",
		entries: []entry{{name: "C:evil.py", content: "x"}},
		reason:  `entry "C:evil.py" has an absolute name`,
	},
	{
		title:   "a name with backslashes",
		entries: []entry{{name: `..\evil.py`, content: "x"}},
		reason:  `entry "..\\evil.py" has a backslash in its name`,
	},
	{
		title:   "a name with a NUL",
		byUV:    true,
		entries: []entry{{name: "a\x00.py", content: "x"}},
		reason:  `entry "a\x00.py" has a NUL in its name`,
	},
	{
		title:   "a name that is not UTF-8",
		entries: []entry{{name: "\xe9.py", content: "x"}},
		reason:  `entry "\xe9.py" has a name that is not UTF-8`,
	},
	{
		title:   "a name twice",
		entries: []entry{{name: "twice.py", content: "1"}, {name: "twice.py", content: "2"}},
		reason:  "twice.py is in $ARCHIVE and in $ARCHIVE",
	},
	{
		title:   "a symbolic link out of the tree",
		entries: []entry{link("passwd", "../../../etc/passwd")},
		hint:    linkHint,
		reason:  `entry "passwd" is a symbolic link; layers cannot contain symbolic links`,
	},
	{
		title:   "a symbolic link and a file through it",
		entries: []entry{link("etc", "/etc"), {name: "etc/cron.d/evil", content: "x"}},
		hint:    linkHint,
		reason:  `entry "etc" is a symbolic link; layers cannot contain symbolic links`,
	},
	{
		title: "a device",
		entries: []entry{
			{name: "null", header: func(h *zip.FileHeader) { h.SetMode(fs.ModeDevice | fs.ModeCharDevice | 0o666) }},
		},
		reason: `entry "null" is not a regular file (Dcrw-rw-rw-)`,
	},
	{
		title:   "an encrypted file",
		byUV:    true,
		entries: []entry{declared("secret", "x", func(h *zip.FileHeader) { h.Flags |= 1 })},
		reason:  `entry "secret" is encrypted`,
	},
	{
		title:   "a method that nothing on Lambda reads",
		byUV:    true,
		entries: []entry{declared("b.bz2", "x", func(h *zip.FileHeader) { h.Method = 12 })},
		reason:  `entry "b.bz2" has compression method 12; known: 0 (stored), 8 (deflated)`,
	},
	{
		title:   "a bomb: more than its bytes can inflate to",
		entries: []entry{declared("bomb", "x", func(h *zip.FileHeader) { h.UncompressedSize64 = 3 << 30 })},
		reason:  `entry "bomb" declares 3221225472 bytes, which is more than 3 bytes can inflate to`,
	},
	{
		title:   "a bomb: more than is ever read",
		byUV:    true,
		entries: []entry{declared("bomb", "x", func(h *zip.FileHeader) { h.UncompressedSize64 = 1 << 62 })},
		reason:  `entry "bomb" declares 4611686018427387904 bytes (3 zipped); the archive has …`,
	},
	{
		title:  "a bomb: entries that overlap",
		change: func([]byte) []byte { return overlapping(200) },
		reason: `entry "…" overlaps another entry: compressed sizes add up to more than the archive's … bytes`,
	},
	{
		title:  "an archive that was cut short",
		change: func(b []byte) []byte { return b[:len(b)-30] },
		reason: "zip: not a valid zip file",
	},
	{
		title:  "an archive that is something else",
		change: func([]byte) []byte { return []byte("hello") },
		reason: "zip: not a valid zip file",
	},
	{
		title:  "an empty file in the place of an archive",
		change: func([]byte) []byte { return nil },
		reason: "zip: not a valid zip file",
	},
	{
		title: "a zip64 record that lies about where it is",
		change: func(b []byte) []byte {
			const locator = "PK\x06\x07\x00\x00\x00\x00\xff\xff\xff\xff\xff\xff\xff\x7f\x01\x00\x00\x00"
			const end = "PK\x05\x06\x00\x00\x00\x00" +
				"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x00\x00"
			return append(b[:len(b)-22], locator+end...)
		},
		reason: "zip: not a valid zip file",
	},
}

// overlapping is a zip with one megabyte of zeros, and a directory that lists it many times.
func overlapping(n int) []byte {
	le := binary.LittleEndian
	content := make([]byte, 1<<20)
	raw := ziptree.Deflate(content)
	sizes := le.AppendUint32(le.AppendUint32(le.AppendUint32(nil, crc32.ChecksumIEEE(content)), uint32(len(raw))),
		uint32(len(content)))
	var dir []byte
	out := append([]byte("PK\x03\x04\x14\x00\x00\x00\x08\x00\x00\x00\x00\x00"), sizes...)
	out = append(out, 5, 0, 0, 0)
	out = append(append(out, "00000"...), raw...)
	for i := range n {
		dir = append(append(dir, "PK\x01\x02\x14\x00\x14\x00\x00\x00\x08\x00\x00\x00\x00\x00"...), sizes...)
		dir = append(dir, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
		dir = fmt.Appendf(dir, "%05d", i%100_000)
	}

	end := append([]byte("PK\x05\x06\x00\x00\x00\x00"), byte(n), byte(n>>8), byte(n), byte(n>>8))
	end = le.AppendUint32(le.AppendUint32(end, uint32(len(dir))), uint32(len(out)))
	return append(append(append(out, dir...), end...), 0, 0)
}

const (
	indexHint   = "hint: the file is what its index serves; choose another version, or tell its maintainers"
	storeHint   = "hint: the file was damaged in the wheel store; run: layersmith clean --wheels, then build"
	damagedHint = "hint: get that file again; if it is one of the wheel store: layersmith clean --wheels, then build"
	linkHint    = "hint: replace the link by the file that it points to: zip -r without -y does that, " +
		"and cp -rL for a folder"
	brokenHint = "hint: the file is damaged: make it again, or fetch it again"
	zipHint    = "hint: make the zip again; layersmith reads plain zips of regular files"
)

// asWheel adds the archive to the index as beta 1.0, which main requires besides alpha. uv reads
// only METADATA.
func (f archiveFault) asWheel(w *world) {
	w.Helper()
	file := w.wheel("beta", "1.0", nil, f.entries...)
	requires("alpha", "beta==1.0")(w)
	if f.byUV {
		return
	}

	w.must("lock")
	if f.change == nil {
		return
	}

	// uv must be able to read it when it locks. Then the fault is applied to the file in the store.
	w.must("build")
	sum := sumOf(w, "index/"+file)
	p := "cache/wheels/" + sum[:2] + "/" + sum
	b := w.read(p)
	w.write(p, string(f.change([]byte(b))))
	w.remove("cache/packs")
	layerYAML("description: changed\n")(w)
}

func sumOf(w *world, name string) string {
	w.Helper()
	what := w.snapshot(name)[name]
	return what[strings.LastIndexByte(what, ' ')+1:]
}

// asLayer writes the archive as a layer that something else built.
func (f archiveFault) asLayer(w *world) {
	w.Helper()
	w.archive("in/layer.zip", append([]entry{{name: "python/mod.py", content: "x = 1\n"}}, f.entries...)...)
	if f.change != nil {
		w.write("in/layer.zip", string(f.change([]byte(w.read("in/layer.zip")))))
	}
}

func (f archiveFault) message(before, archive, hint string) string {
	reason := strings.ReplaceAll(f.reason, "$ARCHIVE", archive)
	return "error: " + before + "read " + archive + ": " + reason + "\n" + hint
}

func TestBadArchives(t *testing.T) {
	t.Parallel()
	for _, f := range archiveFaults {
		t.Run(f.title, func(t *testing.T) {
			t.Parallel()
			t.Run("as a wheel", func(t *testing.T) {
				t.Parallel()
				w := built(t)
				f.asWheel(w)
				if f.byUV {
					fault{
						title: f.title,
						want: "error: lock beta==1.0 (layers/main/requirements.txt:2): …beta==1.0 has an invalid " +
							"package format…\n" + indexHint,
					}.check(w)
					return
				}

				hint := indexHint
				if f.change != nil {
					hint = storeHint
				}

				fault{
					title: f.title,
					want:  f.message("assemble beta==1.0: ", "beta-1.0-py3-none-any.whl", hint),
				}.check(w)
			})
			t.Run("as a layer", func(t *testing.T) {
				t.Parallel()
				w := built(t)
				f.asLayer(w)
				w.write("out/small.zip", "what was there")
				for _, args := range [][]string{
					{"prune", "in/layer.zip", "-o", "out/small.zip"},
					{"check", "in/layer.zip"},
				} {
					args = append(args, "--target", thisMachine().target.String())
					fault{
						title: f.title,
						want:  f.message("", "in/layer.zip", cmp.Or(f.hint, zipHint)),
						args:  args,
					}.check(w)
				}
			})
		})
	}
}

const lieContent = "some data, some data, some data"

var lies = []struct {
	title  string
	lie    func(*zip.FileHeader)
	reason string
}{
	{
		"a file with more bytes than it declares",
		func(h *zip.FileHeader) { h.UncompressedSize64 = 10 },
		"more bytes than declared (10)",
	},
	{
		"a file with fewer bytes than it declares",
		func(h *zip.FileHeader) { h.UncompressedSize64 = 1000 },
		"969 bytes fewer than declared: unexpected EOF",
	},
	{"a file with another CRC-32", func(h *zip.FileHeader) { h.CRC32 = 7 }, "CRC-32 75e2b8df, declared 00000007"},
}

// Sizes and checksums that do not match the directory are found when the entry is inflated, at the
// latest when the layer is unpacked for the probe.
func TestLyingArchives(t *testing.T) {
	t.Parallel()
	for _, l := range lies {
		t.Run(l.title, func(t *testing.T) {
			t.Parallel()
			w := built(t)
			w.wheel("beta", "1.0", nil, declared("beta/data.bin", lieContent, l.lie))
			requires("alpha", "beta==1.0")(w)
			w.must("lock")
			fault{
				want: "error: unpack beta-1.0-py3-none-any.whl: read python/beta/data.bin: " + l.reason + "\n" +
					damagedHint,
			}.check(w)
			w.archive("in/layer.zip", entry{name: "python/mod.py", content: "x = 1\n"},
				declared("python/data.bin", lieContent, l.lie))
			fault{want: "error: open in/layer.zip: read python/data.bin: " + l.reason + "\n" + brokenHint,
				args: []string{"check", "in/layer.zip", "--target", thisMachine().target.String()}}.check(w)
		})
	}
}

// Zips that are not wheels.
var wheelFaults = []struct {
	title   string
	entries []entry
	want    string
}{
	{
		"a wheel without WHEEL",
		[]entry{{name: "beta-1.0.dist-info/WHEEL", content: absent}},
		"open wheel beta-1.0-py3-none-any.whl: .dist-info/WHEEL is missing",
	},
	{
		"a wheel of a format to come",
		[]entry{{name: "beta-1.0.dist-info/WHEEL", content: "Wheel-Version: 2.0\n"}},
		"open wheel beta-1.0-py3-none-any.whl: Wheel-Version is 2.0; supported: 1.x",
	},
	{
		"a wheel whose WHEEL is garbage",
		[]entry{{name: "beta-1.0.dist-info/WHEEL", content: "\x00\x01"}},
		"open wheel beta-1.0-py3-none-any.whl: WHEEL has no Wheel-Version",
	},
	{
		"a wheel with files of an unknown scheme",
		[]entry{{name: "beta-1.0.data/kernel/x", content: "x"}},
		`open wheel beta-1.0-py3-none-any.whl: unknown installation scheme "kernel" in beta-1.0.data/kernel/x`,
	},
	{
		"a wheel with a file of no scheme",
		[]entry{{name: "beta-1.0.data/purelib", content: "x"}},
		"open wheel beta-1.0-py3-none-any.whl: beta-1.0.data/purelib is not a valid path of an installation scheme",
	},
}

func TestBadWheels(t *testing.T) {
	t.Parallel()
	for _, f := range wheelFaults {
		t.Run(f.title, func(t *testing.T) {
			t.Parallel()
			w := built(t)
			w.wheel("beta", "1.0", nil, f.entries...)
			requires("alpha", "beta==1.0")(w)
			w.must("lock")
			fault{want: "error: assemble beta==1.0: " + f.want + "\n" + indexHint}.check(w)
		})
	}
}

// Layers that are built and that the gate refuses: exit code 3, with the output.
var gateFaults = []struct {
	title   string
	entries []entry
	want    string
}{
	{
		"names that differ in case only",
		[]entry{{name: "beta/Data.txt", content: "1"}, {name: "beta/data.txt", content: "2"}},
		"error: check main: python/beta/data.txt: differs from python/beta/Data.txt in case only\nhint: keep one: " +
			"file systems that ignore case unpack one over the other",
	},
	{
		"a shared object that is none",
		[]entry{{name: "beta/_x.so", content: "\x7fELF\x02\x01\x01"}},
		"error: check main: python/beta/_x.so: read elf: header: cut off at 7 bytes\nhint: build from the wheel; " +
			"this file cannot be loaded",
	},
}

func TestWhatTheGateRefuses(t *testing.T) {
	t.Parallel()
	for _, f := range gateFaults {
		t.Run(f.title, func(t *testing.T) {
			t.Parallel()
			w := built(t)
			w.wheel("beta", "1.0", nil, f.entries...)
			requires("alpha", "beta==1.0")(w)
			w.must("lock")
			fault{title: f.title, want: f.want, code: 3, writes: true}.check(w)
		})
	}
}

// Large and unusual archives that are valid are accepted.
func TestLargeAndUnusualArchives(t *testing.T) {
	t.Parallel()
	t.Run("forty thousand entries", func(t *testing.T) {
		t.Parallel()
		takes(t, 40_000)
	})
	t.Run("seventy thousand entries, which only zip64 can count", func(t *testing.T) {
		t.Parallel()
		takes(t, 70_000)
	})
	t.Run("sizes in zip64 fields where none are needed", func(t *testing.T) {
		t.Parallel()
		w := built(t)
		var b bytes.Buffer
		z := zip.NewWriter(&b)
		out, err := z.CreateRaw(&zip.FileHeader{
			Name:               "python/mod.py",
			Method:             zip.Store,
			CRC32:              crc32.ChecksumIEEE([]byte("x = 1\n")),
			CompressedSize64:   6,
			UncompressedSize64: 6,
		})
		if err == nil {
			_, err = io.WriteString(out, "x = 1\n")
		}

		if err == nil {
			err = z.Close()
		}

		if err != nil {
			t.Fatal(err)
		}

		w.write("in/layer.zip", string(inZip64(t, b.Bytes())))
		w.must("prune", "in/layer.zip", "-o", "small.zip", "--target", thisMachine().target.String())
		if got := inZip(t, w.path("small.zip"))["python/mod.py"]; got != "x = 1\n" {
			t.Errorf("mod.py is %q", got)
		}
	})
}

// inZip64 moves the sizes of the only entry to a zip64 field of the directory.
func inZip64(t *testing.T, b []byte) []byte {
	t.Helper()
	le := binary.LittleEndian
	at := bytes.Index(b, []byte("PK\x01\x02"))
	if at < 0 {
		t.Fatal("no directory")
	}

	end := bytes.Index(b, []byte("PK\x05\x06"))
	record := bytes.Clone(b[at:end])
	sizes := le.AppendUint64(le.AppendUint64([]byte{1, 0, 16, 0}, uint64(le.Uint32(record[24:]))),
		uint64(le.Uint32(record[20:])))
	le.PutUint32(record[20:], 1<<32-1)
	le.PutUint32(record[24:], 1<<32-1)
	le.PutUint16(record[30:], uint16(len(sizes)))
	record = append(record, sizes...)
	tail := bytes.Clone(b[end:])
	le.PutUint32(tail[12:], uint32(len(record)))
	return append(append(bytes.Clone(b[:at]), record...), tail...)
}

func inZip(t *testing.T, file string) map[string]string {
	t.Helper()
	z, err := zip.OpenReader(file)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	content := map[string]string{}
	for _, f := range z.File {
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}

		b, err := io.ReadAll(r)
		r.Close()
		if err != nil {
			t.Fatal(err)
		}

		content[f.Name] = string(b)
	}

	return content
}

func takes(t *testing.T, n int) {
	t.Helper()
	w := built(t)
	entries := []entry{{name: "python/mod.py", content: "x = 1\n"}}
	for i := range n {
		name := fmt.Sprintf("python/mod/data/%c/%c/%s", 'a'+i%26, 'a'+i/26%26, number(i))
		entries = append(entries, stored(name, number(i)))
	}

	w.archive("in/layer.zip", entries...)
	before := w.all()
	w.must("prune", "in/layer.zip", "-o", "small.zip", "--no-probe", "--target", thisMachine().target.String())
	w.unharmed(before)
	got := inZip(t, w.path("small.zip"))
	for _, e := range entries {
		if got[e.name] != e.content {
			t.Fatalf("%s is %q", e.name, got[e.name])
		}
	}

	if info, err := os.Stat(filepath.Join(w.dir, "small.zip")); err != nil || info.Size() == 0 {
		t.Error(info, err)
	}
}

func number(i int) string { return fmt.Sprintf("n%08d", i%100_000) }
