package pydist

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const sumA = "MP6_SI1GcPseXodd3Ykt5F_mCBsrUksiziLxjEZKGUU"

func TestParseRecord(t *testing.T) {
	for sentence, tt := range map[string]struct {
		in   string
		want []RecordEntry
		err  string
	}{
		"sorted; RECORD itself has neither hash nor size": {
			in:   "six.py,sha256=" + sumA + ",34\r\nsix-1.dist-info/RECORD,,\r\n",
			want: []RecordEntry{{"six-1.dist-info/RECORD", "", -1}, {"six.py", sumA, 34}},
		},
		"a comma in a path is quoted": {
			in:   `"a,b ""c"".py",sha256=` + sumA + ",0\n",
			want: []RecordEntry{{`a,b "c".py`, sumA, 0}},
		},
		"an installed script outside": {in: "../../bin/x,,3", want: []RecordEntry{{"../../bin/x", "", 3}}},
		"the same row twice is one":   {in: "a,,1\na,,1\n", want: []RecordEntry{{"a", "", 1}}},
		"empty":                       {in: ""},
		"rows that disagree": {
			in:  "a,,1\nb,,\na,,2\n",
			err: `RECORD:3: path "a": hash or size differs from line 1`,
		},
		"a missing field": {
			in:  "a,,1\nb,\n",
			err: `RECORD:2: row has 2 fields, expected path, hash and size`,
		},
		"an empty path": {in: ",,1\n", err: `RECORD:1: path is empty`},
		"a newline in a path": {
			in:  "\"a\nb\",,1\n",
			err: `RECORD:1: path "a\nb" has a control character`,
		},
		"a path that is not UTF-8": {in: "a\xff,,1\n", err: `RECORD:1: path "a\xff" is not UTF-8`},
		"a weak hash": {
			in:  "a,md5=abc,1\n",
			err: `RECORD:1: hash algorithm "md5" of "a": unknown; known: sha256`,
		},
		"a padded hash": {
			in:  "a,sha256=" + sumA + "=,1\n",
			err: `RECORD:1: hash "` + sumA + `=" of "a": not 32 bytes of unpadded URL-safe base64`,
		},
		"a hash whose last bits are not zero": {
			in:  "a,sha256=" + sumA[:42] + "V,1\n",
			err: `RECORD:1: hash "` + sumA[:42] + `V" of "a": not 32 bytes of unpadded URL-safe base64`,
		},
		"a negative size": {
			in:  "a,,-1\n",
			err: `RECORD:1: size "-1" of "a": not a number of bytes`,
		},
		"a size beyond 63 bits": {
			in:  "a,,9223372036854775808\n",
			err: `RECORD:1: size "9223372036854775808" of "a": not a number of bytes`,
		},
		"a quote that is not closed": {
			in:  "a,,1\n\"b,,2\n",
			err: `RECORD:2: extraneous or missing " in quoted-field`,
		},
		"a quote in the middle of plain field": {in: "a\"b,,1\n", err: `RECORD:1: bare " in non-quoted-field`},
	} {
		t.Run(sentence, func(t *testing.T) {
			got, err := ParseRecord([]byte(tt.in))
			if errText(err) != tt.err {
				t.Fatalf("error %v\n want %s", err, tt.err)
			}

			if d := cmp.Diff(tt.want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestFormatRecordSortsACopy(t *testing.T) {
	in := []RecordEntry{{"b", "", -1}, {"a,a", sumA, 7}, {"B", "", 0}}
	const want = "B,,0\n\"a,a\",sha256=" + sumA + ",7\nb,,\n"
	if got := string(FormatRecord(in)); got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}

	if in[0].Path != "b" {
		t.Error("the argument was sorted")
	}
}

func FuzzParseRecord(f *testing.F) {
	f.Add([]byte("six.py,sha256=" + sumA + ",34\r\nsix-1.dist-info/RECORD,,\r\n"))
	f.Add([]byte("\"a,\"\"b\",,\n a ,,0\n\\.,,\n\ufeffx,,"))
	f.Fuzz(func(t *testing.T, b []byte) {
		entries, err := ParseRecord(b)
		if err != nil {
			return
		}

		out := FormatRecord(entries)
		again, err := ParseRecord(out)
		if err != nil {
			t.Fatalf("%q: %v", out, err)
		}

		if d := cmp.Diff(entries, again); d != "" {
			t.Fatal(d)
		}

		if !bytes.Equal(FormatRecord(again), out) {
			t.Fatal("not a fixed point")
		}
	})
}
