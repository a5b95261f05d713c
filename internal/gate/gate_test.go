package gate

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/layersmith/layersmith/internal/measure"
	"github.com/layersmith/layersmith/internal/pydist"
	"github.com/layersmith/layersmith/internal/sharedobj"
	"github.com/layersmith/layersmith/internal/wheel"
	"github.com/layersmith/layersmith/internal/ziptree"
)

const prefix = "python/"

func tree(t testing.TB, files map[string]string) ziptree.Tree {
	t.Helper()
	var entries []ziptree.Entry
	for name, content := range files {
		entries = append(entries, ziptree.File(name, []byte(content), "test"))
	}

	made, err := ziptree.New(entries)
	if err != nil {
		t.Fatal(err)
	}

	return made
}

// part is a layer of files below python/, each without content.
func part(t testing.TB, name string, files ...string) Part {
	t.Helper()
	all := map[string]string{}
	for _, f := range files {
		all[prefix+f] = ""
	}

	return Part{Name: name, Prefix: prefix, Tree: tree(t, all)}
}

func owned(t testing.TB, name, version string, files ...string) wheel.Distribution {
	t.Helper()
	n, err := pydist.ParseName(name)
	if err != nil {
		t.Fatal(err)
	}

	v, err := pydist.ParseVersion(version)
	if err != nil {
		t.Fatal(err)
	}

	return wheel.Distribution{Name: n, Version: v, DistInfo: name + "-" + version + ".dist-info", Files: files}
}

func input(t testing.TB, target string, p Part, below ...Part) Input {
	t.Helper()
	made, err := pydist.ParseTarget(target)
	if err != nil {
		t.Fatal(err)
	}

	return Input{Target: made, Part: p, Below: below}
}

// objects is a layer that has one file for each of the facts, all owned by scipy 1.18.1.
func objects(t testing.TB, facts map[string]sharedobj.Facts) Part {
	t.Helper()
	p := part(t, "science")
	p.Objects = map[string]sharedobj.Facts{}
	var files []string
	for name, f := range facts {
		if f.Machine == 0 {
			f.Machine = sharedobj.MachineX86_64
		}

		p.Objects[prefix+name] = f
		files = append(files, name)
	}

	p.Distributions = []wheel.Distribution{owned(t, "scipy", "1.18.1", files...)}
	p.Tree = part(t, "", append(files, "scipy-1.18.1.dist-info/METADATA")...).Tree
	return p
}

func needs(versions ...string) (f sharedobj.Facts) {
	for _, v := range versions {
		f.VersionNeeds = append(f.VersionNeeds, sharedobj.VersionNeed{Library: "libc.so.6", Version: v})
	}

	return f
}

func loaded(segments ...sharedobj.Segment) sharedobj.Facts {
	return sharedobj.Facts{Segments: segments}
}

func said(found []Finding) []string {
	all := []string{}
	for _, f := range found {
		all = append(all, f.String())
	}

	return all
}

