package wheel

import (
	"archive/zip"
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/layersmith/layersmith/internal/pydist"
	"github.com/layersmith/layersmith/internal/ziptree"
)

const (
	wheelFile = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
	metadata  = "Metadata-Version: 2.1\nName: My.Pkg\nVersion: 1.0\n\nthe description\n"
	sum       = "47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU"
)

// sound is a valid wheel. files adds or replaces files, or removes those with the content "-".
func sound(files map[string]string) map[string]string {
	all := map[string]string{
		"my_pkg/__init__.py":             "x = 1\n",
		"my_pkg-1.0.dist-info/METADATA":  metadata,
		"my_pkg-1.0.dist-info/WHEEL":     wheelFile,
		"my_pkg-1.0.dist-info/RECORD":    "my_pkg/__init__.py,sha256=" + sum + ",6\nmy_pkg-1.0.dist-info/RECORD,,\n",
		"my_pkg-1.0.dist-info/LICENSE":   "free",
		"my_pkg-1.0.dist-info/top_level": "my_pkg\n",
	}
	for name, content := range files {
		all[name] = content
		if content == "-" {
			delete(all, name)
		}
	}

	return all
}

func tree(t testing.TB, files map[string]string) ziptree.Tree {
	t.Helper()
	var entries []ziptree.Entry
	for name, content := range files {
		e := ziptree.File(name, []byte(content), "store/0123.whl")
		e.Exec = strings.HasSuffix(name, ".so")
		entries = append(entries, e)
	}

	made, err := ziptree.New(entries)
	if err != nil {
		t.Fatal(err)
	}

	return made
}

func fileName(t testing.TB) pydist.WheelName {
	t.Helper()
	name, err := pydist.ParseWheelName("my_pkg-1.0-py3-none-any.whl")
	if err != nil {
		t.Fatal(err)
	}

	return name
}

func names(t ziptree.Tree) (all []string) {
	for _, e := range t.Entries() {
		all = append(all, e.Name)
	}

	return all
}

func errText(err error) string {
	if err == nil {
		return ""
	}

	return err.Error()
}

func TestOpenReadsTheDistribution(t *testing.T) {
	t.Parallel()
	w, err := Open(tree(t, sound(map[string]string{
		"my_pkg-1.0.dist-info/entry_points.txt": "[console_scripts]\nmy = my_pkg.cli:main\n\n[plugins]\np = my_pkg\n",
	})), fileName(t), "0123")
	if err != nil {
		t.Fatal(err)
	}

	if w.Name.String() != "my-pkg" || w.Version.String() != "1.0" || w.DistInfo != "my_pkg-1.0.dist-info" ||
		w.Wheel != "0123" {
		t.Errorf("%s %s %s %s", w.Name, w.Version, w.DistInfo, w.Wheel)
	}

	wantEntry := []pydist.EntryPoint{
		{Group: "console_scripts", Name: "my", Module: "my_pkg.cli", Attr: "main"},
		{Group: "plugins", Name: "p", Module: "my_pkg"},
	}
	if d := cmp.Diff(wantEntry, w.Entry); d != "" {
		t.Error(d)
	}

	wantRecord := map[string]string{"my_pkg/__init__.py": sum, "my_pkg-1.0.dist-info/RECORD": ""}
	if d := cmp.Diff(wantRecord, w.Record); d != "" {
		t.Error(d)
	}

	if d := cmp.Diff(names(w.Tree), w.Files); d != "" {
		t.Error(d)
	}

	if e, _ := w.Tree.Lookup("my_pkg/__init__.py"); e.Origin != "my_pkg-1.0-py3-none-any.whl" {
		t.Errorf("origin %q", e.Origin)
	}
}

