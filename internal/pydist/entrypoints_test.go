package pydist

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseEntryPoints(t *testing.T) {
	for sentence, tt := range map[string]struct {
		in   string
		want []EntryPoint
		err  string
	}{
		"scripts and plugins, in order": {
			in: "[pkg_config]\nnumpy = numpy._core.lib.pkgconfig\n\n[console_scripts]\nf2py = numpy.f2py.f2py2e:main\n",
			want: []EntryPoint{{"pkg_config", "numpy", "numpy._core.lib.pkgconfig", ""},
				{"console_scripts", "f2py", "numpy.f2py.f2py2e", "main"}},
		},
		"indentation, comments, CRLF, extras": {
			in:   "# c\r\n[ a.b ]\r\n   x y=m : K.f [extra,other]\r\n",
			want: []EntryPoint{{"a.b", "x y", "m", "K.f"}},
		},
		"empty": {in: "\n"},
		"nothing before a group": {
			in:  "x = y\n",
			err: `entry_points.txt:1: entry "x" is before the first [group]`,
		},
		"a group without a name": {in: "[ ]\n", err: `entry_points.txt:1: group is empty`},
		"a line without =": {
			in:  "[a]\nfoo\n",
			err: `entry_points.txt:2: entry "foo": expected name = module:attr`,
		},
		"an object with a dash": {
			in:  "[a]\nfoo = my-mod:x\n",
			err: `entry_points.txt:2: entry "foo": object "my-mod:x": expected module:attr`,
		},
		"a file that is not text": {in: "[a]\n\xff = x\n", err: `entry_points.txt: not UTF-8`},
	} {
		t.Run(sentence, func(t *testing.T) {
			got, err := ParseEntryPoints([]byte(tt.in))
			if errText(err) != tt.err {
				t.Fatalf("error %v\n want %s", err, tt.err)
			}

			if d := cmp.Diff(tt.want, got); d != "" {
				t.Error(d)
			}
		})
	}
}