func TestCheckOfSharedObjects(t *testing.T) {
	t.Parallel()
	const so = "scipy/_x.so"
	one := func(f sharedobj.Facts) map[string]sharedobj.Facts { return map[string]sharedobj.Facts{so: f} }
	for sentence, tt := range map[string]struct {
		target  string // default python3.13-x86_64
		objects map[string]sharedobj.Facts
		below   map[string]sharedobj.Facts
		want    []string
	}{
		"aligned segments": {objects: one(loaded(
			sharedobj.Segment{Type: sharedobj.SegmentLoad, Offset: 0x1000, Vaddr: 0x5000, Align: 0x1000},
			sharedobj.Segment{Type: sharedobj.SegmentLoad, Offset: 0x1, Vaddr: 0x2, Align: 1},
			sharedobj.Segment{Type: sharedobj.SegmentDynamic, Offset: 0x1, Vaddr: 0x2, Align: 8}))},
		"misaligned segments": {objects: one(loaded(
			sharedobj.Segment{Type: sharedobj.SegmentLoad, Offset: 0x1f40, Vaddr: 0x2000, Align: 0x1000},
			sharedobj.Segment{Type: sharedobj.SegmentLoad, Offset: 0x1000, Vaddr: 0x1000, Align: 3})),
			want: []string{
				"python/scipy/_x.so: segment 0 at 0x1f40 is not aligned to 0x1000, Linux will not load it [elf-align]",
				"python/scipy/_x.so: segment 1 at 0x1000 has alignment 0x3, not a power of two, Linux will not load " +
					"it [elf-align]"}},
		"the target's machine": {
			target:  "python3.13-arm64",
			objects: one(sharedobj.Facts{Machine: sharedobj.MachineAArch64}),
		},
		"another machine": {target: "python3.13-arm64", objects: one(sharedobj.Facts{Machine: sharedobj.MachineX86_64}),
			want: []string{"python/scipy/_x.so: is for x86_64, python3.13-arm64 needs aarch64 [elf-machine]"}},
		"a machine that Lambda does not have": {objects: one(sharedobj.Facts{Machine: 3}),
			want: []string{"python/scipy/_x.so: is for i686, python3.13-x86_64 needs x86_64 [elf-machine]"}},
		"symbols as new as the runtime": {
			objects: one(needs("GLIBC_2.2.5", "GLIBC_2.34", "GLIBC_PRIVATE", "GLIBCXX_3.4.99", "GLIBC_2", "")),
		},
		"symbols as new as the old runtime": {target: "python3.11-x86_64", objects: one(needs("GLIBC_2.26"))},
		"symbols that are newer": {objects: one(needs("GLIBC_2.35", "GLIBC_2.4", "GLIBC_2.38", "GLIBC_2.36")),
			want: []string{"python/scipy/_x.so: needs GLIBC_2.38, python3.13 has glibc 2.34 [elf-glibc]"}},
		"symbols that the old runtime lacks": {
			target:  "python3.11-x86_64",
			objects: one(needs("GLIBC_2.34", "GLIBC_2.27")),
			want:    []string{"python/scipy/_x.so: needs GLIBC_2.34, python3.11 has glibc 2.26 [elf-glibc]"},
		},
		"glibc 3 is newer than any glibc 2": {objects: one(needs("GLIBC_3.0")),
			want: []string{"python/scipy/_x.so: needs GLIBC_3.0, python3.13 has glibc 2.34 [elf-glibc]"}},
		"libraries of the runtime": {
			objects: one(sharedobj.Facts{
				Needed: []string{
					"libc.so.6", "libm.so.6", "libstdc++.so.6", "libgcc_s.so.1", "libz.so.1",
					"ld-linux-x86-64.so.2", "libpython3.13.so.1.0",
				},
			}),
		},
		"libraries of the layer, by file name and by soname": {objects: map[string]sharedobj.Facts{
			so:                               {Needed: []string{"libgfortran-04.so.5", "libopenblas.so.0"}},
			"scipy.libs/libgfortran-04.so.5": {},
			"scipy.libs/other.so":            {Soname: "libopenblas.so.0"},
		}},
		"a library of the layer below": {
			objects: one(sharedobj.Facts{Needed: []string{"libblas.so"}}),
			below:   map[string]sharedobj.Facts{"numpy.libs/libblas.so": {}},
		},
		"of a path only the last element counts": {
			objects: one(sharedobj.Facts{Needed: []string{"/usr/lib64/libm.so.6", "$ORIGIN/libc.so.6"}}),
		},
		"no graphics in the runtime": {
			objects: one(sharedobj.Facts{Needed: []string{"libGL.so.1", "libc.so.6", "libX11.so.6"}}),
			want: []string{
				"python/scipy/_x.so: links to libGL.so.1, libX11.so.6, which neither the layer nor the runtime has " +
					"[elf-needed]",
			},
		},
		"an optional part may link to a missing library": {
			objects: map[string]sharedobj.Facts{
				"numba/np/ufunc/tbbpool.cpython-313.so": {Needed: []string{"libtbb.so.12"}},
			},
		},
		"everything at once, sorted by file and check": {
			objects: map[string]sharedobj.Facts{
				"b.so": {
					Machine:      3,
					Needed:       []string{"libb.so"},
					VersionNeeds: needs("GLIBC_2.99").VersionNeeds,
				},
				"a.so": {Needed: []string{"liba.so"}},
			},
			want: []string{
				"python/a.so: links to liba.so, which neither the layer nor the runtime has [elf-needed]",
				"python/b.so: needs GLIBC_2.99, python3.13 has glibc 2.34 [elf-glibc]",
				"python/b.so: is for i686, python3.13-x86_64 needs x86_64 [elf-machine]",
				"python/b.so: links to libb.so, which neither the layer nor the runtime has [elf-needed]",
			},
		},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			target := tt.target
			if target == "" {
				target = "python3.13-x86_64"
			}

			var below []Part
			if tt.below != nil {
				below = []Part{objects(t, tt.below)}
			}

			got := said(Check(input(t, target, objects(t, tt.objects), below...)))
			if d := cmp.Diff(append([]string{}, tt.want...), got); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestHintsNameTheDistributionOfTheFile(t *testing.T) {
	t.Parallel()
	p := objects(t, map[string]sharedobj.Facts{"scipy/_x.so": needs("GLIBC_2.39")})
	p.Objects["bin/tool"] = sharedobj.Facts{Machine: sharedobj.MachineAArch64}
	var hints []string
	for _, f := range Check(input(t, "python3.13-x86_64", p)) {
		hints = append(hints, f.Subject+": "+f.Hint)
	}

	want := []string{
		"bin/tool: build it for python3.13-x86_64; it came with the layer",
		"python/scipy/_x.so: choose a version of scipy==1.18.1 with a wheel for an older manylinux, or a newer runtime",
	}
	if d := cmp.Diff(want, hints); d != "" {
		t.Error(d)
	}
}

func TestUnreadableFilesAreFindings(t *testing.T) {
	t.Parallel()
	p := part(t, "x", "b.so", "a.so")
	p.Broken = map[string]string{
		"python/b.so": "read elf: header: cut off at 20 bytes",
		"python/a.so": "read elf: no ELF magic",
	}
	want := []string{
		"python/a.so: read elf: no ELF magic [elf-format]",
		"python/b.so: read elf: header: cut off at 20 bytes [elf-format]",
	}
	if d := cmp.Diff(want, said(Check(input(t, "python3.13-x86_64", p)))); d != "" {
		t.Error(d)
	}
}

func TestBaseLibrariesIncludeGlibcButNoGraphics(t *testing.T) {
	t.Parallel()
	for _, target := range pydist.Targets() {
		known := base(target)
		for _, lib := range []string{
			"libc.so.6", "libm.so.6", "libpthread.so.0", "libdl.so.2", "libstdc++.so.6",
			"libgcc_s.so.1", "libz.so.1",
		} {
			if !known[lib] {
				t.Errorf("%s lacks %s", target, lib)
			}
		}

		for _, lib := range []string{
			"libGL.so.1", "libX11.so.6", "libXext.so.6", "libglib-2.0.so.0", "libgomp.so.1",
			"libgfortran.so.5", "both", "#", "",
		} {
			if known[lib] {
				t.Errorf("%s has %s", target, lib)
			}
		}
	}
}

func TestBaseLibrariesNameAKnownSystemOnEveryLine(t *testing.T) {
	t.Parallel()
	lines := 0
	for i, line := range strings.Split(strings.TrimSpace(baseLibraries), "\n") {
		fields := strings.Fields(line)
		if len(fields) == 0 || strings.HasPrefix(fields[0], "#") {
			continue
		}

		lines++
		if !slices.Contains([]string{"both", "al2", "al2023"}, fields[0]) || len(fields) < 2 {
			t.Errorf("line %d: %s", i+1, line)
		}

		for _, lib := range fields[1:] {
			if !strings.Contains(lib, ".so") {
				t.Errorf("line %d: %s is not the name of a library", i+1, lib)
			}
		}
	}

	if lines == 0 {
		t.Error("base_libraries.txt lists no libraries")
	}
}

func TestBotoFamilyIsWholeOrAbsent(t *testing.T) {
	t.Parallel()
	const all = "boto3/__init__.py botocore/__init__.py s3transfer/__init__.py"
	for sentence, tt := range map[string]struct {
		layer, below string
		want         []string
	}{
		"all of it":                   {layer: all},
		"none of it":                  {layer: "six.py"},
		"sourceless":                  {layer: strings.ReplaceAll(all, ".py", ".pyc")},
		"botocore is a whole library": {layer: "botocore/__init__.py"},
		"one in each layer": {
			layer: "boto3/__init__.py",
			below: "botocore/__init__.py s3transfer/__init__.py",
		},
		"all of it below":              {layer: "six.py", below: all},
		"only metadata and data of it": {layer: "boto3-1.dist-info/METADATA boto3/data/x.json"},
		"boto3 alone": {layer: "boto3/__init__.py",
			want: []string{
				"science: has boto3 but not botocore and s3transfer: the runtime's own version would be mixed in " +
					"[boto-family]",
			}},
		"s3transfer is missing": {layer: "boto3/__init__.py", below: "botocore/__init__.py",
			want: []string{
				"science: has boto3 and botocore but not s3transfer: the runtime's own version would be mixed in " +
					"[boto-family]",
			}},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			var below []Part
			if tt.below != "" {
				below = []Part{part(t, "base", strings.Fields(tt.below)...)}
			}

			got := said(Check(input(t, "python3.13-x86_64", part(t, "science", strings.Fields(tt.layer)...), below...)))
			if d := cmp.Diff(append([]string{}, tt.want...), got); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestDistInfoIsCoherent(t *testing.T) {
	t.Parallel()
	const info = "python/a-1.dist-info/"
	for sentence, tt := range map[string]struct {
		files map[string]string
		want  []string
	}{
		"RECORD lists what is there": {
			files: map[string]string{
				info + "METADATA":      "",
				info + "RECORD":        "a/__init__.py,,\na-1.dist-info/RECORD,,\n",
				"python/a/__init__.py": "",
			},
		},
		"files that RECORD does not list are no finding": {
			files: map[string]string{info + "METADATA": "", info + "RECORD": "", "python/a/__init__.py": ""}},
		"RECORD is optional": {files: map[string]string{info + "METADATA": ""}},
		"scripts outside the site folder are not checked": {
			files: map[string]string{info + "METADATA": "", info + "RECORD": "../../bin/a,,\n/usr/bin/a,,\n"},
		},
		"METADATA is required": {
			files: map[string]string{info + "RECORD": ""},
			want:  []string{"python/a-1.dist-info: has no METADATA: importlib.metadata would not find a [dist-info]"},
		},
		"RECORD lists files that are gone": {
			files: map[string]string{
				info + "METADATA": "",
				info + "RECORD":   "a/z.py,,\na/b.py,,\na-1.dist-info/METADATA,,\n",
			},
			want: []string{"python/a-1.dist-info/RECORD: lists 2 files that are not there, a/b.py first [dist-info]"},
		},
		"RECORD is malformed": {
			files: map[string]string{info + "METADATA": "", info + "RECORD": "a\n"},
			want: []string{
				"python/a-1.dist-info/RECORD: RECORD:1: row has 1 fields, expected path, hash and size [dist-info]",
			},
		},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			p := Part{
				Name:          "x",
				Prefix:        prefix,
				Tree:          tree(t, tt.files),
				Distributions: []wheel.Distribution{owned(t, "a", "1")},
			}
			if d := cmp.Diff(append([]string{}, tt.want...), said(Check(input(t, "python3.13-x86_64", p)))); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestRecordWithWrongBytesIsAFinding(t *testing.T) {
	t.Parallel()
	e := ziptree.File("python/a-1.dist-info/RECORD", []byte("a,,\n"), "test")
	e.CRC32++
	made, err := ziptree.New([]ziptree.Entry{e, ziptree.File("python/a-1.dist-info/METADATA", nil, "test")})
	if err != nil {
		t.Fatal(err)
	}

	p := Part{Name: "x", Prefix: prefix, Tree: made, Distributions: []wheel.Distribution{owned(t, "a", "1")}}
	got := said(Check(input(t, "python3.13-x86_64", p)))
	if len(got) != 1 ||
		!strings.HasPrefix(got[0], "python/a-1.dist-info/RECORD: read python/a-1.dist-info/RECORD: CRC-32 ") {
		t.Errorf("%q", got)
	}
}

func TestPathsThatCannotBeUnpackedEverywhere(t *testing.T) {
	t.Parallel()
	for sentence, tt := range map[string]struct {
		files, want []string
	}{
		"different names":             {files: []string{"a/b.py", "a/c.py", "b", "b.py"}},
		"folders that differ in case": {files: []string{"a/b.py", "A/c.py"}},
		"names that differ in case": {
			files: []string{"a/README", "a/Readme", "a/readme.txt"},
			want:  []string{"python/a/Readme: differs from python/a/README in case only [paths]"},
		},
		"folders that differ in case, with the same file": {
			files: []string{"A/b.py", "a/B.py"},
			want:  []string{"python/a/B.py: differs from python/A/b.py in case only [paths]"},
		},
		"a file with files in it": {
			files: []string{"a", "a-b", "a/b/c.py", "a/d.py"},
			want: []string{
				"python/a/b/c.py: lies in python/a, which is a file [paths]",
				"python/a/d.py: lies in python/a, which is a file [paths]",
			},
		},
		"names that only begin the same": {files: []string{"a", "a.b/c", "ab/c"}},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			got := said(Check(input(t, "python3.13-x86_64", part(t, "x", tt.files...))))
			if d := cmp.Diff(append([]string{}, tt.want...), got); d != "" {
				t.Error(d)
			}
		})
	}
}

// ziptree.Read refuses such names, but a transform could produce them.
func TestNamesAreCheckedAgain(t *testing.T) {
	t.Parallel()
	p := Part{Name: "x", Tree: tree(t, map[string]string{"../a": "", "/b": ""})}
	want := []string{
		"../a: has a name that is not a clean relative path [paths]",
		"/b: has an absolute name [paths]",
	}
	if d := cmp.Diff(want, said(Check(input(t, "python3.13-x86_64", p)))); d != "" {
		t.Error(d)
	}
}

func TestLimitsAreThoseOfLambda(t *testing.T) {
	t.Parallel()
	for size, want := range map[int64][]string{
		measure.MaxUnzippedBytes:     {},
		measure.MaxUnzippedBytes + 1: {"big: 262.1 MB unzipped, 1 B more than Lambda's 262.1 MB [limits]"},
	} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			t.Parallel()
			made, err := ziptree.New([]ziptree.Entry{{Name: "a", Size: size}})
			if err != nil {
				t.Fatal(err)
			}

			if d := cmp.Diff(want, said(Check(input(t, "python3.13-x86_64", Part{Name: "big", Tree: made})))); d != "" {
				t.Error(d)
			}
		})
	}
}

// The order of findings does not depend on the order of maps.
func TestFindingsHaveOneOrder(t *testing.T) {
	t.Parallel()
	facts := map[string]sharedobj.Facts{}
	for i := range 30 {
		facts[fmt.Sprintf("f%02d.so", i)] = sharedobj.Facts{Machine: 3, Needed: []string{"z.so", "a.so"}}
	}

	p := objects(t, facts)
	p.Broken = map[string]string{}
	for i := range 30 {
		p.Broken[fmt.Sprintf("python/f%02d.broken", i)] = "broken"
	}

	first := said(Check(input(t, "python3.13-x86_64", p)))
	if len(first) != 90 {
		t.Fatalf("%d findings", len(first))
	}

	for range 20 {
		if d := cmp.Diff(first, said(Check(input(t, "python3.13-x86_64", p)))); d != "" {
			t.Fatal(d)
		}
	}
}

// A layer without defects has no findings, also after it was written and read again.
func TestACleanLayerHasNoFindings(t *testing.T) {
	t.Parallel()
	p := objects(t, map[string]sharedobj.Facts{
		"scipy/_x.so": {Needed: []string{"libc.so.6"}, VersionNeeds: needs("GLIBC_2.17").VersionNeeds},
	})
	var b bytes.Buffer
	if _, err := ziptree.Write(t.Context(), &b, p.Tree); err != nil {
		t.Fatal(err)
	}

	again, err := ziptree.Read(bytes.NewReader(b.Bytes()), int64(b.Len()), "layer.zip")
	if err != nil {
		t.Fatal(err)
	}

	p.Tree = again
	if found := Check(input(t, "python3.13-x86_64", p)); len(found) != 0 || found == nil { // a list in JSON, not null
		t.Errorf("%q", said(found))
	}
}