func TestOpenUnpacksDataSchemes(t *testing.T) {
	t.Parallel()
	const data = "my_pkg-1.0.data/"
	for sentence, tt := range map[string]struct {
		from, to string
		content  string
		want     string // content afterwards; "" if unchanged
		exec     bool
	}{
		"purelib is the site folder": {from: "purelib/my_pkg/a.py", to: "my_pkg/a.py", content: "a"},
		"platlib too": {
			from:    "platlib/my_pkg/_a.so",
			to:      "my_pkg/_a.so",
			content: "a",
			exec:    true,
		},
		"data too": {from: "data/share/a.txt", to: "share/a.txt", content: "a"},
		"headers":  {from: "headers/sub/a.h", to: "include/my-pkg/sub/a.h", content: "a"},
		"a script runs on Lambda's interpreter": {
			from:    "scripts/run",
			to:      "bin/run",
			content: "#!python\nprint(1)\n",
			want:    "#!/var/lang/bin/python3\nprint(1)\n",
			exec:    true,
		},
		"a script for pythonw": {
			from:    "scripts/run",
			to:      "bin/run",
			content: "#!pythonw\r\nx\n",
			want:    "#!/var/lang/bin/python3\nx\n",
			exec:    true,
		},
		"options of a script are removed": {
			from:    "scripts/run",
			to:      "bin/run",
			content: "#!python -E\nx\n",
			want:    "#!/var/lang/bin/python3\nx\n",
			exec:    true,
		},
		"another language's script": {
			from:    "scripts/run.sh",
			to:      "bin/run.sh",
			content: "#!/bin/sh\n#!python\n",
			exec:    true,
		},
		"a script that is only its first line": {from: "scripts/run", to: "bin/run", content: "#!python", exec: true},
		"a program": {
			from:    "scripts/tool",
			to:      "bin/tool",
			content: "\x7fELF#!python\n",
			exec:    true,
		},
		"another distribution's data stays": {
			from:    "../other-2.data/purelib/a.py",
			to:      "other-2.data/purelib/a.py",
			content: "a",
		},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			from := data + tt.from
			if rest, ok := strings.CutPrefix(tt.from, "../"); ok {
				from = rest
			}

			w, err := Open(tree(t, sound(map[string]string{from: tt.content})), fileName(t), "")
			if err != nil {
				t.Fatal(err)
			}

			e, ok := w.Tree.Lookup(tt.to)
			if !ok || !slices.Contains(w.Files, tt.to) {
				t.Fatalf("no %s among %q, %q", tt.to, names(w.Tree), w.Files)
			}

			if from != tt.to && slices.Contains(w.Files, from) {
				t.Errorf("%s was not moved", from)
			}

			want := tt.want
			if want == "" {
				want = tt.content
			}

			if b, err := e.Bytes(1 << 20); string(b) != want || err != nil {
				t.Errorf("%q, %v\nwant %q", b, err, want)
			}

			if e.Exec != tt.exec {
				t.Errorf("executable: %v", e.Exec)
			}
		})
	}
}

