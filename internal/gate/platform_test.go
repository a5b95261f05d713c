package gate

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/layersmith/layersmith/internal/wheel"
)

func TestPlatform(t *testing.T) {
	t.Parallel()
	const machO = "\xcf\xfa\xed\xfe\x0c\x00\x00\x01"
	for sentence, tt := range map[string]struct {
		tags  string // of WHEEL; "" for a folder without a distribution
		files map[string]string
		want  []string
	}{
		"a wheel for macOS": {
			tags:  "Tag: cp313-cp313-macosx_11_0_arm64\n",
			files: map[string]string{"a/_b.cpython-313-darwin.so": machO, "a/.dylibs/libc.dylib": machO, "a/x.py": ""},
			want:  []string{"python/a/.dylibs/libc.dylib: a 1.0: 2 files are for macOS [platform]"},
		},
		"a wheel for macOS without binaries": {
			tags: "Tag: py3-none-macosx_11_0_arm64\n",
			want: []string{"python/a-1.0.dist-info/WHEEL: a 1.0: its wheel is for macOS [platform]"},
		},
		"one of its tags is right": {
			tags:  "Tag: cp313-cp313-macosx_11_0_arm64\nTag: cp39-abi3-manylinux_2_17_x86_64\n",
			files: map[string]string{"a/_b.abi3.so": "", "a/_b.pyd": ""},
		},
		"a wheel that this machine built": {
			tags:  "Tag: cp313-cp313-linux_x86_64\n",
			files: map[string]string{"a/_b.cpython-313-x86_64-linux-gnu.so": ""},
		},
		"programs of many systems in a wheel for any": {
			tags:  "Tag: py2-none-any\nTag: py3-none-any\n",
			files: map[string]string{"a/osx/cbc": machO, "a/win/cbc.dll": "", "a/win/_x.pyd": ""},
		},
		"a wheel for another Python": {
			tags:  "Tag: cp311-cp311-manylinux_2_17_x86_64\n",
			files: map[string]string{"a/_b.cpython-311-x86_64-linux-gnu.so": ""},
			want: []string{"python/a/_b.cpython-311-x86_64-linux-gnu.so: a 1.0: the file is for cp311-cp311, which " +
				"python3.13 does not load [python-abi]"},
		},
		"a wheel for Alpine": {
			tags: "Tag: cp313-cp313-musllinux_1_2_x86_64\n",
			want: []string{"python/a-1.0.dist-info/WHEEL: a 1.0: its wheel is for musl Linux [platform]"},
		},
		"no distribution, names of Windows": {
			files: map[string]string{"a/_b.cp311-win_amd64.pyd": "", "a/_c.cp311-win_amd64.pyd": ""},
			want:  []string{"python/a/_b.cp311-win_amd64.pyd: a: 2 files are for Windows [platform]"},
		},
		"no distribution, no name, the content of macOS": {
			files: map[string]string{"a/_b.so": machO},
			want:  []string{"python/a/_b.so: a: the file is for macOS [platform]"},
		},
		"no distribution, another Python": {
			files: map[string]string{"a/_b.cpython-312-x86_64-linux-gnu.so": ""},
			want: []string{"python/a/_b.cpython-312-x86_64-linux-gnu.so: a: the file is for cp312, which python3.13 " +
				"does not load [python-abi]"},
		},
		"no distribution, a module for each": {
			files: map[string]string{
				"a/_b.cpython-312-x86_64-linux-gnu.so": "",
				"a/_b.cpython-313-x86_64-linux-gnu.so": "",
				"a/_b.cpython-313-darwin.so":           machO,
				"a/_c.pyd":                             "",
				"a/_c.abi3.so":                         "",
			},
		},
		"a free-threaded Python": {
			files: map[string]string{"a/_b.cpython-313t-x86_64-linux-gnu.so": ""},
			want: []string{
				"python/a/_b.cpython-313t-x86_64-linux-gnu.so: a: the file is for cp313t, " +
					"which python3.13 does not load [python-abi]",
			},
		},
	} {
		p := Part{Name: "l", Prefix: prefix}
		files := map[string]string{}
		var owns []string
		for name, content := range tt.files {
			files[prefix+name] = content
			owns = append(owns, name)
		}

		if tt.tags != "" {
			files["python/a-1.0.dist-info/WHEEL"] = "Wheel-Version: 1.0\n" + tt.tags
			p.Distributions = []wheel.Distribution{owned(t, "a", "1.0", slices.Sorted(slices.Values(owns))...)}
		}

		p.Tree = tree(t, files)
		var got []string
		for _, f := range platform(input(t, "python3.13-x86_64", p)) {
			got = append(got, f.String())
			if f.Hint == "" {
				t.Errorf("%s: no hint", sentence)
			}
		}

		if d := cmp.Diff(tt.want, got); d != "" {
			t.Errorf("%s: %s", sentence, d)
		}
	}
}