func TestOpenRewritesRecordOfMovedFiles(t *testing.T) {
	t.Parallel()
	const data = "my_pkg-1.0.data/"
	const record = "my_pkg-1.0.dist-info/RECORD"
	w, err := Open(tree(t, sound(map[string]string{
		data + "purelib/a.py":  "",
		data + "scripts/run":   "#!python\n",
		data + "data/unlisted": "",
		record: data + "purelib/a.py,sha256=" + sum + ",0\n" + data + "scripts/run,sha256=" + sum +
			",9\nmy_pkg/__init__.py,,\n" + record + ",,\n",
	})), fileName(t), "")
	if err != nil {
		t.Fatal(err)
	}

	// The first line of the script may have changed, so it has no hash.
	want := map[string]string{"a.py": sum, "bin/run": "", "my_pkg/__init__.py": "", record: ""}
	if d := cmp.Diff(want, w.Record); d != "" {
		t.Error(d)
	}

	e, _ := w.Tree.Lookup(record)
	b, err := e.Bytes(1 << 20)
	wantText := "a.py,sha256=" + sum + ",0\nbin/run,,\nmy_pkg-1.0.dist-info/RECORD,,\nmy_pkg/__init__.py,,\n"
	if err != nil || string(b) != wantText {
		t.Errorf("%v\n%s\nwant\n%s", err, b, wantText)
	}
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	const head = "open wheel my_pkg-1.0-py3-none-any.whl: "
	const info = "my_pkg-1.0.dist-info/"
	const data = "my_pkg-1.0.data/"
	for sentence, tt := range map[string]struct {
		change map[string]string
		err    string
	}{
		"no WHEEL": {map[string]string{info + "WHEEL": "-"}, ".dist-info/WHEEL is missing"},
		"WHEEL only deeper down": {
			map[string]string{info + "WHEEL": "-", info + "sub/WHEEL": wheelFile},
			".dist-info/WHEEL is missing",
		},
		"no METADATA": {
			map[string]string{info + "METADATA": "-"},
			"my_pkg-1.0.dist-info/METADATA is missing",
		},
		"no RECORD": {
			map[string]string{info + "RECORD": "-"},
			"my_pkg-1.0.dist-info/RECORD is missing",
		},
		"two .dist-info folders": {
			map[string]string{"other-2.dist-info/WHEEL": wheelFile},
			"two .dist-info folders: my_pkg-1.0.dist-info and other-2.dist-info",
		},
		"a second one without WHEEL": {
			map[string]string{"other-2.dist-info/METADATA": metadata},
			"two .dist-info folders: my_pkg-1.0.dist-info and other-2.dist-info",
		},
		"another version of the format": {
			map[string]string{info + "WHEEL": "Wheel-Version: 2.0\n"},
			"Wheel-Version is 2.0; supported: 1.x",
		},
		"a version that begins with the supported one": {
			map[string]string{info + "WHEEL": "Wheel-Version: 10.1\n"},
			"Wheel-Version is 10.1; supported: 1.x",
		},
		"no version of the format": {
			map[string]string{info + "WHEEL": "Generator: x\n"},
			"WHEEL has no Wheel-Version",
		},
		"another name": {
			map[string]string{info + "METADATA": "Name: other\nVersion: 1.0\n"},
			"METADATA has the name other",
		},
		"METADATA without a version": {
			map[string]string{info + "METADATA": "Name: my-pkg\n"},
			`METADATA: field "version" is missing`,
		},
		"an invalid RECORD": {
			map[string]string{info + "RECORD": "a,b\n"},
			"RECORD:1: row has 2 fields, expected path, hash and size",
		},
		"invalid entry points": {
			map[string]string{info + "entry_points.txt": "a = b\n"},
			`read my_pkg-1.0.dist-info/entry_points.txt: ` +
				`entry_points.txt:1: entry "a" is before the first [group]`,
		},
		"an unknown scheme": {
			map[string]string{data + "etc/passwd": ""},
			`unknown installation scheme "etc" in my_pkg-1.0.data/etc/passwd`,
		},
		"a file instead of a scheme": {
			map[string]string{data + "purelib": ""},
			"my_pkg-1.0.data/purelib is not a valid path of an installation scheme",
		},
		"a file instead of the scheme scripts": {
			map[string]string{data + "scripts": ""},
			"my_pkg-1.0.data/scripts is not a valid path of an installation scheme",
		},
		"a file instead of the scheme headers": {
			map[string]string{data + "headers": ""},
			"my_pkg-1.0.data/headers is not a valid path of an installation scheme",
		},
		"a name that becomes absolute": {
			map[string]string{data + "data/c:x": ""},
			"my_pkg-1.0.data/data/c:x is not a valid path of an installation scheme",
		},
		"two files of one name": {
			map[string]string{data + "purelib/my_pkg/__init__.py": ""},
			"my_pkg/__init__.py is in my_pkg-1.0-py3-none-any.whl and in my_pkg-1.0-py3-none-any.whl",
		},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			_, err := Open(tree(t, sound(tt.change)), fileName(t), "")
			if errText(err) != head+tt.err {
				t.Errorf("error %v\n want %s", err, head+tt.err)
			}
		})
	}
}

func TestOpenAcceptsVersion1AndVendoredDistInfo(t *testing.T) {
	t.Parallel()
	_, err := Open(tree(t, sound(map[string]string{
		"my_pkg-1.0.dist-info/WHEEL":                "wheel-version :  1.9 \r\n",
		"my_pkg/_vendor/other-2.dist-info/METADATA": "Name: other\nVersion: 2\n",
		"my_pkg/_vendor/other-2.dist-info/WHEEL":    wheelFile,
		"notes.dist-info":                           "a file, not a folder",
	})), fileName(t), "")
	if err != nil {
		t.Error(err)
	}
}

func TestInstalledFindsDistributionsBelowThePrefix(t *testing.T) {
	t.Parallel()
	found, err := Installed(tree(t, map[string]string{
		"python/a/__init__.py":            "",
		"python/a/unlisted.py":            "",
		"python/a/compiled.pyc":           "",
		"python/a-1.0.dist-info/METADATA": "Name: A\nVersion: 1.0\n",
		"python/a-1.0.dist-info/RECORD": "a/__init__.py,sha256=" + sum + ",0\na/gone.py,,\n" +
			"a/compiled.py,,\n../../bin/a,,\na-1.0.dist-info/METADATA,,\n",
		"python/a-1.0.dist-info/entry_points.txt":       "[g]\nn = a:b\n",
		"python/b/__init__.py":                          "",
		"python/b-2.dist-info/METADATA":                 "Name: b\nVersion: 2\nRequires-Dist: a\n",
		"python/b-2.dist-info/licenses/LICENSE":         "",
		"python/b/_vendor/c-3.dist-info/METADATA":       "Name: c\nVersion: 3\n",
		"python/d-4.dist-info/RECORD":                   "",
		"e-5.dist-info/METADATA":                        "Name: e\nVersion: 5\n",
		"pythons/f-6.dist-info/METADATA":                "Name: f\nVersion: 6\n",
		"python/lib/g-7.dist-info/METADATA":             "Name: g\nVersion: 7\n",
		"python/b-2.dist-info.bak/METADATA":             "no metadata",
		"python/b-2.dist-info/sub/x.dist-info/METADATA": "no metadata",
	}), "python/")
	if err != nil {
		t.Fatal(err)
	}

	var got []string
	for _, d := range found {
		got = append(got, fmt.Sprintf("%s %s %s %q %d %q",
			d.Name, d.Version, d.DistInfo, d.Files, len(d.Entry), d.Metadata.RequiresDist))
	}

	want := []string{
		`a 1.0 a-1.0.dist-info ["a-1.0.dist-info/METADATA" "a/__init__.py" "a/compiled.pyc"] 1 []`,
		`b 2 b-2.dist-info ["b-2.dist-info/METADATA" "b-2.dist-info/licenses/LICENSE" ` +
			`"b-2.dist-info/sub/x.dist-info/METADATA" "b/__init__.py" "b/_vendor/c-3.dist-info/METADATA"] 0 ["a"]`,
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}

	if len(found) > 0 && found[0].Record["a/__init__.py"] != sum {
		t.Errorf("record %v", found[0].Record)
	}
}

func TestInstalledGuessesWhatADistributionWithoutRecordOwns(t *testing.T) {
	t.Parallel()
	metadata := func(name string) string { return "Name: " + name + "\nVersion: 1\n" }
	for sentence, tt := range map[string]struct{ files, want string }{
		"the folder with its name": {"a/x.py a/y/z.py b/x.py", "a/x.py a/y/z.py"},
		"the module with its name": {"a.py b.py", "a.py"},
		"the extension module with its name": {
			"a.cpython-313-x86_64-linux-gnu.so ab.so",
			"a.cpython-313-x86_64-linux-gnu.so",
		},
		"what top_level.txt names, and nothing else": {
			"a/x.py b/x.py c.py d.py a-1.dist-info/top_level.txt",
			"b/x.py c.py",
		},
		"nothing that RECORD gives to another":           {"a/x.py a/other.py other-1.dist-info/RECORD", "a/x.py"},
		"nothing of a folder that only begins like that": {"ab/x.py a-b/x.py", ""},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			files := map[string]string{
				"python/a-1.dist-info/METADATA":     metadata("a"),
				"python/other-1.dist-info/METADATA": metadata("other"),
			}
			for _, f := range strings.Fields(tt.files) {
				files["python/"+f] = map[string]string{
					"a-1.dist-info/top_level.txt": "b\nc\n",
					"other-1.dist-info/RECORD":    "a/other.py,,\n",
				}[f]
			}

			found, err := Installed(tree(t, files), "python/")
			if err != nil || len(found) != 2 {
				t.Fatal(found, err)
			}

			var got []string
			for _, f := range found[0].Files {
				if !strings.HasPrefix(f, "a-1.dist-info/") {
					got = append(got, f)
				}
			}

			if d := cmp.Diff(tt.want, strings.Join(got, " ")); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestInstalledRefusesWhatImportlibCouldNotRead(t *testing.T) {
	t.Parallel()
	for sentence, tt := range map[string]struct {
		change map[string]string
		err    string
	}{
		"METADATA without a name": {
			map[string]string{"a-1.dist-info/METADATA": "Version: 1\n"},
			`read a-1.dist-info/METADATA: METADATA: field "name" is missing`,
		},
		"a broken RECORD": {
			map[string]string{"a-1.dist-info/RECORD": "x\n"},
			"read a-1.dist-info/RECORD: RECORD:1: row has 1 fields, expected path, hash and size",
		},
		"broken entry points": {
			map[string]string{"a-1.dist-info/entry_points.txt": "[]\n"},
			"read a-1.dist-info/entry_points.txt: entry_points.txt:1: group is empty",
		},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			files := map[string]string{"a-1.dist-info/METADATA": "Name: a\nVersion: 1\n"}
			for name, content := range tt.change {
				files[name] = content
			}

			if _, err := Installed(tree(t, files), ""); errText(err) != tt.err {
				t.Errorf("error %v\n want %s", err, tt.err)
			}
		})
	}
}

func TestInstalledFindsAnOpenedWheel(t *testing.T) {
	t.Parallel()
	w, err := Open(tree(t, sound(nil)), fileName(t), "")
	if err != nil {
		t.Fatal(err)
	}

	found, err := Installed(w.Tree, "")
	if err != nil || len(found) != 1 || found[0].Name != w.Name || found[0].DistInfo != w.DistInfo {
		t.Errorf("%+v, %v", found, err)
	}
}

// stored returns a zip of the files, uncompressed: the fuzzer sees names and text, although it
// cannot guess checksums.
func stored(f *testing.F, files map[string]string) []byte {
	f.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		w, err := z.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Store})
		if err == nil {
			_, err = w.Write([]byte(files[name]))
		}

		if err != nil {
			f.Fatal(err)
		}
	}

	if err := z.Close(); err != nil {
		f.Fatal(err)
	}

	return b.Bytes()
}

func FuzzOpen(f *testing.F) {
	add := func(files map[string]string) { f.Add(stored(f, files), "") }
	const data = "my_pkg-1.0.data/"
	add(sound(nil))
	add(sound(map[string]string{
		data + "purelib/a.py": "a",
		data + "scripts/run":  "#!python\n",
		data + "headers/a.h":  "",
		data + "data/x":       "",
		data + "platlib/a.so": "",
	}))
	add(sound(map[string]string{"my_pkg-1.0.dist-info/entry_points.txt": "[console_scripts]\na = b:c\n"}))
	add(sound(map[string]string{"other.dist-info/WHEEL": wheelFile}))
	add(sound(map[string]string{data + "purelib": "", "my_pkg-1.0.dist-info/RECORD": "-"}))
	for _, name := range []string{
		"purelib/a", "scripts/../a", "data//", "headers", "scripts", "data/c:",
		"purelib/my_pkg/__init__.py", "scripts/run", "x/y",
	} {
		f.Add([]byte(nil), name)
	}

	name := fileName(f)
	whole := tree(f, sound(nil)).Entries()
	f.Fuzz(func(t *testing.T, in []byte, moved string) {
		opened, err := ziptree.Read(bytes.NewReader(in), int64(len(in)), "x.whl")
		if err != nil { // not a zip: take it as the content of a file in .data of a valid wheel
			if ziptree.CheckName(data+moved) != nil {
				return
			}

			added := ziptree.File(data+moved, in, "x.whl")
			if opened, err = ziptree.New(append(slices.Clip(whole), added)); err != nil {
				t.Fatal(err)
			}
		}

		w, err := Open(opened, name, "")
		if err != nil {
			if !strings.HasPrefix(err.Error(), "open wheel "+name.String()+": ") {
				t.Fatalf("error %v does not name the wheel", err)
			}

			return
		}

		if w.Tree.Len() != opened.Len() || len(w.Files) != opened.Len() {
			t.Fatalf("%d files became %d, Files has %d", opened.Len(), w.Tree.Len(), len(w.Files))
		}

		for _, e := range w.Tree.Entries() {
			if err := ziptree.CheckName(e.Name); err != nil {
				t.Fatalf("%q %v", e.Name, err)
			}

			if strings.HasPrefix(e.Name, data) {
				t.Fatalf("%q was not moved", e.Name)
			}
		}
	})
}
